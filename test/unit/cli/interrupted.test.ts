// What Ctrl-C leaves behind, and what was cancelled by somebody else: each is told as what it is.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ended, FROM_SOURCE, type Ended } from '../../helpers/cli.ts';
import { problem, startFakeDaemon, type FakeDaemon } from '../../helpers/fake-daemon.ts';

let daemon: FakeDaemon;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-interrupted-'));
  daemon = await startFakeDaemon(join(folder, 'home'));
});
afterEach(() => daemon.answers.clear());
afterAll(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true });
});

function start(args: readonly string[]): ChildProcess {
  daemon.requests.length = 0;
  const env = { ...process.env, GPUFAAS_HOME: daemon.home.root, GPUFAAS_URL: daemon.url, npm_command: '' };
  return spawn(process.execPath, [FROM_SOURCE, ...args], { cwd: folder, env });
}

/** Ctrl-C once the daemon was asked for this so often: by the last time, what was answered before has arrived. */
async function interruptAt(times: number, wanted: string, args: readonly string[]): Promise<Ended> {
  const child = start(args);
  const end = ended(child);
  const asked = () => daemon.requests.filter((request) => request === wanted).length;
  await expect.poll(asked, { timeout: 20_000 }).toBeGreaterThanOrEqual(times);
  child.kill('SIGINT');
  return end;
}

const interrupted = (goesOn: string): Ended => ({
  code: 130,
  stdout: '',
  stderr: `Error: Interrupted.\n→ ${goesOn}\n`,
});

it('says that a daemon that drains goes on', async () => {
  daemon.answers.set('POST /api/v1/shutdown', (response) => response.writeHead(202).end());
  expect(await interruptAt(2, 'GET /api/v1/status', ['down'])).toEqual(
    interrupted('The daemon goes on draining and then stops: `gpufaas status` shows whether it is still there.'),
  );
});

it('says that a call goes on whose answer was waited for', async () => {
  daemon.answers.set('GET /async-function/a-call', (response) => response.writeHead(202).end());
  expect(await interruptAt(2, 'GET /async-function/a-call', ['calls', 'show', 'a-call', '--wait'])).toEqual(
    interrupted(
      'The call goes on: `gpufaas calls show a-call --wait` waits again, `gpufaas calls cancel a-call` ends it.',
    ),
  );
});

it('says of a call that was cancelled how to run it again, as a failure of the call', async () => {
  daemon.answers.set('GET /async-function/a-call', (response) =>
    problem(response, 499, 'CANCELLED', 'The call was cancelled.'),
  );
  expect(await ended(start(['calls', 'show', 'a-call']))).toEqual({
    code: 1,
    stdout: '',
    stderr: 'Error: The call was cancelled.\n→ `gpufaas calls retry a-call` runs it again.\n',
  });
});
