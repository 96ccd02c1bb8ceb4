// The three baselines once more, written as plainly as docs/scheduling.md tells them: arrays and scans, no indexes, no
// shared code with the core. Slow, and the measure of the fast ones.

/** A model of the oracle's world; memory in any unit. */
export interface OracleModel {
  readonly memory: number;
  readonly loadMs: number;
  readonly runMs: number;
}

/** What the oracle says of one request. */
export interface OracleResult {
  readonly device: number;
  readonly endMs: number;
  readonly cache: 'hit' | 'miss';
}

interface Request {
  readonly id: number;
  readonly model: number;
  skips: number;
}

interface Device {
  readonly index: number;
  held: number[];
  local: Request[];
  busyUntilMs: number;
  dispatches: number;
}

/** Plays the whole list and returns one result per request; `mostSkips` is the largest count of skips seen. */
export function playBaseline(
  policy: 'lb' | 'lalb' | 'lalbo3',
  input: {
    readonly models: readonly OracleModel[];
    readonly devices: number;
    readonly memory: number;
    readonly requests: readonly { readonly atMs: number; readonly model: number }[];
    readonly skipLimit: number;
  },
): { readonly results: readonly OracleResult[]; readonly mostSkips: number } {
  const { models, requests, skipLimit } = input;
  const results: OracleResult[] = [];
  const devices: Device[] = Array.from({ length: input.devices }, (_, index) => ({
    index,
    held: [],
    local: [],
    busyUntilMs: 0,
    dispatches: 0,
  }));
  let queue: Request[] = [];
  let nowMs = 0;
  let nextLb = 0;
  let mostSkips = 0;
  const idle = (): Device[] => devices.filter((device) => device.busyUntilMs <= nowMs);
  const used = (device: Device): number => device.held.reduce((sum, model) => sum + models[model]!.memory, 0);
  const take = (request: Request): void => void (queue = queue.filter((other) => other !== request));
  const finish = (device: Device): number =>
    device.busyUntilMs - nowMs + device.local.reduce((sum, request) => sum + models[request.model]!.runMs, 0);

  const dispatch = (request: Request, device: Device): void => {
    take(request);
    const { memory, loadMs, runMs } = models[request.model]!;
    const isHit = device.held.includes(request.model);
    device.held = device.held.filter((model) => model !== request.model);
    while (!isHit && used(device) + memory > input.memory) device.held.shift();
    device.held.push(request.model);
    device.dispatches++;
    device.busyUntilMs = nowMs + (isHit ? 0 : loadMs) + runMs;
    results[request.id] = { device: device.index, endMs: device.busyUntilMs, cache: isHit ? 'hit' : 'miss' };
  };

  const threeSteps = (request: Request): void => {
    const holder = idle().find((device) => device.held.includes(request.model));
    if (holder !== undefined) return dispatch(request, holder);
    const soonest = devices
      .filter((device) => device.held.includes(request.model))
      .toSorted((a, b) => finish(a) - finish(b) || a.index - b.index)[0];
    if (soonest !== undefined && finish(soonest) < models[request.model]!.loadMs) {
      take(request);
      soonest.local.push(request);
      return;
    }
    const roomiest = idle().toSorted(
      (a, b) => used(a) - used(b) || a.dispatches - b.dispatches || a.index - b.index,
    )[0]!;
    dispatch(request, roomiest);
  };

  const scan = (device: Device): void => {
    // `take` makes a new array, so this one stays as it is.
    for (const request of queue) {
      if (device.held.includes(request.model)) {
        for (const earlier of queue.slice(0, queue.indexOf(request))) {
          earlier.skips++;
          mostSkips = Math.max(mostSkips, earlier.skips);
        }
        return dispatch(request, device);
      }
      if (request.skips >= skipLimit) {
        threeSteps(request);
        if (device.busyUntilMs > nowMs) return;
      }
    }
    if (queue.length > 0) threeSteps(queue[0]!);
  };

  const place = (): void => {
    while (queue.length > 0 && idle().length > 0) {
      if (policy === 'lb') {
        const free = idle();
        const device = free.find((each) => each.index >= nextLb) ?? free[0]!;
        nextLb = (device.index + 1) % input.devices;
        dispatch(queue[0]!, device);
      } else if (policy === 'lalb') {
        threeSteps(queue[0]!);
      } else {
        const round = idle().toSorted((a, b) => b.dispatches - a.dispatches || a.index - b.index);
        for (const device of round) if (device.busyUntilMs <= nowMs) scan(device);
      }
    }
  };

  let arrived = 0;
  for (;;) {
    const times = devices.map((device) => device.busyUntilMs).filter((atMs) => atMs > nowMs);
    if (arrived < requests.length) times.push(requests[arrived]!.atMs);
    if (times.length === 0) return { results, mostSkips };
    nowMs = Math.min(...times);
    while (arrived < requests.length && requests[arrived]!.atMs === nowMs) {
      queue.push({ id: arrived, model: requests[arrived]!.model, skips: 0 });
      arrived++;
    }
    for (const device of idle()) {
      const next = device.local.shift();
      if (next !== undefined) dispatch(next, device);
    }
    place();
  }
}
