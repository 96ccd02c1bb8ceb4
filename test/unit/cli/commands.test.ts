// The commands against a daemon that only answers: what goes to stdout, what to stderr, which exit code.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { INVOCATION, problem, startFakeDaemon, statusOf, type FakeDaemon } from '../../helpers/fake-daemon.ts';

// oclif loads commands with Node's own loader. Loaded by vitest's, this module would have other classes of errors than they.
const { execute } = createRequire(import.meta.url)('../../../src/cli/main.ts') as {
  execute: (argv: readonly string[]) => Promise<number>;
};
const program = fileURLToPath(new URL('../../../bin/dev.js', import.meta.url));
const TIMING = 'MISS load 412 ms → cpu:0 · queue 0 ms · run 9 ms · total 424 ms\n';
let daemon: FakeDaemon;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-commands-'));
  daemon = await startFakeDaemon(join(folder, 'home'));
});
afterEach(() => daemon.answers.clear());
afterAll(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command in this process, in the temporary folder, with this environment beside the home. */
async function run(args: readonly string[], { env = {} }: RunOptions = {}): Promise<Ended> {
  const before = { env: { ...process.env }, cwd: process.cwd(), exitCode: process.exitCode };
  const written = { stdout: '', stderr: '' };
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const write = stream.write.bind(stream);
    stream.write = (chunk: string | Uint8Array, done?: unknown) => {
      written[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      if (typeof done === 'function') done();
      return true;
    };
    return () => void (stream.write = write);
  });
  Object.assign(process.env, { GPUFAAS_HOME: daemon.home.root, NODE_ENV: '', npm_command: '' }, env);
  process.chdir(folder);
  process.exitCode = undefined;
  try {
    const code = await execute(args);
    return { code, ...written };
  } finally {
    for (const undo of restore) undo();
    process.chdir(before.cwd);
    for (const name of Object.keys(process.env)) if (!(name in before.env)) delete process.env[name];
    Object.assign(process.env, before.env);
    process.exitCode = before.exitCode;
  }
}

/** Runs a command as a process of its own. */
function spawnCommand(
  args: readonly string[],
  input: Buffer,
): Promise<{ code: number; stdout: Buffer; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, GPUFAAS_HOME: daemon.home.root, npm_command: '' };
    const child = execFile(
      process.execPath,
      [program, ...args],
      { cwd: folder, encoding: 'buffer', env, timeout: 20_000 },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr: stderr.toString() }),
    );
    child.stdin?.end(input);
  });
}

describe('invoke', () => {
  it('writes the answer to stdout byte for byte and one line of timing to stderr', async () => {
    const bytes = Buffer.from([0, 1, 0xff, 0x0a, 0x80]);
    const { code, stdout, stderr } = await spawnCommand(['invoke', 'echo'], bytes);
    expect([...stdout]).toEqual([...bytes]);
    expect(stderr).toBe(TIMING);
    expect(code).toBe(0);
  });

  it('gives all about the call with --json', async () => {
    const { stdout, stderr } = await run(['invoke', 'echo', '-d', '{"x":1}', '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      id: '0f3c',
      function: 'echo',
      version: 2,
      status: 200,
      result: { x: 1 },
      cache: 'miss',
      device: 'cpu:0',
      runs: [{ model: 'model', device: 'cpu:0', cache: 'miss', queueMs: 0.2, loadMs: 412.3, runMs: 8.9 }],
      timing: { queueMs: 0.2, loadMs: 412.3, runMs: 8.9, handlerMs: 3, totalMs: 424.4 },
    });
  });

  it('sends the headers it is given', async () => {
    const { stdout } = await run(['invoke', 'echo', '-d', 'a', '-H', 'Content-Type: image/x-odd', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ result: 'a' });
    await expect(run(['invoke', 'echo', '-d', 'a', '-H', 'no colon'])).resolves.toMatchObject({ code: 2 });
  });

  it('exits 1 for an error status of the function, its answer still on stdout', async () => {
    daemon.answers.set('POST /function/echo', (response) => void response.writeHead(418).end('teapot'));
    const { code, stdout, stderr } = await run(['invoke', 'echo', '-d', 'x']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'teapot' });
    expect(stderr).toContain('echo answered with status 418');
  });

  it.each([
    [422, /refused the input.*`gpufaas describe echo`/, /logs|explain/],
    [500, /`gpufaas logs echo`.*`gpufaas explain`/, /describe/],
  ])('points to the input or to the handler, by the status %d of the function', async (status, hint, other) => {
    daemon.answers.set('POST /function/echo', (response) => void response.writeHead(status).end('no'));
    const { stderr } = await run(['invoke', 'echo', '-d', 'x']);
    expect(stderr).toMatch(hint);
    expect(stderr).not.toMatch(other);
  });

  it.each([[[]], [['--json']]])('says why an answer broke off in the middle: %s', async (flags) => {
    daemon.answers.set('POST /function/echo', (response) => {
      response.writeHead(200, { 'x-call-id': 'id-1', 'content-type': 'text/plain' });
      response.write('half', () => response.destroy());
    });
    daemon.answers.set('GET /api/v1/invocations/id-1', (response) =>
      response.end(JSON.stringify({ ...INVOCATION, errorCode: 'HANDLER_ERROR', errorMessage: 'The handler threw: x' })),
    );
    const { code, stdout, stderr } = await run(['invoke', 'echo', '-d', 'x', ...flags]);
    expect(code).toBe(1);
    const said = flags.length === 0 ? stderr : stdout;
    expect(said).toContain('The answer broke off: The handler threw: x');
    expect(said).toContain('`gpufaas logs echo`');
  });

  it('exits 5 when the queue is full', async () => {
    daemon.answers.set('POST /function/echo', (response) => problem(response, 429, 'QUEUE_FULL', 'The queue is full.'));
    await expect(run(['invoke', 'echo', '-d', 'x'])).resolves.toMatchObject({ code: 5, stdout: '' });
  });

  it('exits 3 for an unknown function, in two lines', async () => {
    const { code, stdout, stderr } = await run(['invoke', 'ecco', '-d', 'x']);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toBe('Error: There is no function "ecco".\n→ Did you mean echo?\n');
  });

  it('does not start a daemon if it must not', async () => {
    const env = { GPUFAAS_HOME: join(folder, 'nobody') };
    await expect(run(['invoke', 'echo', '-d', 'x', '--no-start'], { env })).resolves.toMatchObject({ code: 4 });
    expect(existsSync(env.GPUFAAS_HOME)).toBe(false);
  });
});

