import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { installDependencies } from '../../../src/functions/dependencies.ts';
import { alive, eventually, handlerProcess } from '../../helpers/handler-process.ts';

function folder(files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'gpufaas-npm-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text, { mode: 0o755 });
  }
  return path;
}

async function failure(promise: Promise<unknown>): Promise<GpufaasError> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GpufaasError);
  return error as GpufaasError;
}

const folderOf = (url: string): string => dirname(fileURLToPath(url));
const never = new AbortController().signal;
const TWICE = {
  'package.json': '{"name":"twice","version":"1.0.0","main":"i.js","scripts":{"install":"touch ran"}}',
  'i.js': 'module.exports = (n) => n * 2;',
};

describe('the dependencies of a function', () => {
  it('are installed without a network where they are files, without their scripts, and the handler imports them', async () => {
    const source = folder(TWICE);
    execFileSync('tar', [
      '-czf',
      join(source, 'twice.tgz'),
      '--transform',
      's,^,package/,',
      '-C',
      source,
      'package.json',
      'i.js',
    ]);
    const { folder: path, call } = handlerProcess(
      `import twice from 'twice';\nexport default (request: any) => twice(Number(request.text()));`,
      {
        files: {
          'package.json': JSON.stringify({
            type: 'module',
            dependencies: { twice: `file:${source}/twice.tgz` },
          }),
        },
      },
    );
    expect(await installDependencies(path, never)).toBe(true);
    expect(existsSync(join(path, 'node_modules/twice/ran'))).toBe(false);
    expect((await call('21')).body.toString()).toBe('42');
    expect(await installDependencies(path, never)).toBe(false);
  }, 60_000);

  it.each([
    ['without a package.json', {}],
    ['without dependencies', { 'package.json': '{"private":true}' }],
    ['with gpufaas alone', { 'package.json': '{"dependencies":{"gpufaas":"*"}}' }],
    ['packed along', { 'package.json': '{"dependencies":{"twice":"*"}}', 'node_modules/twice/package.json': '{}' }],
  ])('%s need no npm', async (_, files) => {
    expect(await installDependencies(folder(files), never, { npm: ['npm-that-is-not-there'] })).toBe(false);
  });

  it('that do not exist fail with what npm said, and leave nothing', async () => {
    const path = folder({ 'package.json': '{"dependencies":{"gone":"file:./gone.tgz"}}' });
    const error = await failure(installDependencies(path, never));
    expect(error.code).toBe('DEPLOY_FAILED');
    expect(error.message).toMatch(/could not be installed: ENOENT: .*gone\.tgz/);
    expect(error.message).not.toContain('\n');
    expect(existsSync(join(path, 'node_modules'))).toBe(false);
  }, 60_000);

  it('of a registry that can not be reached fail within seconds, and say what to check', async () => {
    const path = folder({
      'package.json': '{"dependencies":{"twice":"1"}}',
      '.npmrc': 'registry=http://127.0.0.1:1/\n',
    });
    const error = await failure(installDependencies(path, never, { timeoutMs: 30_000 }));
    expect(error.message).toMatch(/ECONNREFUSED/);
    expect(error.suggestions).toEqual(['Check that the registry can be reached from this machine: npm ping']);
  }, 60_000);

  it.each([
    ['to nothing', 'file:../gpufaas-not-there'],
    ['to another folder of this machine', `file:${folderOf(import.meta.url)}`],
  ])(
    'that lead out of the function folder, %s, are refused',
    async (_, twice) => {
      const path = folder({ 'package.json': JSON.stringify({ dependencies: { twice } }) });
      const error = await failure(installDependencies(path, never));
      expect(error.message).toMatch(/"twice" is a link out of the function folder/);
      expect(error.suggestions[0]).toMatch(/npm pack/);
      expect(existsSync(join(path, 'node_modules'))).toBe(false);
    },
    60_000,
  );

  it('of a broken package.json are refused', async () => {
    expect((await failure(installDependencies(folder({ 'package.json': '{' }), never))).code).toBe('BAD_PACKAGE');
  });

  it('are given up when npm hangs, and npm is ended with all it started', async () => {
    const path = folder({
      'package.json': '{"dependencies":{"a":"1"}}',
      'npm.sh': '#!/bin/sh\nsleep 61 & echo $! > pid; wait',
    });
    const error = await failure(installDependencies(path, never, { npm: [join(path, 'npm.sh')], timeoutMs: 300 }));
    expect(error).toMatchObject({
      code: 'DEPLOY_FAILED',
      message: expect.stringContaining('did not finish within 300 ms'),
    });
    const pid = execFileSync('cat', [join(path, 'pid')], { encoding: 'utf8' }).trim();
    await eventually('what npm started is gone', () => !alive(Number(pid)));
  });

  it('are given up when the deployment is', async () => {
    const path = folder({ 'package.json': '{"dependencies":{"a":"1"}}', 'npm.sh': '#!/bin/sh\nsleep 62' });
    const stop = new AbortController();
    setTimeout(() => stop.abort(new GpufaasError('CANCELLED', 'Enough.')), 100);
    expect((await failure(installDependencies(path, stop.signal, { npm: [join(path, 'npm.sh')] }))).message).toBe(
      'Enough.',
    );
  });

  it('without npm fail with what to do', async () => {
    const path = folder({ 'package.json': '{"dependencies":{"a":"1"}}' });
    const error = await failure(installDependencies(path, never, { npm: ['npm-that-is-not-there'] }));
    expect(error.message).toMatch(/npm was not found/);
  });
});
