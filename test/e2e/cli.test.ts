// The command line with the real daemon on a CPU device: starting and stopping, exit codes, what two terminals do to
// each other, what a killed daemon leaves behind.

import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { PsResponse, StatusResponse } from '../../src/api/schemas.ts';
import { DAEMON_NODE_FLAGS } from '../../src/node-flags.ts';
import { OnnxModel } from '../../src/onnx/write.ts';
import { ended, FROM_SOURCE, Sandbox } from '../helpers/cli.ts';

/** A busy machine takes its time to start processes. */
const PATIENTLY = { timeout: 20_000 };

const sandboxes: Sandbox[] = [];
const sandbox = (environment?: Readonly<Record<string, string>>, program?: string) => {
  const made = new Sandbox(environment, program);
  sandboxes.push(made);
  return made;
};
afterAll(async () => {
  for (const each of sandboxes) await each.close();
});

/** y = 2x + 1, as a file in the sandbox. */
function writeModel({ folder }: Sandbox): string {
  const scalar = (value: number) => ({ datatype: 'FP32', shape: [1], data: new Float32Array([value]) }) as const;
  const model = new OnnxModel()
    .input('x', 'FP32', ['batch', 3])
    .constant('two', scalar(2))
    .constant('one', scalar(1))
    .node('Mul', ['x', 'two'], ['doubled'])
    .node('Add', ['doubled', 'one'], ['y'])
    .output('y', 'FP32', ['batch', 3]);
  writeFileSync(join(folder, 'line.onnx'), model.encode());
  return 'line.onnx';
}

const TENSORS = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }] });