describe('deploy', () => {
  it('uploads the folder and says what to do next', async () => {
    mkdirSync(join(folder, 'echo'), { recursive: true });
    writeFileSync(join(folder, 'echo', 'function.yaml'), 'name: echo\nhandler: handler.ts\nsample: s.txt\n');
    writeFileSync(join(folder, 'echo', 'handler.ts'), '// handler');
    writeFileSync(join(folder, 'echo', 's.txt'), 'hello');
    const { code, stdout, stderr } = await run(['deploy', 'echo']);
    expect(code).toBe(0);
    expect(stdout).toContain('echo version 2 serves at');
    expect(stderr).toContain('`gpufaas invoke echo -f echo/s.txt`');
    expect(stderr).not.toContain('emulated');
    expect([...daemon.uploaded.keys()].toSorted()).toEqual(['function.yaml', 'handler.ts', 's.txt']);
  });

  it('gives the result of the contract with --json', async () => {
    const { stdout, stderr } = await run(['deploy', 'echo', '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'echo',
      version: 2,
      url: expect.stringContaining('/function/echo'),
      models: [{ name: 'model', sha256: expect.any(String), bytes: 1000, loadMs: 412, runMs: 9, memoryBytes: 2e7 }],
    });
  });

  it('says that emulated devices make their answers up, to people only', async () => {
    const { stdout: real } = await run(['devices', '--json']);
    const devices = JSON.stringify([
      ...JSON.parse(real),
      { ...JSON.parse(real)[0], id: 'emulated:0', kind: 'emulated' },
    ]);
    daemon.answers.set('GET /api/v1/devices', (response) =>
      response.setHeader('content-type', 'application/json').end(devices),
    );
    const people = await run(['deploy', 'echo']);
    expect(people.stdout).not.toContain('zeros');
    expect(people.stderr).toMatch(/^1 of 2 devices are emulated: .* zeros of the declared shapes\.$/m);
    const program = await run(['deploy', 'echo', '--json']);
    expect(program.stderr).toBe('');
    expect(JSON.parse(program.stdout)).toMatchObject({ name: 'echo' });
  });

  it('hands on why it was refused', async () => {
    daemon.answers.set('POST /api/v1/functions', (response) =>
      problem(response, 400, 'BAD_MANIFEST', 'No name.', ['Add one.']),
    );
    const { code, stdout } = await run(['deploy', 'echo', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'BAD_MANIFEST', message: 'No name.', suggestions: ['Add one.'] },
    });
  });

  it('shows what the handler printed before it failed, to people and to programs', async () => {
    const printed = ['Error: too late', '\tat handler.ts:3'];
    const failed = {
      title: '',
      status: 422,
      code: 'DEPLOY_FAILED',
      detail: 'It died.',
      suggestions: ['Mend it.'],
      printed,
    };
    daemon.answers.set('POST /api/v1/functions', (response) =>
      response.end(JSON.stringify({ type: 'error', error: { type: 'about:blank', ...failed } })),
    );
    const { stderr } = await run(['deploy', 'echo']);
    expect(stderr).toBe(
      'Error: It died.\nThe handler printed last:\n  Error: too late\n    at handler.ts:3\n→ Mend it.\n',
    );
    const { stdout } = await run(['deploy', 'echo', '--json']);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'DEPLOY_FAILED', message: 'It died.', suggestions: ['Mend it.'], printed },
    });
  });
});

