// A rehearsal of the checks on a machine without a GPU: the CPU in the place of a card, with a program in the place of the
// driver's. It shows that the checks themselves work, and says nothing of any GPU.

import { writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from '../../src/devices/types.ts';
import type { RunnerOptions } from '../../src/workers/runner.ts';

const UUID = 'GPU-rehearsal';

/** Puts the stand-ins in place for this process and its children. */
export function rehearse(folder: string): { readonly device: Device; readonly workers: RunnerOptions } {
  const memory = join(folder, `memory-${UUID}`);
  writeFileSync(memory, '8192, 8000\n');
  const program = fileURLToPath(new URL('../../test/fixtures/nvidia-smi', import.meta.url));
  process.env['PATH'] = `${program}${delimiter}${process.env['PATH']}`;
  process.env['FAKE_NVIDIA'] = folder;
  process.env['FAKE_CARD'] = memory;
  const device: Device = {
    id: 'cuda:0',
    kind: 'cuda',
    index: 0,
    name: 'rehearsal: the CPU in the place of a card',
    memoryBytes: 4e9,
    threads: 1,
    overlap: true,
    uuid: UUID,
  };
  return { device, workers: { backend: new URL('../../test/fixtures/backends/cpu-card.ts', import.meta.url).href } };
}
