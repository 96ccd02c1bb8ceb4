// The command line as it is installed: compiled, with its manifest. Built when a test first wants it and the sources are others
// than the last time. Processes that run compiled code start in a fraction of the time that stripping types takes.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Below our own packages, so that what is built there finds them. */
const builds = join(root, 'node_modules', '.cache', 'gpufaas-built');
/** What is copied as it is, and what the rest is made of. */
const COPIED = ['bin/run.js', 'package.json', 'schema', 'scripts/manifest.mjs', 'templates'];
const COMPILED = ['src', 'tsconfig.json', 'tsconfig.build.json'];
const DAY_MS = 86_400_000;

/** The path of a `bin/run.js` that runs what is in `src` now. */
export function builtProgram(): string {
  const folder = join(builds, fingerprint());
  if (!existsSync(folder)) build(folder);
  return join(folder, 'bin', 'run.js');
}

function fingerprint(): string {
  const hash = createHash('sha256');
  for (const path of [...COPIED, ...COMPILED].flatMap((name) => filesIn(join(root, name)))) {
    hash.update(`${path}\0`).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

/** Made beside its place and renamed: another test file may be building the same. */
function build(folder: string): void {
  mkdirSync(builds, { recursive: true });
  const staging = mkdtempSync(join(builds, 'staging-'));
  for (const name of COPIED) cpSync(join(root, name), join(staging, name), { recursive: true });
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const node = (...args: string[]): unknown => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  node(compiler, '-p', 'tsconfig.build.json', '--outDir', join(staging, 'dist'));
  node(join(staging, 'scripts', 'manifest.mjs'));
  try {
    renameSync(staging, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(staging, { recursive: true });
  }
  for (const name of readdirSync(builds)) {
    const old = join(builds, name);
    // It may just have been renamed by another test file.
    const changedMs = statSync(old, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - changedMs > DAY_MS) rmSync(old, { recursive: true, force: true });
  }
}