describe('one home', () => {
  const main = sandbox();

  it('is without a daemon at first: status exits 4, and --no-start starts none', async () => {
    expect((await main.run(['status'])).code).toBe(4);
    expect((await main.run(['load', 'line', '--no-start'])).code).toBe(4);
    expect((await main.run(['deploy', writeModel(main), '--no-start'])).code).toBe(4);
  });

  it('gets one daemon from two terminals that start it at once', async () => {
    const up = ['up', '--port', '0', '--json'];
    const both = await Promise.all([main.run(up), main.run(up)]);
    expect(both.map((each) => each.code)).toEqual([0, 0]);
    const [first, second] = both.map((each) => JSON.parse(each.stdout));
    expect(first.pid).toBe(second.pid);
    expect(first.started).toBe(!second.started);
    for (const { started, ignored } of [first, second]) expect(ignored).toEqual(started ? [] : ['--port 0']);
    expect(first).toMatchObject({
      status: 'ready',
      pid: expect.any(Number),
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      version: expect.any(String),
      policy: expect.any(String),
      devices: [{ id: 'cpu:0', kind: 'cpu', memoryBytes: 1e9 }],
      uptimeMs: expect.any(Number),
    });
  });

  it.runIf(process.platform === 'linux')('bounds the space for new objects of its Node', () => {
    const command = readFileSync(`/proc/${main.pid()}/cmdline`, 'utf8').split('\0');
    expect(command).toEqual(expect.arrayContaining([...DAEMON_NODE_FLAGS]));
  });

  it('keeps its token to its owner', () => {
    expect(statSync(join(main.home, 'token')).mode & 0o777).toBe(0o600);
  });

  it('keeps all it writes to its owner, whoever made the home', () => {
    const open = readdirSync(main.home).filter((name) => (statSync(join(main.home, name)).mode & 0o077) !== 0);
    expect(open).toEqual([]);
  });

  it('serves a bare model: a miss, then a hit', async () => {
    const deployed = await main.json('deploy', 'line.onnx');
    expect(deployed).toMatchObject({
      name: 'line',
      version: 1,
      models: [{ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    });
    const miss = await main.run(['invoke', 'line', '-d', TENSORS]);
    expect(JSON.parse(miss.stdout).outputs[0]).toMatchObject({ name: 'y', shape: [1, 3], data: [3, 5, 7] });
    expect(miss.stderr).toMatch(/^MISS load \d+ ms → cpu:0 · queue \d+ ms · run \d+ ms · total \d+ ms\n$/);
    const hit = await main.run(['invoke', 'line'], { input: TENSORS });
    expect(hit.stderr).toMatch(/^HIT cpu:0 · queue \d+ ms · run \d+ ms · total \d+ ms\n$/);
    expect(await main.json('invoke', 'line', '-d', TENSORS)).toMatchObject({
      id: expect.any(String),
      function: 'line',
      version: 1,
      status: 200,
      result: { outputs: [{ data: [3, 5, 7] }] },
      cache: 'hit',
      device: 'cpu:0',
      runs: [{ device: 'cpu:0', cache: 'hit', loadMs: 0 }],
      timing: { queueMs: expect.any(Number), loadMs: 0, runMs: expect.any(Number), totalMs: expect.any(Number) },
    });
  });

  it('shows what is resident, lets it go and takes it back', async () => {
    const resident = async (...args: string[]) => {
      const [device] = (await main.json<PsResponse>(...args)).devices;
      const bytes = device!.resident.reduce((sum, model) => sum + model.bytes, 0);
      expect(device!.usedBytes).toBe(bytes);
      return device!.resident.map((model) => model.functions);
    };
    expect(await resident('ps')).toEqual([['line']]);
    expect(await resident('unload', 'line')).toEqual([]);
    expect(await resident('load', 'line')).toEqual([['line']]);
    expect(await main.json('ls')).toEqual([
      { name: 'line', version: 1, status: 'ready', models: expect.any(Array), invocations: 3 },
    ]);
  });

  it('explains a call by its id', async () => {
    const { id } = await main.json<{ id: string }>('invoke', 'line', '-d', TENSORS);
    expect(await main.json('explain', id)).toMatchObject({ id, function: 'line', cache: 'hit' });
    expect((await main.run(['explain', 'nonsense'])).code).toBe(3);
  });

  it('refuses bad input with exit code 2 and a line that helps', async () => {
    const wrong = TENSORS.replace('"x"', '"z"');
    const { code, stdout, stderr } = await main.run(['invoke', 'line', '-d', wrong]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Error: .*"?z"?.*\n→ .*\n$/);
  });

  it('keeps what was deployed when the daemon is killed', async () => {
    process.kill(main.pid()!, 'SIGKILL');
    await expect.poll(async () => (await main.run(['status'])).code, PATIENTLY).toBe(4);
    // No `up`: the call starts the daemon by itself, where the settings say.
    await main.run(['config', 'set', 'port', '0']);
    const { code, stderr } = await main.run(['invoke', 'line', '-d', TENSORS]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Started the daemon at .*\n(HIT|MISS) /);
  });

  it('removes a function without a question where there is no terminal', async () => {
    expect(await main.json('rm', 'line')).toEqual({ name: 'line', removed: true });
    expect((await main.run(['invoke', 'line', '-d', TENSORS])).code).toBe(3);
  });

  it('stops the daemon: down, then 4', async () => {
    const pid = main.pid()!;
    expect(await main.json('down')).toMatchObject({ stopped: true, pid });
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    expect((await main.run(['down'])).code).toBe(4);
  });
});

describe('two homes', () => {
  it('have each their own daemon and functions, whether built or from source', async () => {
    const [one, two] = [sandbox({}, FROM_SOURCE), sandbox()];
    for (const each of [one, two]) await each.run(['up', '--port', '0']);
    expect(one.pid()).not.toBe(two.pid());
    await one.run(['deploy', writeModel(one), '--name', 'mine']);
    expect(await one.json('ls')).toMatchObject([{ name: 'mine' }]);
    expect(await two.json('ls')).toEqual([]);
  });

  it('that want the same port: the second says so and leaves nothing running', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const late = sandbox();
    const { code, stdout } = await late.run(['up', '--port', String(port), '--json']);
    server.close();
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: 'PORT_TAKEN',
      suggestions: [expect.stringContaining('--port')],
    });
    expect((await late.run(['status'])).code).toBe(4);
  });
});