describe('every other command', () => {
  it.each([
    [['ls'], [{ name: 'echo', version: 2, status: 'ready', models: ['model'], invocations: 7 }]],
    [['ps'], { devices: [{ id: 'cpu:0', resident: [{ model: 'model', pinned: true }] }] }],
    [['devices'], [{ id: 'cpu:0', kind: 'cpu' }]],
    [['status'], { status: 'ready', policy: 'lalbo3', url: expect.stringMatching(/^http/), uptimeMs: 1000 }],
    [['describe', 'echo'], { name: 'echo', versions: [{ version: 2, note: 'new weights' }] }],
    [['rm', 'echo'], { name: 'echo', removed: true }],
    [['load', 'echo'], { devices: [{ id: 'cpu:0' }] }],
    [['unload', 'echo'], { devices: [{ id: 'cpu:0' }] }],
    [['pin', 'echo'], { devices: [{ id: 'cpu:0' }] }],
    [
      ['logs', 'echo'],
      [{ text: 'hello' }, { text: 'hello' }],
    ],
    [['explain', '0f3c'], { id: '0f3c', decisions: [{ reason: 'miss-most-free' }] }],
    [['explain'], { id: '0f3c' }],
    [['models', 'ls'], []],
    [['config', 'list'], expect.arrayContaining([{ name: 'devices', value: 'auto', source: 'default' }])],
  ])('%j prints data and nothing else with --json, words without it', async (args, expected) => {
    const json = await run([...args, '--json']);
    const words = await run(args);
    expect(json).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject(expected);
    expect(words.code).toBe(0);
    expect(`${words.stdout}${words.stderr}`).not.toMatch(/undefined|NaN|\[object/);
  });

  it('names the sample of a function', async () => {
    const { stdout } = await run(['describe', 'echo']);
    expect(stdout).toMatch(/^sample +samples\/hello\.txt$/m);
  });

  it('shows the note of a version beside it', async () => {
    const { stdout } = await run(['describe', 'echo']);
    expect(stdout).toMatch(/VERSION +DEPLOYED +NOTE\n +2 +2026\S+ +serving +new weights\n/);
  });

  it('names the function in what a failed call suggests', async () => {
    const refuse = (code: string, suggestions: string[]) =>
      daemon.answers.set('POST /function/echo', (response) => problem(response, 400, code, 'Wrong.', suggestions));
    refuse('BAD_TENSOR', []);
    expect((await run(['invoke', 'echo', '-d', 'x'])).stderr).toContain('→ `gpufaas describe echo` shows');
    refuse('HANDLER_ERROR', ['`gpufaas logs` shows the stack.']);
    expect((await run(['invoke', 'echo', '-d', 'x'])).stderr).toContain('→ `gpufaas logs echo` shows the stack.');
  });

  it('takes the beginning of an id, if it is that of one call', async () => {
    const answer = (path: string, content: unknown) =>
      daemon.answers.set(path, (response) =>
        response.setHeader('content-type', 'application/json').end(JSON.stringify(content)),
      );
    const base = JSON.parse((await run(['explain', '--json'])).stdout);
    const ids = ['11112222-aaaa-4000-8000-000000000001', '11112222-bbbb-4000-8000-000000000002'];
    answer(
      'GET /api/v1/invocations',
      ids.map((id) => ({ ...base, id })),
    );
    for (const id of ids) answer(`GET /api/v1/invocations/${id}`, { ...base, id });
    expect(JSON.parse((await run(['explain', '11112222-b', '--json'])).stdout)).toMatchObject({ id: ids[1] });
    const several = await run(['explain', '11112222']);
    expect(several.code).toBe(2);
    expect(several.stderr).toContain('2 calls begin with 11112222.');
    const none = { status: null, errorCode: null, attempts: 0, startedAt: null, endedAt: null, callback: 'none' };
    const sizes = { requestBytes: 0, answerBytes: 0 };
    const call = { id: ids[0], function: 'echo', state: 'queued', submittedAt: base.arrivedAt, ...none, ...sizes };
    answer('GET /api/v1/calls', [call]);
    daemon.answers.set(`DELETE /async-function/${ids[0]}`, (response) => response.writeHead(204).end());
    daemon.requests.length = 0;
    expect((await run(['calls', 'cancel', '11112222', '--json'])).stdout).toContain(ids[0]);
    expect(daemon.requests).toContain(`DELETE /async-function/${ids[0]}`);
  });

  it('says of a function without a line in its log that there is none', async () => {
    daemon.answers.set('GET /api/v1/functions/echo/logs', (response) =>
      response.setHeader('content-type', 'application/x-ndjson').end(),
    );
    expect(await run(['logs', 'echo'])).toEqual({ code: 0, stdout: '', stderr: 'echo has logged nothing yet.\n' });
    expect(await run(['logs', 'echo', '--json'])).toEqual({ code: 0, stdout: '[]\n', stderr: '' });
  });

  it('goes on from `load` with a call that has an input', async () => {
    const next = async () => (await run(['load', 'echo'])).stderr;
    expect(await next()).toBe('Next: `gpufaas invoke echo -f FILE` or `gpufaas ps`\n');
    mkdirSync(join(folder, 'echo', 'samples'), { recursive: true });
    writeFileSync(join(folder, 'echo', 'samples', 'hello.txt'), 'hello');
    expect(await next()).toBe('Next: `gpufaas invoke echo -f echo/samples/hello.txt` or `gpufaas ps`\n');
  });

  it('goes on from `up` with what is deployed', async () => {
    const { code, stderr } = await run(['up']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/runs already.*\nNext: `gpufaas ls`\n$/);
  });

  it('says on `up` that what runs is of another version', async () => {
    daemon.answers.set('GET /api/v1/status', (response, _body, request) => {
      response.end(JSON.stringify({ ...statusOf(`http://${request.headers.host}`), version: '99.0.0' }));
    });
    expect((await run(['up'])).stderr).toMatch(/runs already.*\nThe daemon is version 99\.0\.0, .*`gpufaas down`/);
  });

  it('asks a daemon without a device in service at once, and does not wait for one', async () => {
    daemon.answers.set('GET /api/v1/status', (response, _body, request) => {
      response.end(JSON.stringify({ ...statusOf(`http://${request.headers.host}`), status: 'unavailable' }));
    });
    daemon.answers.set('POST /function/echo', (response) =>
      problem(response, 503, 'NO_DEVICE', 'No device is in service.'),
    );
    await expect(run(['invoke', 'echo', '-d', 'x'])).resolves.toMatchObject({ code: 5, stdout: '' });
    expect((await run(['up'])).stderr).toContain('No device is in service: `gpufaas devices`');
  });

  it('knows the other name of a command', async () => {
    expect((await run(['config', 'ls'])).stderr).toContain('Did you mean `gpufaas config list`?');
    expect((await run(['list'])).stderr).toContain('Did you mean `gpufaas ls`?');
  });

  it('stops nothing where nothing runs, and does not ask for a start', async () => {
    const { code, stderr } = await run(['down'], { env: { GPUFAAS_HOME: join(folder, 'nobody') } });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^Error: No gpufaas daemon is running\.\n→ There is nothing to stop\./);
    expect(stderr).not.toContain('gpufaas up');
  });

  it('refuses a sha256 that is none before it asks the daemon', async () => {
    const { code, stderr } = await run(['models', 'pull', 'https://example.com/m.onnx', '--sha256', 'abc']);
    expect(code).toBe(2);
    expect(stderr).toContain('"abc" is not a sha256: 64 hexadecimal digits.');
  });

  it.each(['describe', 'rm', 'load', 'unload', 'pin', 'logs', 'rollback'])(
    '%s exits 3 for an unknown function',
    async (name) => {
      const { code, stdout } = await run([name, 'ecco', '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: expect.stringContaining('NOT_FOUND') } });
      expect(code).toBe(3);
    },
  );

  it.each([['ls'], ['ps'], ['status'], ['describe', 'x'], ['logs', 'x'], ['models', 'ls']])(
    '%s exits 4 without a daemon and says how to start one',
    async (...args) => {
      const { code, stdout, stderr } = await run(args, { env: { GPUFAAS_HOME: join(folder, 'nobody') } });
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
      expect(stderr).toBe('Error: No gpufaas daemon is running.\n→ Start one with `gpufaas up`.\n');
    },
  );

  it('is not fooled by a daemon file whose port belongs to somebody else now', async () => {
    const home = join(folder, 'stale');
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'daemon.json'), JSON.stringify({ pid: 1, url: daemon.url, version: '0.1.0' }));
    await expect(run(['ls'], { env: { GPUFAAS_HOME: home } })).resolves.toMatchObject({ code: 4 });
  });
});

