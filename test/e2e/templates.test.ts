import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listTemplates } from '../../src/cli/templates.ts';
import { Sandbox } from '../helpers/cli.ts';

/** Nothing answers there: whatever reaches for the network fails at once. */
const NOWHERE = 'http://127.0.0.1:9';
const NO_NETWORK = {
  http_proxy: NOWHERE,
  https_proxy: NOWHERE,
  npm_config_registry: NOWHERE,
  npm_config_offline: 'true',
};

let box: Sandbox;
beforeAll(async () => {
  box = new Sandbox(NO_NETWORK);
  await box.run(['up', '--port', '0', '--devices', 'cpu:1@1GB']);
}, 60_000);
afterAll(() => box.close(), 60_000);

describe.each(listTemplates().map(({ name }) => name))('the template %s, with no network', (template) => {
  const name = `my-${template}`;
  const inside = (): string => join(box.folder, name);

  it('is made, deployed, and answers its sample', { timeout: 120_000 }, async () => {
    expect(await box.run(['init', name, '--template', template])).toMatchObject({ code: 0 });
    expect(await box.run(['deploy'], { cwd: inside() })).toMatchObject({ code: 0 });
    const sample = /^sample: *(\S+)$/m.exec(readFileSync(join(inside(), 'function.yaml'), 'utf8'))?.[1];
    const invoked = await box.run(['invoke', name, '-f', sample!], { cwd: inside() });
    expect(invoked).toMatchObject({ code: 0, stderr: expect.stringMatching(/(MISS|HIT)/) });
    expect(invoked.stdout.length).toBeGreaterThan(2);
  });

  it('has types wherever an editor looks', { timeout: 120_000 }, async () => {
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
    const found = await promisify(execFile)(process.execPath, [tsc, '--noEmit'], { cwd: inside() }).catch(
      (error: { stdout: string }) => error,
    );
    expect(found).not.toBeInstanceOf(Error);
    expect(found.stdout).toBe('');
  });

  it('passes its own tests as it is', { timeout: 120_000 }, async () => {
    // The variables of vitest would make node:test believe that it runs inside another runner.
    const env = { ...box.environment, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
    const { stdout } = await promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: inside(),
      env,
      timeout: 100_000,
    }).catch((error: { stdout: string }) => ({ stdout: error.stdout }));
    const counts = Object.fromEntries(
      [...stdout.matchAll(/^# (tests|pass|fail|skipped) (\d+)$/gmu)].map(([, key, n]) => [key, Number(n)]),
    );
    expect({ ...counts, stdout: counts['fail'] === 0 ? '' : stdout }).toMatchObject({ fail: 0, stdout: '' });
    expect(counts['pass']).toBeGreaterThan(0);
    // The command line that made it is built, and so is what its tests import.
    expect(counts['skipped']).toBe(0);
  });
});
