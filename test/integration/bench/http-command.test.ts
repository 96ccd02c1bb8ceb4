// `gpufaas bench http` as a user runs it, against a daemon that ends in the middle or that fails.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpReport } from '../../../src/bench/http/report.ts';
import { problem, startFakeDaemon, type FakeDaemon } from '../../helpers/fake-daemon.ts';

const program = fileURLToPath(new URL('../../../bin/dev.js', import.meta.url));
let daemon: FakeDaemon;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-load-command-'));
  daemon = await startFakeDaemon(join(folder, 'home'));
});
afterEach(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true });
});

function load(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const args = [program, 'bench', 'http', 'echo', '--data', 'x', ...flags];
  const env = { ...process.env, GPUFAAS_HOME: daemon.home.root, npm_command: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

/** The first calls are answered; what comes then is done with each. */
function after(calls: number, then: Parameters<FakeDaemon['answers']['set']>[1]): void {
  let count = 0;
  daemon.answers.set('POST /function/echo', (response, ...rest) => {
    if (++count <= calls) response.end('x');
    else then(response, ...rest);
  });
}

describe('gpufaas bench http', () => {
  it('ends when the daemon is gone, says so, and keeps what was measured', async () => {
    after(20, () => void daemon.close());
    const { code, stdout, stderr } = await load('-d', '1h');
    expect(code).toBe(4);
    expect(stdout).toMatch(/throughput .*\(\d+ answered\)/);
    expect(stderr).toMatch(/Error: The daemon is gone: .*\n→ .*gpufaas up/);
  });

  it('gives the same report as JSON', async () => {
    after(20, () => void daemon.close());
    const { code, stdout } = await load('-d', '1h', '--json');
    expect(code).toBe(4);
    const report = JSON.parse(stdout) as HttpReport;
    expect(report).toMatchObject({ function: 'echo', daemonGone: true });
    expect(report.requests).toBeGreaterThan(0);
  });

  it('exits 1 when most calls failed', async () => {
    after(2, (response) => problem(response, 429, 'QUEUE_FULL', 'The queue is full.'));
    const { code, stdout, stderr } = await load('-d', '1s');
    expect(code).toBe(1);
    expect(stdout).toMatch(/failed +\d+: \d+ × 429/);
    expect(stderr).toMatch(/Error: Most calls failed: \d+ of \d+\.\n→ /);
  });
});
