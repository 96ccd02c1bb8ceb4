// What a load costs a device that copies models, by the form of the files (the original, or the portable form that is made at
// deploy) and by where they are read from: the disk with its pages dropped before, the disk with its pages in the page cache,
// files in memory. In turns in one worker. The CPU stands in for the device, without prepacking, which is the CPU's alone.
//   node bench/host-cache.ts [--megabytes 100,500] [--rounds 5] [--folder DIR] [--json]
// `--folder` names a place on the disk in question; dropping pages needs GNU dd.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { coreCount } from '../src/devices/host-memory.ts';
import { makeMemoryFolder } from '../src/models/memory-folder.ts';
import { preparePortable } from '../src/models/portable.ts';
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

/** The system forgets the pages of the files beside this one. */
function dropPages(path: string): void {
  for (const name of readdirSync(dirname(path))) {
    const parameters = [`of=${join(dirname(path), name)}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
    execFileSync('dd', parameters, { stdio: 'ignore' });
  }
}

async function load(runner: DeviceRunner, path: string): Promise<number> {
  const startMs = performance.now();
  const sessionOptions = { extra: { session: { disable_prepacking: '1' } } };
  await runner.load({ id: 'm', path, prepared: false, sessionOptions, inputs: [], outputs: [] });
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
const rows: { megabytes: number; form: string; tier: string; loadMs: number; leastMs: number; mostMs: number }[] = [];
const budgetBytes = 8e9;
try {
  await runner.start();
  for (const megabytes of values.megabytes.split(',').map(Number)) {
    const original = join(folder, String(megabytes), 'model.onnx');
    mkdirSync(dirname(original));
    const bytes = buildNetwork({ kind: 'cnn', megabytes, seed: 1 }).encode();
    writeFileSync(original, bytes);
    const stored = { sha256: String(megabytes), path: original, bytes: bytes.byteLength, inputs: [], outputs: [] };
    const portable = await preparePortable(stored, join(folder, 'prepared'), { budgetBytes });
    for (const [form, path] of [['original', original] as const, ['portable', portable!.path] as const]) {
      const inMemory = join(memory, `${form}-${megabytes}`);
      cpSync(dirname(path), inMemory, { recursive: true });
      const times = new Map(TIERS.map((tier) => [tier, [] as number[]]));
      await load(runner, path);
      for (let round = 0; round < Number(values.rounds); round++) {
        dropPages(path);
        times.get('disk, pages dropped')!.push(await load(runner, path));
        times.get('disk, page cache')!.push(await load(runner, path));
        times.get('host cache')!.push(await load(runner, join(inMemory, 'model.onnx')));
      }
      for (const [tier, each] of times) {
        rows.push({
          megabytes,
          form,
          tier,
          loadMs: median(each),
          leastMs: Math.min(...each),
          mostMs: Math.max(...each),
        });
      }
      rmSync(inMemory, { recursive: true });
    }
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
  for (const { megabytes, form, tier, loadMs, leastMs, mostMs } of rows) {
    const range = `(${leastMs.toFixed(0)} to ${mostMs.toFixed(0)})`;
    console.log(
      `${String(megabytes).padStart(5)} MB  ${form}  ${tier.padEnd(20)} ${loadMs.toFixed(0).padStart(6)}  ${range}`,
    );
  }
}
