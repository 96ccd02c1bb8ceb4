import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { parseManifest } from '../../../src/functions/manifest.ts';
import { builtProgram } from '../../helpers/built.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const installed = dirname(dirname(builtProgram()));
const templates = readdirSync(join(root, 'templates'), { withFileTypes: true })
  .filter((entry) => existsSync(join(root, 'templates', entry.name, 'function.yaml')))
  .map(({ name }) => name);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'template-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function scaffold(name: string): void {
  cpSync(join(root, 'templates', name), folder, {
    recursive: true,
    filter: (path) => !['training', 'node_modules'].includes(basename(path)),
  });
}

async function runTests(): Promise<Record<string, number>> {
  // The variables of vitest would make node:test believe that it runs inside another runner.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
  const run = promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap'], {
    cwd: folder,
    env,
    timeout: 120_000,
  });
  const { stdout } = await run.catch((error: { stdout: string }) => {
    throw new Error(`The tests of the template failed:\n${error.stdout}`);
  });
  const counts = [...stdout.matchAll(/^# (tests|pass|fail) (\d+)$/gmu)];
  return Object.fromEntries(counts.map(([, name, count]) => [name, Number(count)]));
}

describe.each(templates)('a copy of the template %s in an empty folder', (name) => {
  it('has a manifest whose files are there, and says in a line what it shows', () => {
    scaffold(name);
    const manifest = parseManifest(readFileSync(join(folder, 'function.yaml'), 'utf8'), { source: 'function.yaml' });
    expect(manifest.name).toBe(name);
    expect(manifest.description.length).toBeGreaterThan(20);
    expect(manifest.description.length).toBeLessThan(80);
    const paths = Object.values(manifest.models).map((model) => ('path' in model ? model.path : ''));
    for (const path of [...paths, manifest.sample, manifest.handler ?? 'README.md', 'README.md', 'package.json']) {
      expect({ path, exists: existsSync(join(folder, path!)) }).toEqual({ path, exists: true });
    }
  });

  it('passes its own tests with nothing installed', { timeout: 150_000 }, async () => {
    scaffold(name);
    const { tests, pass, fail } = await runTests();
    expect(fail).toBe(0);
    expect(pass).toBeGreaterThan(0);
    expect(tests).toBeGreaterThan(pass!);
  });

  it('passes all its tests with gpufaas installed', { timeout: 150_000 }, async () => {
    scaffold(name);
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(installed, join(folder, 'node_modules/gpufaas'));
    const { tests, pass } = await runTests();
    expect(pass).toBe(tests);
  });
});
