// How the scheduling core scales: cost per decision by number of devices at the same load per device, and a million
// requests on 1,000 devices with 10,000 models. Run: node bench/scheduler-scale.ts [--policies lalbo3,locality] [--quick]

import { parseArgs } from 'node:util';
import { createScheduler, POLICIES } from '../src/scheduling/scheduler.ts';
import type { SchedulingCore } from '../src/scheduling/types.ts';
import { simulate } from '../src/simulation/kernel.ts';
import { paperProfile, workingSetModels } from '../src/simulation/profile.ts';
import { openWorkload } from '../src/simulation/workloads.ts';

const { values } = parseArgs({
  options: {
    policies: { type: 'string', default: POLICIES.map((policy) => policy.name).join(',') },
    quick: { type: 'boolean', default: false },
  },
});
const policies = values.policies.split(',');
const MEMORY_BYTES = 7_800_000_000;
/** Requests a minute per device: about 60% of what a device can run. */
const RPM_PER_DEVICE = 27;

interface Measurement {
  readonly wallMs: number;
  readonly coreMs: number;
  readonly decisions: number;
  readonly requests: number;
  readonly meanMs: number;
}

/** The time spent inside the core alone, as opposed to the kernel around it. */
function timed(core: SchedulingCore): { core: SchedulingCore; spentMs: () => number } {
  let spent = 0;
  return {
    spentMs: () => spent,
    core: {
      apply(nowMs, event) {
        const start = performance.now();
        core.apply(nowMs, event);
        spent += performance.now() - start;
      },
      decide(nowMs) {
        const start = performance.now();
        const actions = core.decide(nowMs);
        spent += performance.now() - start;
        return actions;
      },
      nextWakeMs: () => core.nextWakeMs(),
      view: () => core.view(),
    },
  };
}

function measure(policy: string, devices: number, models: number, requests: number): Measurement {
  const rpm = devices * RPM_PER_DEVICE;
  const workload = openWorkload({
    kind: 'zipf',
    models: workingSetModels(paperProfile(), models),
    rpm: Math.min(rpm, requests),
    minutes: Math.max(1, Math.round(requests / rpm)),
    skew: 0.8,
    seed: 1,
  });
  const scheduler = timed(createScheduler({ policy, maxQueuedRequests: Infinity, maxQueuedBytes: Infinity }));
  const start = performance.now();
  const outcome = simulate({
    core: scheduler.core,
    devices: Array.from({ length: devices }, (_, i) => ({
      id: `emulated:${i}`,
      memoryBytes: MEMORY_BYTES,
      overlap: true,
    })),
    workload,
  });
  const wallMs = performance.now() - start;
  const meanMs = outcome.latencyMs.reduce((sum, ms) => sum + ms, 0) / outcome.requests;
  return { wallMs, coreMs: scheduler.spentMs(), decisions: outcome.decisions, requests: outcome.requests, meanMs };
}

console.log(
  'Cost per decision, by devices (three models for each device, skew 0.8, 27 requests a minute and device)\n',
);
console.log(
  '| policy | devices | models | requests | decisions | core, us per decision | against 16 devices | mean latency |',
);
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const policy of policies) {
  measure(policy, 16, 48, 20_000); // warms the compiler up
  let base = 0;
  for (const devices of [16, 64, 256, 1024, 4096]) {
    const result = measure(policy, devices, devices * 3, values.quick ? 60_000 : 300_000);
    const perDecisionUs = (result.coreMs * 1000) / result.decisions;
    if (devices === 16) base = perDecisionUs;
    console.log(
      `| ${policy} | ${devices} | ${devices * 3} | ${result.requests} | ${result.decisions} | ${perDecisionUs.toFixed(2)} | ` +
        `${(perDecisionUs / base).toFixed(2)}x | ${Math.round(result.meanMs)} ms |`,
    );
  }
}

if (!values.quick) {
  console.log('\nA million requests on 1,000 devices with 10,000 models\n');
  console.log('| policy | requests | wall time | mean latency |');
  console.log('| --- | ---: | ---: | ---: |');
  for (const policy of policies) {
    const result = measure(policy, 1000, 10_000, 1_000_000);
    console.log(
      `| ${policy} | ${result.requests} | ${(result.wallMs / 1000).toFixed(1)} s | ${Math.round(result.meanMs)} ms |`,
    );
  }
}
