// The rest of the command line with the real daemon: watching, following, asynchronous calls, secrets, doctor.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, Sandbox } from '../helpers/cli.ts';

/** A busy machine takes its time to start processes. */
const PATIENTLY = { timeout: 20_000 };
const main = new Sandbox({ GPUFAAS_DEVICES: 'emulated:1@1GB' });
const folder = join(main.folder, 'words');

/** A function without models that answers and logs the same word. */
const answering = (word: string) =>
  `export default (request, { log }) => { log.info('asked for ${word}'); return '${word}'; };\n`;

beforeAll(async () => {
  mkdirSync(folder);
  writeFileSync(join(folder, 'function.yaml'), 'name: words\nhandler: handler.js\nsecrets: [api-key]\n');
  writeFileSync(join(folder, 'handler.js'), answering('first'));
  await main.run(['up', '--port', '0']);
});
afterAll(() => main.close());

describe('secrets', () => {
  it('are wanted by name before a function that names them is deployed', async () => {
    const { code, stderr } = await main.run(['deploy', 'words']);
    expect(code).toBe(1);
    expect(stderr).toContain('gpufaas secret set api-key');
  });

  it('are set from the standard input, kept to their owner and never shown', async () => {
    expect(await main.run(['secret', 'set', 'api-key'], { input: 'hush-hush\n' })).toMatchObject({ code: 0 });
    const list = await main.run(['secret', 'ls', '--json']);
    expect(JSON.parse(list.stdout)).toMatchObject([{ name: 'api-key' }]);
    expect(list.stdout).not.toContain('hush');
    const file = join(main.home, 'secrets.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain('"hush-hush"');
  });

  it('are not taken from the arguments, nor shown when they were put there', async () => {
    const { code, stderr, stdout } = await main.run(['secret', 'set', 'api-key', 'hush-hush']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no argument: .*\n.*standard input or from --file/);
    expect(stderr + stdout).not.toContain('hush');
  });

  it('are refused and missed with the exit codes of the contract', async () => {
    expect((await main.run(['secret', 'set', '../x'], { input: 'v' })).code).toBe(2);
    expect((await main.run(['secret', 'rm', 'nothing'])).code).toBe(3);
  });
});

describe('deploy --watch', () => {
  it('deploys after each change, goes on after a mistake, and ends with Ctrl-C', async () => {
    const child = main.start(['deploy', 'words', '--watch']);
    let output = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (text: Buffer) => (output += text.toString()));
    const end = ended(child);
    await expect.poll(() => output, PATIENTLY).toMatch(/version 1 serves .*\n.*Watching/);
    writeFileSync(join(folder, 'handler.js'), 'export default 5 5;');
    await expect.poll(() => output, PATIENTLY).toMatch(/Error: .*\n.*→ .*\n.*Watching/);
    expect((await main.run(['invoke', 'words', '-d', ''])).stdout).toBe('first');
    writeFileSync(join(folder, 'handler.js'), answering('second'));
    await expect.poll(() => output, PATIENTLY).toContain('version 2 serves');
    expect((await main.run(['invoke', 'words', '-d', ''])).stdout).toBe('second');
    child.kill('SIGINT');
    expect((await end).code).toBe(130);
    expect(output).not.toContain('Interrupted');
  });
});

describe('logs', () => {
  it('are shown with the call they belong to, and followed', async () => {
    const child = main.start(['logs', 'words', '-f', '--json', '--tail', '0']);
    let output = '';
    child.stdout!.on('data', (text: Buffer) => (output += text.toString()));
    const end = ended(child);
    let id = '';
    // Until it follows, a line may be written before it looks.
    await expect
      .poll(async () => {
        ({ id } = await main.json<{ id: string }>('invoke', 'words', '-d', ''));
        return output;
      }, PATIENTLY)
      .toContain('asked for second');
    await expect.poll(() => output, PATIENTLY).toContain(id);
    child.kill('SIGINT');
    expect(await end).toMatchObject({ code: 130, stderr: '' });
    for (const line of output.trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ function: 'words' });
    expect(await main.json('logs', 'words')).toContainEqual(
      expect.objectContaining({ text: 'asked for second', callId: id }),
    );
  });
});

describe('asynchronous calls', () => {
  it('are answered later, by their id', async () => {
    const { id } = await main.json<{ id: string }>('invoke', 'words', '-d', '', '--async');
    const { code, stdout } = await main.run(['calls', 'show', id, '--wait']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'second' });
    expect(await main.json('calls', 'show', id)).toMatchObject({
      id,
      function: 'words',
      status: 200,
      result: 'second',
    });
    expect((await main.run(['calls', 'cancel', id])).code).toBe(1);
    expect((await main.run(['calls', 'show', 'nobody'])).code).toBe(3);
    expect((await main.run(['invoke', 'nobody', '-d', '', '--async'])).code).toBe(3);
  });
});

describe('doctor', () => {
  it('tells of a home that can not be one, and of all the rest', async () => {
    const file = join(main.folder, 'a-file');
    writeFileSync(file, '');
    for (const [home, message] of [
      [file, `${file} is not a folder`],
      ['/proc/nope', "/proc/nope can't be written"],
    ] as const) {
      const other = new Sandbox({ GPUFAAS_HOME: home });
      const { code, stdout } = await other.run(['doctor', '--devices', 'emulated:1@1GB', '--json']);
      await other.close();
      expect(code).toBe(1);
      const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; message: string }[] };
      expect(checks.find(({ name }) => name === 'home')).toMatchObject({ status: 'problem', message });
      expect(checks.map(({ name }) => name)).toContain('emulated:0');
    }
  });

  it('says of each thing whether it works and what to do, and tries the devices', async () => {
    const { healthy, checks } = await main.json<{ healthy: boolean; checks: { name: string; status: string }[] }>(
      'doctor',
    );
    expect(healthy).toBe(true);
    expect(checks.map((check) => check.name)).toEqual(
      expect.arrayContaining([
        'node',
        'memory',
        'home',
        'disk',
        'daemon',
        'telemetry',
        'runtime',
        'driver',
        'devices',
        'emulated:0',
      ]),
    );
  });

  it('exits 1 if something will not work', async () => {
    const { code, stdout } = await main.run(['doctor', '--devices', 'cuda:63']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/✗ devices .*\n\s+→ /);
  });
});

describe('top', () => {
  it('shows the present once where there is no terminal', async () => {
    const { code, stdout } = await main.run(['top']);
    expect(code).toBe(0);
    expect(stdout).toContain('emulated:0');
    expect(stdout).toContain('words');
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/\u001b/);
  });
});