describe('a start that goes wrong', () => {
  it('tells what is wrong with --devices, with exit code 2', async () => {
    const { code, stderr } = await sandbox().run(['up', '--devices', 'toaster']);
    expect(code).toBe(2);
    expect(stderr).toContain('toaster');
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it('does not take a stale file of a killed daemon for a daemon', async () => {
    const stale = sandbox();
    mkdirSync(stale.home, { recursive: true });
    const file = { pid: 1, url: 'http://127.0.0.1:9', version: '0.0.1', startedAt: '2020-01-01T00:00:00Z' };
    writeFileSync(join(stale.home, 'daemon.json'), JSON.stringify(file));
    expect((await stale.run(['ls'])).code).toBe(4);
    expect(await stale.json('up', '--port', '0')).toMatchObject({ status: 'ready', started: true });
  });
});

describe('serve', () => {
  it('says one line when it is ready, drains on SIGTERM and exits 0', async () => {
    const served = sandbox();
    const child = served.start(['serve', '--port', '0']);
    const end = ended(child);
    await once(child.stdout!, 'data');
    expect(await served.json('status')).toMatchObject({ status: 'ready', pid: child.pid });
    const second = await served.run(['serve', '--port', '0', '--json']);
    expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: 'DAEMON_RUNNING' } });
    child.kill('SIGTERM');
    const { code, stdout } = await end;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^gpufaas \S+ serves at http:\/\/127\.0\.0\.1:\d+ on cpu:0\.\n$/);
  });
});

describe('Ctrl-C', () => {
  it('ends a call with 130 and the daemon lives on', async () => {
    const patient = sandbox({ GPUFAAS_DEVICES: 'emulated:1@1GB' });
    await patient.run(['up', '--port', '0']);
    writeModel(patient);
    // A handler that answers after a minute: only an interruption ends the call sooner.
    mkdirSync(join(patient.folder, 'slow'));
    cpSync(join(patient.folder, 'line.onnx'), join(patient.folder, 'slow', 'line.onnx'));
    writeFileSync(join(patient.folder, 'slow', 'function.yaml'), 'name: slow\nhandler: handler.js\ntimeout: 2m\n');
    const handler =
      'export default async () => { await new Promise((end) => setTimeout(end, 60_000)); return "late"; };\n';
    writeFileSync(join(patient.folder, 'slow', 'handler.js'), handler);
    expect(await patient.run(['deploy', 'slow'])).toMatchObject({ code: 0 });
    const child = patient.start(['invoke', 'slow', '-d', 'x']);
    const end = ended(child);
    await expect.poll(async () => (await patient.json<StatusResponse>('status')).underWay, PATIENTLY).toBe(1);
    child.kill('SIGINT');
    expect(await end).toMatchObject({ code: 130, stdout: '' });
    await expect.poll(async () => (await patient.json<StatusResponse>('status')).underWay, PATIENTLY).toBe(0);
  });

  it('during a start leaves no daemon behind', async () => {
    const early = sandbox();
    const child = early.start(['up', '--port', '0']);
    const end = ended(child);
    await expect
      .poll(() => readable(join(early.home, 'logs', 'daemon.out')), { ...PATIENTLY, interval: 10 })
      .toBe(true);
    child.kill('SIGINT');
    expect((await end).code).toBe(130);
    await sleep(1_000);
    expect((await early.run(['status'])).code).toBe(4);
  });
});

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

describe('a pipe that is closed early', () => {
  it('ends a command quietly', async () => {
    const broken = sandbox();
    const child = broken.start(['--help']);
    child.stdout!.destroy();
    const { code, stderr } = await ended(child);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});
