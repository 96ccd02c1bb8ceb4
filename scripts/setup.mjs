// What `npm start` and `npm test` share: packages installed as package-lock.json says, sources built, Node 24 at hand.
// Runs on a bare clone under Node 20, so it uses nothing but Node itself and no syntax newer than that.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url));
const isWindows = process.platform === 'win32';
const LEAST_NODE = 24;

/** Says what is going on, apart from what the steps themselves print. */
export function say(text) {
  console.log(process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);
}

/** Thrown for a step that failed; its own output has said why. */
export class StepFailed extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs a program, in the checkout unless told otherwise, with Node 24 first in PATH; gives its output if asked to keep it. */
export function run(program, args, { shell = false, cwd = root, keep = false, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    // Ctrl-C reaches the child as well, which cleans up; this process only waits for it.
    const wait = () => {};
    process.on('SIGINT', wait);
    const child = spawn(program, args, {
      cwd,
      shell,
      stdio: ['ignore', keep ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`, ...env },
    });
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => reject(new StepFailed(`${program} could not be started: ${error.message}`, 1)));
    child.on('close', (code, signal) => {
      process.off('SIGINT', wait);
      if (code === 0) return resolve(output);
      const interrupted = signal === 'SIGINT' || code === 130;
      const shown = [program.split(/[/\\]/).at(-1), ...args].join(' ');
      reject(new StepFailed(interrupted ? 'Interrupted.' : `This failed: ${shown}`, interrupted ? 130 : (code ?? 1)));
    });
  });
}

/** Runs npm, with the Node that came with it: the one in node_modules is replaced by an installation. */
export function npm(...args) {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  if (script && /npm-cli\.[cm]?js$/.test(script)) return run(node || process.execPath, [script, ...args]);
  return run('npm', args, { shell: isWindows });
}

/** Installs what package-lock.json says unless just that is installed. */
export async function install() {
  if (isInstalled()) return say('The packages are installed.');
  say('Installing the packages; this takes a minute or two the first time');
  // Not `npm ci`: it refuses when a registry lacks optional packages that only other platforms need.
  await npm('install', '--no-save');
}

/** True if node_modules holds exactly what package-lock.json asks for on this platform. */
function isInstalled() {
  try {
    const wanted = readPackages('package-lock.json');
    const present = readPackages(join('node_modules', '.package-lock.json'));
    const missing = Object.entries(wanted).some(
      ([path, entry]) =>
        path !== '' && !entry.optional && !entry.devOptional && present[path]?.version !== entry.version,
    );
    const other = Object.entries(present).some(([path, entry]) => wanted[path]?.version !== entry.version);
    return !missing && !other && existsSync(node());
  } catch {
    return false;
  }
}

function readPackages(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
}

/** A Node that can run gpufaas: this one, or the one among the packages. */
export function node() {
  if (Number(process.versions.node.split('.')[0]) >= LEAST_NODE) return process.execPath;
  return join(root, 'node_modules', 'node', 'bin', isWindows ? 'node.exe' : 'node');
}

/** Compiles src to dist unless nothing changed since. */
export async function build() {
  const stamp = join(root, 'dist', '.stamp');
  const sources = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return say('The build is up to date.');
  say('Building');
  await npm('run', '--silent', 'build');
  writeFileSync(stamp, sources);
  linkCommand();
}

function fingerprint() {
  const hash = createHash('sha256');
  const files = readdirSync(join(root, 'src'), { recursive: true }).map((name) => join('src', name));
  for (const file of [...files, 'package.json', 'tsconfig.json', 'tsconfig.build.json'].sort(byName)) {
    const found = statSync(join(root, file));
    if (found.isFile()) hash.update(`${file} ${found.size} ${found.mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function byName(a, b) {
  return a < b ? -1 : 1;
}

/** Makes `npx gpufaas` find this checkout's command at once. */
function linkCommand() {
  if (isWindows) return;
  const link = join(root, 'node_modules', '.bin', 'gpufaas');
  if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link);
  symlinkSync(join('..', '..', 'bin', 'run.js'), link);
}

/** Runs the steps of a script and ends the process with the right exit code and, if one failed, with what to do. */
export async function main(steps, advice) {
  try {
    await steps();
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    console.error(`\n${error.message}`);
    if (error.exitCode !== 130) console.error(advice);
    process.exitCode = error.exitCode;
  }
}
