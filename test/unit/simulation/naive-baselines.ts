// The three baseline policies once more, as plainly as their description can be written down: arrays, scans, no indices.
// Shares nothing with src/scheduling but the description; the tests compare the two request by request.

import type { TimelineRow } from '../../../src/simulation/timeline.ts';

export interface NaiveModel {
  readonly id: string;
  readonly memoryBytes: number;
  readonly loadMs: number;
  readonly runMs: number;
}

interface NaiveRequest {
  readonly row: number;
  readonly model: NaiveModel;
  skips: number;
}

interface NaiveDevice {
  readonly index: number;
  /** Least recently dispatched first. */
  readonly held: NaiveModel[];
  readonly local: NaiveRequest[];
  busy: boolean;
  freeAtMs: number;
  dispatches: number;
}

/** Runs the whole list (in order of time) and returns what the devices did, in order of decision. */
export function naiveTimeline(
  policy: 'lb' | 'lalb' | 'lalbo3',
  list: readonly { readonly atMs: number; readonly model: NaiveModel }[],
  deviceCount: number,
  budgetBytes: number,
  skipLimit = 25,
): TimelineRow[] {
  const rows: TimelineRow[] = [];
  const devices: NaiveDevice[] = Array.from({ length: deviceCount }, (_, index) => {
    return { index, held: [], local: [], busy: false, freeAtMs: 0, dispatches: 0 };
  });
  const queue: NaiveRequest[] = [];
  let now = 0;
  let nextLb = 0;

  const idle = (): NaiveDevice[] => devices.filter((device) => !device.busy);
  const used = (device: NaiveDevice): number => device.held.reduce((bytes, model) => bytes + model.memoryBytes, 0);
  const finish = (device: NaiveDevice): number =>
    device.freeAtMs - now + device.local.reduce((ms, request) => ms + request.model.runMs, 0);

  function dispatch(device: NaiveDevice, { model, row }: NaiveRequest): void {
    device.busy = true;
    device.dispatches++;
    let start = now;
    const at = device.held.indexOf(model);
    if (at >= 0) device.held.splice(at, 1);
    else {
      while (used(device) + model.memoryBytes > budgetBytes) {
        const victim = device.held.shift()!;
        rows.push({ device: device.index, kind: 'evict', model: victim.id, requests: [], startMs: now, endMs: now });
      }
      start += model.loadMs;
      rows.push({ device: device.index, kind: 'load', model: model.id, requests: [row], startMs: now, endMs: start });
    }
    device.held.push(model);
    device.freeAtMs = start + model.runMs;
    rows.push({
      device: device.index,
      kind: 'run',
      model: model.id,
      requests: [row],
      startMs: start,
      endMs: device.freeAtMs,
    });
  }

  function threeSteps(request: NaiveRequest): void {
    queue.splice(queue.indexOf(request), 1);
    const holder = idle().find((device) => device.held.includes(request.model));
    if (holder !== undefined) return dispatch(holder, request);
    let best: NaiveDevice | undefined;
    for (const device of devices) {
      if (!device.busy || !device.held.includes(request.model)) continue;
      if (best === undefined || finish(device) < finish(best)) best = device;
    }
    if (best !== undefined && finish(best) < request.model.loadMs) {
      best.local.push(request);
      return;
    }
    let chosen: NaiveDevice | undefined;
    for (const device of idle()) {
      const byMemory = chosen === undefined ? -1 : used(device) - used(chosen);
      if (byMemory < 0 || (byMemory === 0 && device.dispatches < chosen!.dispatches)) chosen = device;
    }
    dispatch(chosen!, request);
  }

  function serveByLb(): void {
    while (queue.length > 0 && idle().length > 0) {
      while (devices[nextLb % deviceCount]!.busy) nextLb++;
      const device = devices[nextLb % deviceCount]!;
      nextLb = device.index + 1;
      dispatch(device, queue.shift()!);
    }
  }

  function serveOutOfOrder(): void {
    while (queue.length > 0 && idle().length > 0) {
      const round = idle().toSorted((left, right) => right.dispatches - left.dispatches || left.index - right.index);
      for (const device of round) {
        if (device.busy) continue;
        scan(device);
        if (!device.busy && queue.length > 0) threeSteps(queue[0]!);
      }
    }
  }

  function scan(device: NaiveDevice): void {
    for (const request of queue.slice()) {
      if (device.held.includes(request.model)) {
        const at = queue.indexOf(request);
        for (const earlier of queue.slice(0, at)) earlier.skips++;
        queue.splice(at, 1);
        return dispatch(device, request);
      }
      if (request.skips >= skipLimit) {
        threeSteps(request);
        if (device.busy) return;
      }
    }
  }

  let next = 0;
  for (;;) {
    now = Math.min(
      next < list.length ? list[next]!.atMs : Infinity,
      ...devices.filter((device) => device.busy).map((device) => device.freeAtMs),
    );
    if (now === Infinity) return rows;
    for (const device of devices) if (device.busy && device.freeAtMs <= now) device.busy = false;
    for (; next < list.length && list[next]!.atMs <= now; next++)
      queue.push({ row: next, model: list[next]!.model, skips: 0 });
    for (const device of devices) if (!device.busy && device.local.length > 0) dispatch(device, device.local.shift()!);
    if (policy === 'lb') serveByLb();
    else if (policy === 'lalbo3') serveOutOfOrder();
    else while (queue.length > 0 && idle().length > 0) threeSteps(queue[0]!);
  }
}
