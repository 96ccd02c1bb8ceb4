// What the host cache saves of a load: the same model made resident from the disk with its pages dropped before, from the disk
// with its pages in the page cache, and from files in memory, in turns in one worker. The CPU stands in for the device: what
// comes after the reading is its own.
//   node bench/host-cache.ts [--megabytes 100,500] [--rounds 5] [--folder DIR] [--json]
// `--folder` names a place on the disk in question; dropping pages needs GNU dd.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { coreCount } from '../src/devices/host-memory.ts';
import { makeMemoryFolder } from '../src/models/memory-folder.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork } from '../src/onnx/networks.ts';
import { createRunner, type DeviceRunner } from '../src/workers/runner.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100,500' },
    rounds: { type: 'string', default: '5' },
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'boolean' },
  },
});
const TIERS = ['disk, pages dropped', 'disk, page cache', 'host cache'] as const;

/** The system forgets the pages of a file. */
function dropPages(path: string): void {
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' });
}

async function load(runner: DeviceRunner, path: string): Promise<number> {
  const startMs = performance.now();
  await runner.load({ id: 'm', path, prepared: false, inputs: [], outputs: [] });
  const tookMs = performance.now() - startMs;
  await runner.evict('m');
  return tookMs;
}

const folder = mkdtempSync(join(values.folder, 'gpufaas-bench-'));
const memory = makeMemoryFolder(folder);
const runner = createRunner(
  { id: 'cpu:0', kind: 'cpu', index: 0, name: '', memoryBytes: 8e9, threads: coreCount(), overlap: true },
  {},
  { onReady: () => undefined, onLost: () => undefined, onNotice: () => undefined },
);
const rows: { megabytes: number; tier: string; loadMs: number; leastMs: number; mostMs: number }[] = [];
try {
  await runner.start();
  for (const megabytes of values.megabytes.split(',').map(Number)) {
    const onDisk = join(folder, String(megabytes));
    mkdirSync(onDisk);
    const path = join(onDisk, 'model.onnx');
    writeFileSync(path, buildNetwork({ kind: 'cnn', megabytes, seed: 1 }).encode());
    const inMemory = join(memory, String(megabytes));
    cpSync(onDisk, inMemory, { recursive: true });
    const times = new Map(TIERS.map((tier) => [tier, [] as number[]]));
    await load(runner, path);
    for (let round = 0; round < Number(values.rounds); round++) {
      dropPages(path);
      times.get('disk, pages dropped')!.push(await load(runner, path));
      times.get('disk, page cache')!.push(await load(runner, path));
      times.get('host cache')!.push(await load(runner, join(inMemory, 'model.onnx')));
    }
    for (const [tier, each] of times) {
      rows.push({ megabytes, tier, loadMs: median(each), leastMs: Math.min(...each), mostMs: Math.max(...each) });
    }
    rmSync(inMemory, { recursive: true });
  }
} finally {
  await runner.stop(true);
  for (const path of [folder, memory]) rmSync(path, { recursive: true, force: true });
}
const processor = `${coreCount()} x ${cpus()[0]?.model.trim() ?? 'unknown'}`;
if (values.json === true) {
  console.log(JSON.stringify({ processor, rows }, null, 2));
} else {
  console.log(`${processor}; milliseconds of a load, median (least to most) of ${values.rounds} rounds`);
  for (const { megabytes, tier, loadMs, leastMs, mostMs } of rows) {
    const range = `(${leastMs.toFixed(0)} to ${mostMs.toFixed(0)})`;
    console.log(`${String(megabytes).padStart(5)} MB  ${tier.padEnd(20)} ${loadMs.toFixed(0).padStart(6)}  ${range}`);
  }
}
