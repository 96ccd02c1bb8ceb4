// How the scheduling core scales: processor time per request (arrival, placement, end; the simulation around it included) by
// number of devices at the same load per device, and a million requests on 1,000 devices with 10,000 models.
// Run: node bench/scheduler-scale.ts [--policies lalbo3,locality] [--devices 16,256,4096] [--models 48] [--million] [--core]
// With --core only the time inside the core counts, by the wall clock: what a daemon pays for its decisions.

import { parseArgs } from 'node:util';
import { createScheduler, POLICIES } from '../src/scheduling/scheduler.ts';
import { simulate } from '../src/simulation/kernel.ts';
import { paperProfile, workingSetModels } from '../src/simulation/profile.ts';
import type { SchedulingCore } from '../src/scheduling/types.ts';
import type { Workload } from '../src/simulation/types.ts';
import { openWorkload } from '../src/simulation/workloads.ts';

const { values } = parseArgs({
  options: {
    policies: { type: 'string', default: POLICIES.map((policy) => policy.name).join(',') },
    devices: { type: 'string', default: '16,64,256,1024,4096' },
    models: { type: 'string' },
    million: { type: 'boolean', default: false },
    core: { type: 'boolean', default: false },
  },
});
const policies = values.policies.split(',');
const MEMORY_BYTES = 7_800_000_000;
/** Requests a minute per device: about 60% of what a device can run. */
const RPM_PER_DEVICE = 27;
const MODELS_PER_DEVICE = 3;
const LEAST_REQUESTS = 200_000;
const LEAST_MINUTES = 6;

/** Processor time of this thread, in milliseconds: what others do on the machine does not count. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** The core, with the time spent in it, in milliseconds. */
function timed(core: SchedulingCore): SchedulingCore & { readonly spentMs: number } {
  let spentMs = 0;
  const count = <T>(work: () => T): T => {
    const startMs = performance.now();
    const result = work();
    spentMs += performance.now() - startMs;
    return result;
  };
  return {
    apply: (nowMs, event) => count(() => core.apply(nowMs, event)),
    decide: (nowMs) => count(() => core.decide(nowMs)),
    nextWakeMs: () => core.nextWakeMs(),
    view: () => core.view(),
    get spentMs() {
      return spentMs;
    },
  };
}

/** The workload, which notes the processor time when half of it has arrived: the first half only warms up. */
function halved(workload: Workload, onHalf: () => void): Workload {
  return {
    ...workload,
    *arrivals() {
      let arrived = 0;
      for (const chunk of workload.arrivals()) {
        if (arrived < workload.requests / 2 && arrived + chunk.count >= workload.requests / 2) onHalf();
        arrived += chunk.count;
        yield chunk;
      }
    },
  };
}

function run(policy: string, devices: number, workload: Workload) {
  const core = timed(createScheduler({ policy, maxQueuedRequests: Infinity, maxQueuedBytes: Infinity }));
  const spentMs = (): number => (values.core ? core.spentMs : threadMs());
  let half = { ms: 0, done: 0 };
  let done = 0;
  const [wallStart, cpuStart] = [performance.now(), threadMs()];
  const outcome = simulate({
    core: values.core ? core : createScheduler({ policy, maxQueuedRequests: Infinity, maxQueuedBytes: Infinity }),
    devices: Array.from({ length: devices }, (_, i) => ({
      id: `emulated:${i}`,
      memoryBytes: MEMORY_BYTES,
      overlap: true,
    })),
    workload: halved(workload, () => (half = { ms: spentMs(), done })),
    onProgress: (now) => (done = now),
  });
  const [wallMs, cpuEnd, spentEnd] = [performance.now() - wallStart, threadMs(), spentMs()];
  const meanMs = outcome.latencyMs.reduce((sum, ms) => sum + ms, 0) / outcome.requests;
  const perRequestUs = ((spentEnd - half.ms) * 1000) / (outcome.requests - half.done);
  return { wallMs, cpuMs: cpuEnd - cpuStart, meanMs, perRequestUs };
}

function zipf(models: number, rpm: number, minutes: number): Workload {
  const specs = workingSetModels(paperProfile(), models);
  return openWorkload({ kind: 'zipf', models: specs, rpm, minutes, skew: 0.8, seed: 1 });
}

if (values.million) {
  console.log('A million requests on 1,000 devices with 10,000 models (skew 0.8, 27,000 a minute)\n');
  console.log('| policy | requests | wall time | processor time | us per request | mean latency |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: |');
  for (const policy of policies) {
    const workload = zipf(10_000, 1000 * RPM_PER_DEVICE, 37);
    const { wallMs, cpuMs, meanMs, perRequestUs } = run(policy, 1000, workload);
    console.log(
      `| ${policy} | ${workload.requests} | ${(wallMs / 1000).toFixed(1)} s | ${(cpuMs / 1000).toFixed(1)} s | ${perRequestUs.toFixed(1)} | ${Math.round(meanMs)} ms |`,
    );
  }
} else {
  const described = values.models === undefined ? 'three models for each device' : `${values.models} models`;
  console.log(`Cost per request by devices: ${described}, skew 0.8, 27 requests a minute and device\n`);
  console.log('| policy | devices | models | requests | us per request | against the first | mean latency |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const policy of policies) {
    let base: number | undefined;
    for (const devices of values.devices.split(',').map(Number)) {
      const rpm = devices * RPM_PER_DEVICE;
      const models = values.models === undefined ? devices * MODELS_PER_DEVICE : Number(values.models);
      const workload = zipf(models, rpm, Math.max(LEAST_MINUTES, Math.round(LEAST_REQUESTS / rpm)));
      const { meanMs, perRequestUs } = run(policy, devices, workload);
      base ??= perRequestUs;
      console.log(
        `| ${policy} | ${devices} | ${workload.models.length} | ${workload.requests} | ${perRequestUs.toFixed(2)} | ` +
          `${(perRequestUs / base).toFixed(2)}x | ${Math.round(meanMs)} ms |`,
      );
    }
  }
}