describe('usage errors', () => {
  it.each([
    [['lss'], 'Did you mean `gpufaas ls`?'],
    [['config', 'gte'], 'Did you mean `gpufaas config get`?'],
    [['help', 'devicse'], 'Did you mean `gpufaas devices`?'],
    [['help', 'models', 'frobnicate'], '`gpufaas models --help` lists the commands'],
    [['config', 'frobnicate'], '`gpufaas config --help` lists the commands'],
    [['ls', 'extra'], 'takes no "extra"'],
    [['bench', 'htp'], 'Did you mean `gpufaas bench http`?'],
    [['invoke'], 'FN is missing'],
    [['invoke', 'echo', '--heder', 'x'], 'Did you mean --header?'],
    [['invoke', 'echo', '-d', 'x', '-f', 'y'], '--data'],
    [['deploy', '.', '--name', 'No!'], "can't be the name of a function"],
    [['invoke', 'echo', '-d', 'x', '--timeout', '0'], '--timeout 30s'],
    [['invoke', 'echo', '-d', 'x', '--timeout', '0ms'], 'leaves no time for an answer'],
    [['up', '--port', '99999'], 'is not a port'],
    [['--frobnicate'], 'is not a command'],
    [['rollback', 'echo', 'second'], 'second'],
  ])('%j exits 2 and helps', async (args, hint) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(hint);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it.each(['models', 'calls', 'config'])(
    'are JSON for %s without a command, where words get its help',
    async (topic) => {
      const { code, stdout } = await run([topic, '--json']);
      expect({ code, answer: JSON.parse(stdout) }).toMatchObject({ code: 2, answer: { error: { code: 'USAGE' } } });
      expect(await run([topic])).toMatchObject({ code: 0, stdout: expect.stringContaining('COMMANDS') });
    },
  );

  it('are small and clean as JSON', async () => {
    const { code, stdout } = await run(['invoke', '--json']);
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout);
    expect(Object.keys(error)).toEqual(['code', 'message', 'suggestions']);
    expect(error.code).toBe('USAGE');
    expect(stdout.length).toBeLessThan(500);
  });

  it('come with a stack trace only when it is asked for', async () => {
    const plain = await run(['ls'], { env: { GPUFAAS_URL: 'ftp://x' } });
    const debug = await run(['ls'], { env: { GPUFAAS_URL: 'ftp://x', GPUFAAS_DEBUG: '1' } });
    expect(plain.stderr).not.toContain('    at ');
    expect(debug.stderr).toContain('    at ');
  });
});

