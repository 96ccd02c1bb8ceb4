// What a handler's process costs: its start, and a warm call of a handler that answers its body.
//
//   node bench/handlers.ts [CALLS]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseManifest } from '../src/functions/manifest.ts';
import { createFunctionProcess } from '../src/functions/process.ts';
import type { FunctionProcess } from '../src/functions/types.ts';

const HANDLER = `import { defineHandler } from 'gpufaas';\nexport default defineHandler((request) => request.bytes());\n`;
const STARTS = 10;

const calls = Number(process.argv[2] ?? 2000);
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
writeFileSync(join(folder, 'handler.ts'), HANDLER);

function makeProcess(): FunctionProcess {
  const manifest = parseManifest('name: echo\nhandler: handler.ts\n', { source: 'function.yaml' });
  const version = { name: 'echo', version: 1, manifest, folder, models: {}, createdAtMs: 0 };
  return createFunctionProcess(version, {}, { onLog: () => undefined, onNotice: () => undefined });
}

async function timesOf(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedMs = performance.now();
    await work();
    times.push(performance.now() - startedMs);
  }
  return times.toSorted((a, b) => a - b);
}

function report(what: string, sorted: readonly number[]): void {
  const at = (share: number): string => sorted[Math.floor(sorted.length * share)]!.toFixed(3);
  console.log(`${what.padEnd(28)} p50 ${at(0.5)} ms   p99 ${at(0.99)} ms   (${sorted.length})`);
}

try {
  const starts: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const one = makeProcess();
    starts.push(...(await timesOf(1, () => one.start())));
    await one.stop();
  }
  report(
    'start',
    starts.toSorted((a, b) => a - b),
  );
  const echo = makeProcess();
  await echo.start();
  for (const bytes of [10, 10_000, 600_000]) {
    const body = Buffer.alloc(bytes, 'x');
    const request = { callId: 'bench', method: 'POST', path: '/', headers: {}, body };
    const call = (): Promise<unknown> => echo.invoke(request, () => Promise.resolve([]), new AbortController().signal);
    await timesOf(200, call);
    report(`warm call, ${bytes} bytes both ways`, await timesOf(calls, call));
  }
  await echo.stop();
} finally {
  rmSync(folder, { recursive: true });
}
