// Bad input and bad circumstances as somebody at a terminal meets them: the exit code of the contract, one line that says what
// is wrong and one that says what to do.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { buildNetwork } from '../../src/onnx/networks.ts';
import { ended, hasTerminals, Sandbox, type Ended } from '../helpers/cli.ts';
import { HeldCalls } from '../helpers/held-calls.ts';
import { fixedShapeModel, tinyModel } from '../helpers/models.ts';

const TENSORS = JSON.stringify({
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
});

/** Two lines, no stack, and the exit code. */
function expectFailure({ code, stdout, stderr }: Ended, exit: number, words: RegExp): void {
  expect({ code, stdout }, stderr).toEqual({ code: exit, stdout: '' });
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^Error: [^\n]+\n→ [^\n]+\n$/);
  expect(stderr).not.toMatch(/\n\s+at |node:internal/);
}

const main = new Sandbox();
beforeAll(async () => {
  writeFileSync(join(main.folder, 'tiny.onnx'), tinyModel().bytes);
  writeFileSync(join(main.folder, 'cut.onnx'), tinyModel().bytes.subarray(0, 100));
  writeFileSync(join(main.folder, 'large.onnx'), buildNetwork({ kind: 'mlp', megabytes: 60, seed: 1 }).encode());
});
afterAll(() => main.close());

describe('without a daemon', () => {
  it.each([
    ['ls'],
    ['ps'],
    ['devices'],
    ['describe', 'x'],
    ['rm', 'x'],
    ['logs', 'x'],
    ['unload', 'x'],
    ['pin', 'x'],
    ['models', 'ls'],
    ['explain', 'x'],
    ['rollback', 'x'],
    ['invoke', 'x', '-d', 'x', '--no-start'],
  ])('%s exits 4 and names the command that starts one', async (...args) => {
    expectFailure(await main.run(args), 4, /gpufaas up/);
  });
});

