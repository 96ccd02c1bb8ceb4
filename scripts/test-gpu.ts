// Checks the GPUs of this machine with real models, by workers alone and through a whole daemon, and says what it saw:
//   npm run test:gpu [-- --json] [-- --devices cuda|webgpu] [-- --rehearse]
// Exit code 0: every GPU that was found passed; 1: one did not; 2: no GPU was found. `--rehearse` puts the CPU in the place
// of a card, to try the checks themselves.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { discoverCuda } from '../src/devices/discover.ts';
import { probeDevice } from '../src/devices/probe.ts';
import type { Device } from '../src/devices/types.ts';
import { formatSize } from '../src/units.ts';
import type { RunnerOptions } from '../src/workers/runner.ts';
import { type Check, Checks, tableOf } from './gpu/checks.ts';
import { checkDaemon } from './gpu/daemon-checks.ts';
import { answersOfCpu, writeNetworks } from './gpu/networks.ts';
import { rehearse } from './gpu/rehearsal.ts';
import { checkWorker } from './gpu/worker-checks.ts';

/** A rehearsal needs no large networks. */
const REHEARSED_SHARE = 0.1;

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, devices: { type: 'string' }, rehearse: { type: 'boolean' } },
});
const say = (text: string): void => {
  if (values.json !== true) console.log(text);
};
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-gpu-'));

async function cards(): Promise<Device[]> {
  const found: Device[] = [];
  const cuda = await discoverCuda();
  say(
    `CUDA: ${cuda.cards.length} cards; libraries ${cuda.librariesInstalled ? 'installed' : 'not installed (gpufaas setup cuda)'}${cuda.driverProblem === null ? '' : `; ${cuda.driverProblem}`}${cuda.closedNodes.length === 0 ? '' : `; no access to ${cuda.closedNodes.join(', ')}`}`,
  );
  const size = (bytes: number | null): string => (bytes === null ? 'unknown' : formatSize(bytes));
  for (const { card, device, problem } of cuda.cards) {
    say(
      `  ${card.index}: ${card.name}, ${size(card.totalBytes)}, ${size(card.freeBytes)} free, driver ${card.driverVersion}, compute mode ${card.computeMode}: ${problem ?? 'usable'}`,
    );
    if (device !== null) found.push(device);
  }
  return found;
}

async function adapters(): Promise<Device[]> {
  const device: Device = {
    id: 'webgpu:0',
    kind: 'webgpu',
    index: 0,
    name: 'WebGPU',
    memoryBytes: 2e9,
    threads: 1,
    overlap: false,
  };
  const probe = await probeDevice(device);
  say(`WebGPU: ${probe.usable ? 'an adapter answers' : probe.reason}`);
  return probe.usable ? [device] : [];
}

async function devices(): Promise<{ readonly found: Device[]; readonly workers: RunnerOptions }> {
  if (values.rehearse === true) {
    const { device, workers } = rehearse(folder);
    return { found: [device], workers };
  }
  const found: Device[] = [];
  if (values.devices === undefined || values.devices === 'cuda') found.push(...(await cards()));
  if (values.devices === undefined || values.devices === 'webgpu') found.push(...(await adapters()));
  return { found, workers: {} };
}

let exitCode: number;
try {
  const { found, workers } = await devices();
  const results: { device: string; name: string; checks: Check[] }[] = [];
  if (found.length > 0) {
    const models = writeNetworks(folder, values.rehearse === true ? REHEARSED_SHARE : 1);
    const answers = await answersOfCpu(models);
    for (const device of found) {
      say(`${device.id} (${device.name})`);
      const checks = new Checks(say);
      results.push({ device: device.id, name: device.name, checks: checks.done });
      await checkWorker(checks, device, models, answers, workers);
      await checkDaemon(checks, device, models, answers, folder, workers);
    }
  }
  const passed = results.every(({ checks }) => checks.every((check) => check.passed));
  exitCode = found.length === 0 ? 2 : passed ? 0 : 1;
  if (values.json === true) {
    const rehearsal = values.rehearse === true;
    console.log(JSON.stringify({ found: found.length, passed: exitCode === 0, rehearsal, results }, null, 2));
  }
  if (found.length > 0) say(`\n${tableOf(results)}\n`);
  say(found.length === 0 ? 'No GPU found that can be used.' : passed ? 'Every GPU passed.' : 'A GPU did not pass.');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = exitCode;
