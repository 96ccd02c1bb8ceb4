// Lists of calls narrowed to one function: nothing there is one thing, no such function another.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AsyncCallSummary } from '../../../src/api/schemas.ts';
import { INVOCATION, startFakeDaemon, type FakeDaemon } from '../../helpers/fake-daemon.ts';

const program = fileURLToPath(new URL('../../../bin/dev.js', import.meta.url));
const UNKNOWN = 'Error: There is no function "ecco".\n→ Did you mean echo?\n';
const CALL: AsyncCallSummary = {
  id: '11112222-aaaa-4000-8000-000000000001',
  function: 'gone',
  state: 'done',
  status: 200,
  errorCode: null,
  attempts: 1,
  submittedAt: '2026-01-01T00:00:00.000Z',
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:00:01.000Z',
  requestBytes: 1,
  answerBytes: 1,
  callback: 'none',
};
let daemon: FakeDaemon;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-unknown-'));
  daemon = await startFakeDaemon(join(folder, 'home'));
});
afterEach(() => daemon.answers.clear());
afterAll(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true });
});

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, GPUFAAS_HOME: daemon.home.root, npm_command: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env, timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

/** What the daemon has of calls: everything, and with a state asked for. */
function keeps(path: string, calls: readonly object[], inState: readonly object[] = calls): void {
  daemon.answers.set(`GET /api/v1/${path}`, (response, _body, request) =>
    response.end(JSON.stringify(request.url!.includes('state=') ? inState : calls)),
  );
}

describe('explain --function', () => {
  it('says that there is no such function', async () => {
    keeps('invocations', []);
    expect(await run('explain', '--function', 'ecco')).toEqual({ code: 3, stdout: '', stderr: UNKNOWN });
  });

  it('says of one that exists that it was not called', async () => {
    keeps('invocations', []);
    const { code, stderr } = await run('explain', '--function', 'echo');
    expect({ code, stderr }).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('No call of echo has been recorded yet.'),
    });
  });

  it('tells of the calls of one that was removed', async () => {
    keeps('invocations', [{ ...INVOCATION, function: 'gone' }]);
    const { code, stdout } = await run('explain', '--function', 'gone', '--json');
    expect({ code, record: JSON.parse(stdout) }).toMatchObject({ code: 0, record: { function: 'gone' } });
  });
});

describe('calls ls --function', () => {
  it('says that there is no such function', async () => {
    keeps('calls', []);
    expect(await run('calls', 'ls', '--function', 'ecco')).toEqual({ code: 3, stdout: '', stderr: UNKNOWN });
  });

  it('lists nothing of one that exists and was not called', async () => {
    keeps('calls', []);
    const { code, stderr } = await run('calls', 'ls', '--function', 'echo');
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('No such calls.') });
  });

  it('lists the calls of one that was removed, be it none in the state asked for', async () => {
    keeps('calls', [CALL], []);
    expect((await run('calls', 'ls', '--function', 'gone')).stdout).toContain('gone');
    const failed = await run('calls', 'ls', '--function', 'gone', '--state', 'failed', '--json');
    expect({ code: failed.code, calls: JSON.parse(failed.stdout) }).toEqual({ code: 0, calls: [] });
  });
});