describe('with a daemon', () => {
  beforeAll(async () => {
    await main.run(['up', '--port', '0']);
    await main.run(['deploy', 'tiny.onnx']);
    mkdirSync(join(main.folder, 'chatty'));
    writeFileSync(join(main.folder, 'chatty', 'function.yaml'), 'name: chatty\nhandler: handler.js\n');
    writeFileSync(join(main.folder, 'chatty', 'handler.js'), "export default () => console.log('a word');\n");
    await main.run(['deploy', 'chatty']);
    await main.run(['invoke', 'chatty', '-d', '']);
  });

  it('things are well at first', async () => {
    expect(await main.run(['invoke', 'tiny', '-d', TENSORS])).toMatchObject({ code: 0 });
  });

  it.each<[string, string[], number, RegExp]>([
    ['an unknown function', ['invoke', 'nope', '-d', 'x'], 3, /no function "nope"/],
    ['an unknown function, later', ['invoke', 'nope', '-d', 'x', '--async'], 3, /no function "nope"/],
    ['a slip in a name', ['describe', 'tinny'], 3, /Did you mean tiny/],
    ['a name of 10,000 letters', ['rm', 'a'.repeat(10_000)], 3, /no function "aaa/],
    ['no name at all', ['describe', ''], 3, /no function ""/],
    ['a path for a name', ['invoke', '../../etc', '-d', 'x'], 3, /no function "\.\."/],
    ['a name nobody may have', ['deploy', 'tiny.onnx', '--name', '../x'], 2, /can't be the name/],
    ['a wrong tensor', ['invoke', 'tiny', '-d', TENSORS.replace('"input"', '"x"')], 2, /no input "x".*\n.*describe/],
    ['a wrong shape', ['invoke', 'tiny', '-d', TENSORS.replace('[1,4]', '[4]')], 2, /2 dimensions/],
    ['JSON that is cut', ['invoke', 'tiny', '-d', TENSORS.slice(0, 30)], 2, /not valid JSON/],
    ['a model that is cut', ['deploy', 'cut.onnx', '--name', 'tiny'], 1, /cut off or damaged/],
    ['a model that is not there', ['deploy', 'none.onnx'], 3, /no none\.onnx/],
    ['a command with a slip', ['invok', 'tiny'], 2, /Did you mean `gpufaas invoke`/],
    ['a flag with a slip', ['ls', '--jsn'], 2, /Did you mean --json/],
  ])('%s', async (_, args, exit, words) => {
    expectFailure(await main.run(args), exit, words);
  });

  it('of another version is named before anything else is said', async () => {
    const path = join(main.home, 'daemon.json');
    const own = readFileSync(path, 'utf8');
    writeFileSync(path, own.replace(/"version": "[^"]*"/, '"version": "99.0.0"'));
    const { code, stderr } = await main.run(['ls']);
    writeFileSync(path, own);
    expect(code).toBe(0);
    expect(stderr).toMatch(/daemon is version 99\.0\.0.*gpufaas down/);
  });

  it('a second one is refused and the first one goes on', async () => {
    expectFailure(await main.run(['serve', '--port', '0']), 1, /already runs/);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 'SIGTERM'],
    ['SIGHUP', 'SIGHUP'],
  ] as const)('%s in the midst of a deployment leaves nothing of it', async (signal, exit) => {
    const child = main.start(['deploy', 'large.onnx', '--name', 'large']);
    const end = ended(child);
    // Sent when the daemon holds something of it.
    await expect
      .poll(() => readdirSync(join(main.home, 'uploads')).length, { timeout: 20_000, interval: 5 })
      .not.toBe(0);
    child.kill(signal);
    expect((await end).code).toBe(exit);
    await expect.poll(() => readdirSync(join(main.home, 'uploads')), { timeout: 20_000 }).toEqual([]);
    expect(await main.json<{ name: string }[]>('ls')).toMatchObject([{ name: 'chatty' }, { name: 'tiny' }]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGHUP', 'SIGHUP'],
  ] as const)('%s ends a log that is followed, and nothing else', async (signal, exit) => {
    const child = main.start(['logs', 'chatty', '-f']);
    const end = ended(child);
    await once(child.stdout!, 'data');
    child.kill(signal);
    expect((await end).code).toBe(exit);
    expect(await main.run(['invoke', 'tiny', '-d', TENSORS])).toMatchObject({ code: 0 });
  });

  it.each([['ls'], ['ps'], ['invoke', 'tiny', '-d', TENSORS], ['describe', 'tiny', '--json']])(
    '%s ends quietly when nobody reads it any more',
    async (...args) => {
      const child = main.start(args);
      child.stdin!.end();
      child.stdout!.destroy();
      const { stderr } = await ended(child);
      expect(stderr).not.toMatch(/EPIPE|\n\s+at /);
    },
  );
});

describe('a daemon in the foreground', () => {
  it('goes on when its terminal is closed', async () => {
    const served = new Sandbox();
    onTestFinished(() => served.close());
    const child = served.start(['serve', '--port', '0']);
    await once(child.stdout!, 'data');
    child.stdout!.destroy();
    child.stderr!.destroy();
    expect(await served.run(['status'])).toMatchObject({ code: 0 });
  });

  it.skipIf(!hasTerminals())(
    'answers what runs when the window is closed, then ends',
    { timeout: 60_000 },
    async () => {
      const served = new Sandbox();
      onTestFinished(() => served.close());
      const held = new HeldCalls();
      onTestFinished(() => held.close());
      const window = served.startInTerminal(['serve', '--port', '0']);
      onTestFinished(() => void window.kill('SIGKILL'));
      await expect.poll(() => served.pid(), { timeout: 20_000 }).not.toBeNull();
      expect(await served.run(['deploy', await held.functionIn(served.folder)])).toMatchObject({ code: 0 });
      const call = served.run(['invoke', 'held', '-d', '']);
      await held.begun;
      window.kill('SIGKILL');
      const status = async () => (await served.json<{ status: string }>('status')).status;
      await expect.poll(status, { timeout: 20_000 }).toBe('draining');
      held.answer('at last');
      expect(await call).toMatchObject({ code: 0, stdout: 'at last' });
      await expect.poll(() => served.pid(), { timeout: 20_000 }).toBeNull();
    },
  );
});

describe('a state that', () => {
  const broken = new Sandbox();
  const state = join(broken.home, 'state.db');
  afterAll(() => broken.close());

  it('was written by a newer version is refused as it is', async () => {
    mkdirSync(broken.home, { recursive: true });
    const database = new DatabaseSync(state);
    database.exec('PRAGMA user_version = 999');
    database.close();
    expectFailure(await broken.run(['up', '--port', '0']), 1, /newer gpufaas/);
  });

  it('is damaged is named, not thrown away', async () => {
    rmSync(state);
    writeFileSync(state, 'this is no database'.repeat(500));
    expectFailure(await broken.run(['up', '--port', '0']), 1, /state\.db\) is damaged/);
    expect(readFileSync(state, 'utf8')).toMatch(/^this is no database/);
  });
});

describe('a disk', () => {
  const disk = mkdtempSync(join(tmpdir(), 'gpufaas-disk-'));
  const mounted = mount(disk);
  const full = new Sandbox({ GPUFAAS_HOME: join(disk, 'home') });
  const ballast = join(disk, 'ballast');
  afterAll(async () => {
    await full.run(['down', '--drain', '0']);
    await full.close();
    if (mounted) execFileSync('umount', ['-l', disk]);
    rmSync(disk, { recursive: true, force: true });
  });

  it.skipIf(!mounted)(
    'that is full stops no call, fails a deployment, lets a function go, and is forgotten when there is room',
    async () => {
      writeFileSync(join(full.folder, 'tiny.onnx'), tinyModel().bytes);
      writeFileSync(join(full.folder, 'fixed.onnx'), fixedShapeModel());
      expect(await full.run(['up', '--port', '0'])).toMatchObject({ code: 0 });
      expect(await full.run(['deploy', 'tiny.onnx'])).toMatchObject({ code: 0 });
      expect(await full.run(['deploy', 'tiny.onnx', '--name', 'other'])).toMatchObject({ code: 0 });
      fill(ballast);
      expect(await full.run(['invoke', 'tiny', '-d', TENSORS])).toMatchObject({ code: 0 });
      // Under the store, and under SQLite.
      expectFailure(await full.run(['deploy', 'fixed.onnx']), 1, /room on disk|disk.*full/);
      expectFailure(await full.run(['config', 'set', 'policy', 'lb']), 1, /disk.*full|room on disk/);
      expectFailure(await full.run(['invoke', 'tiny', '-d', TENSORS, '--async']), 1, /room on disk/);
      expect(await full.run(['invoke', 'tiny', '-d', TENSORS])).toMatchObject({ code: 0 });
      // What makes room is possible all the same.
      fill(`${ballast}.2`);
      expect(await full.run(['rm', 'other'])).toMatchObject({ code: 0 });
      expect((await full.json<{ name: string }[]>('ls')).map(({ name }) => name)).toEqual(['tiny']);
      rmSync(`${ballast}.2`);
      rmSync(ballast);
      expect(await full.run(['deploy', 'fixed.onnx'])).toMatchObject({ code: 0 });
      expect((await full.json<{ name: string }[]>('ls')).map(({ name }) => name)).toEqual(['fixed', 'tiny']);
      expect(readdirSync(join(disk, 'home', 'uploads'))).toEqual([]);
    },
  );

  it.skipIf(!mounted)('that is full at the start is named', { timeout: 90_000 }, async () => {
    await full.run(['down']);
    fill(ballast);
    const failed = await full.run(['up', '--port', '0']);
    expectFailure(failed, 1, /disk.*full/i);
    rmSync(ballast);
    expect(await full.run(['up', '--port', '0'])).toMatchObject({ code: 0 });
    expect((await full.json<{ name: string }[]>('ls')).map(({ name }) => name)).toEqual(['fixed', 'tiny']);
    expect(existsSync(join(disk, 'home', 'daemon.json'))).toBe(true);
  });
});

/** A disk of 8 MB, where this user may make one. */
function mount(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Writes until the disk takes no more. */
function fill(path: string): void {
  try {
    writeFileSync(path, new Uint8Array(16e6));
  } catch {
    // That is what was wanted; what fitted stays.
  }
  try {
    writeFileSync(`${path}.rest`, new Uint8Array(4096));
  } catch {
    // Nothing was left.
  }
  rmSync(`${path}.rest`, { force: true });
}
