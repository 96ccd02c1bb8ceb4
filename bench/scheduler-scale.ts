// How the scheduling core scales: cost per request (its arrival, its placement, its end) by number of devices at the same
// load per device, and a million requests on 1,000 devices with 10,000 models.
// Run: node bench/scheduler-scale.ts [--policies lalbo3,locality] [--devices 16,256,4096] [--million]

import { parseArgs } from 'node:util';
import { createScheduler, POLICIES } from '../src/scheduling/scheduler.ts';
import type { SchedulingCore } from '../src/scheduling/types.ts';
import { simulate } from '../src/simulation/kernel.ts';
import { paperProfile, workingSetModels } from '../src/simulation/profile.ts';
import type { Workload } from '../src/simulation/types.ts';
import { openWorkload } from '../src/simulation/workloads.ts';

const { values } = parseArgs({
  options: {
    policies: { type: 'string', default: POLICIES.map((policy) => policy.name).join(',') },
    devices: { type: 'string', default: '16,64,256,1024,4096' },
    million: { type: 'boolean', default: false },
  },
});
const policies = values.policies.split(',');
const MEMORY_BYTES = 7_800_000_000;
/** Requests a minute per device: about 60% of what a device can run. */
const RPM_PER_DEVICE = 27;
const MODELS_PER_DEVICE = 3;
const LEAST_REQUESTS = 200_000;
const LEAST_MINUTES = 6;

/** Adds up the time spent inside the core alone, not in the kernel around it; the first half only warms up. */
class TimedCore implements SchedulingCore {
  readonly #core: SchedulingCore;
  readonly #from: number;
  #submitted = 0;
  spentMs = 0;

  constructor(core: SchedulingCore, from: number) {
    this.#core = core;
    this.#from = from;
  }

  apply(...[nowMs, event]: Parameters<SchedulingCore['apply']>): void {
    if (event.type === 'submitted') this.#submitted++;
    const start = performance.now();
    this.#core.apply(nowMs, event);
    if (this.#submitted >= this.#from) this.spentMs += performance.now() - start;
  }

  decide(nowMs: number): ReturnType<SchedulingCore['decide']> {
    const start = performance.now();
    const actions = this.#core.decide(nowMs);
    if (this.#submitted >= this.#from) this.spentMs += performance.now() - start;
    return actions;
  }

  nextWakeMs(): number | null {
    return this.#core.nextWakeMs();
  }

  view(): ReturnType<SchedulingCore['view']> {
    return this.#core.view();
  }
}

function run(policy: string, devices: number, workload: Workload) {
  const core = new TimedCore(
    createScheduler({ policy, maxQueuedRequests: Infinity, maxQueuedBytes: Infinity }),
    workload.requests / 2,
  );
  const start = performance.now();
  const outcome = simulate({
    core,
    devices: Array.from({ length: devices }, (_, i) => ({
      id: `emulated:${i}`,
      memoryBytes: MEMORY_BYTES,
      overlap: true,
    })),
    workload,
  });
  const wallMs = performance.now() - start;
  const meanMs = outcome.latencyMs.reduce((sum, ms) => sum + ms, 0) / outcome.requests;
  return { wallMs, meanMs, perRequestUs: (core.spentMs * 1000) / (outcome.requests / 2) };
}

function zipf(models: number, rpm: number, minutes: number): Workload {
  const specs = workingSetModels(paperProfile(), models);
  return openWorkload({ kind: 'zipf', models: specs, rpm, minutes, skew: 0.8, seed: 1 });
}

if (values.million) {
  console.log('A million requests on 1,000 devices with 10,000 models (skew 0.8, 27,000 a minute)\n');
  console.log('| policy | requests | wall time | core, us per request | mean latency |');
  console.log('| --- | ---: | ---: | ---: | ---: |');
  for (const policy of policies) {
    const workload = zipf(10_000, 1000 * RPM_PER_DEVICE, 37);
    const { wallMs, meanMs, perRequestUs } = run(policy, 1000, workload);
    console.log(
      `| ${policy} | ${workload.requests} | ${(wallMs / 1000).toFixed(1)} s | ${perRequestUs.toFixed(1)} | ${Math.round(meanMs)} ms |`,
    );
  }
} else {
  console.log('Cost per request by devices: three models for each device, skew 0.8, 27 requests a minute and device\n');
  console.log('| policy | devices | models | requests | core, us per request | against the first | mean latency |');
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const policy of policies) {
    let base: number | undefined;
    for (const devices of values.devices.split(',').map(Number)) {
      const rpm = devices * RPM_PER_DEVICE;
      const workload = zipf(
        devices * MODELS_PER_DEVICE,
        rpm,
        Math.max(LEAST_MINUTES, Math.round(LEAST_REQUESTS / rpm)),
      );
      const { meanMs, perRequestUs } = run(policy, devices, workload);
      base ??= perRequestUs;
      console.log(
        `| ${policy} | ${devices} | ${workload.models.length} | ${workload.requests} | ${perRequestUs.toFixed(2)} | ` +
          `${(perRequestUs / base).toFixed(2)}x | ${Math.round(meanMs)} ms |`,
      );
    }
  }
}