describe('init', () => {
  it('makes a function of its own from a template, once', async () => {
    const list = JSON.parse((await run(['init', '--list', '--json'])).stdout) as { name: string }[];
    const template = list[0]!.name;
    const made = await run(['init', 'my-own', '--template', template, '--json']);
    expect(JSON.parse(made.stdout)).toMatchObject({ name: 'my-own', template });
    expect(readFileSync(join(folder, 'my-own', 'function.yaml'), 'utf8')).toMatch(/^name: my-own$/m);
    const schema = /^# yaml-language-server: \$schema=(\S+)\n/.exec(
      readFileSync(join(folder, 'my-own', 'function.yaml'), 'utf8'),
    )![1]!;
    expect(JSON.parse(readFileSync(join(folder, 'my-own', schema), 'utf8'))).toHaveProperty('properties.models');
    const readme = readFileSync(join(folder, 'my-own', 'README.md'), 'utf8');
    expect(readme).toMatch(/gpufaas invoke my-own /);
    expect(readme).not.toMatch(new RegExp(`(invoke |/function/|/v2/models/)${template}`));
    await expect(run(['init', 'my-own', '--template', template])).resolves.toMatchObject({ code: 1 });
  });

  it('asks nothing without a terminal, and leaves nothing when it refuses', async () => {
    await expect(run(['init', 'some-name'])).resolves.toMatchObject({ code: 2 });
    await expect(run(['init', '../up', '--template', 'digits'])).resolves.toMatchObject({ code: 2 });
    await expect(run(['init', 'x', '--template', 'digts'])).resolves.toMatchObject({ code: 2 });
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });
});
