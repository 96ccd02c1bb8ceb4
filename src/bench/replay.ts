// A replay: the recorded requests under the policies and devices that were asked for, beside how they fared in truth and
// how the simulator sees them on the devices they ran on.

import { knownPolicies } from './policies.ts';
import type { Recording } from './recording.ts';
import { runBench } from './run-bench.ts';
import type { BenchFindings, BenchWishes } from './run-bench.ts';
import { readSettings } from './settings.ts';
import type { BenchFlags } from './settings.ts';
import type { WhatIf } from './what-if.ts';

/** Simulates a recording. Throws GpufaasError USAGE or DOES_NOT_FIT before the first simulation. */
export async function replayRecording(
  recording: Recording,
  since: string | null,
  flags: BenchFlags,
  whatIf: WhatIf | null,
  wishes: BenchWishes,
): Promise<BenchFindings> {
  const recorded = { since, list: recording.list, devices: recording.devices };
  const findings = await runBench(readSettings({ ...flags, ...whatIf?.flags }, recorded), wishes);
  // How far the simulator is from the truth is what makes a what-if believable, so it is always shown.
  const own = knownPolicies().find((policy) => policy === recording.figures.policy);
  const asIs =
    own === undefined
      ? undefined
      : await runBench(readSettings({ policy: own, overlap: flags.overlap }, recorded), { signal: wishes.signal });
  return {
    ...findings,
    report: {
      ...findings.report,
      recorded: recording.figures,
      ...(asIs === undefined ? {} : { asIs: asIs.report.results }),
    },
  };
}
