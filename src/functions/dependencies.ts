// Installs what a function's package.json asks for, at deploy, inside its own folder: production dependencies only, no
// install scripts, bounded in time. A failure says which package, in npm's own words.

import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import { LineSplitter, safeLines } from './output.ts';

/** How npm is run; the defaults are for the daemon. */
export interface InstallOptions {
  /** Milliseconds (default 5 minutes). */
  readonly timeoutMs?: number;
  /** Command and first arguments (default the npm on the PATH). */
  readonly npm?: readonly string[];
}

const DEFAULT_TIMEOUT_MS = 5 * 60_000;
const KEPT_LINES = 40;
const PING = 'Check that the registry can be reached from this machine: npm ping';
const SEE_ALL = 'Run `npm install --omit=dev --ignore-scripts` in the function folder to see all of it.';
/** What npm names when it could not reach the registry. */
const UNREACHABLE = /\b(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/;

/**
 * Installs into `folder`; false if there is nothing to install. Throws DEPLOY_FAILED, or what the signal was aborted with;
 * then `node_modules` is as if nothing had been tried.
 */
export async function installDependencies(
  folder: string,
  signal: AbortSignal,
  options: InstallOptions = {},
): Promise<boolean> {
  const wanted = declared(folder);
  if (wanted.length === 0) return false;
  // What the package brought along already (packed on this very kind of machine) is used as it is.
  if (wanted.every((name) => existsSync(join(folder, 'node_modules', name, 'package.json')))) return false;
  const [command, ...first] = options.npm ?? ['npm'];
  const verb = existsSync(join(folder, 'package-lock.json')) ? 'ci' : 'install';
  const args = [
    ...first,
    verb,
    '--omit=dev',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--loglevel=error',
    // By itself npm is silent for over a minute before it says that a registry can't be reached.
    '--fetch-retry-mintimeout=1000',
    '--fetch-retry-maxtimeout=5000',
  ];
  try {
    await run(command!, args, folder, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, signal);
    for (const name of wanted) checkInside(folder, name);
    return true;
  } catch (error) {
    await rm(join(folder, 'node_modules'), { recursive: true, force: true });
    throw error;
  }
}

/** npm makes a link of a folder (`file:../x`), whether it is there or not; outside of the function's it would be of no use. */
function checkInside(folder: string, name: string): void {
  const place = join(folder, 'node_modules', name);
  // An optional peer, say, that npm has left out.
  if (!lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  if (existsSync(place) && realpathSync(place).startsWith(realpathSync(folder) + sep)) return;
  throw failed(
    `"${name}" is a link out of the function folder, which is all that is deployed`,
    `Pack it into the folder (\`npm pack\` there) and depend on the file: "${name}": "file:./${name.replace('/', '-').replace('@', '')}-1.0.0.tgz".`,
  );
}

/** Names of the production dependencies. */
function declared(folder: string): string[] {
  const path = join(folder, 'package.json');
  if (!existsSync(path)) return [];
  try {
    const { dependencies } = JSON.parse(readFileSync(path, 'utf8')) as { dependencies?: Record<string, string> };
    // `gpufaas` itself may be declared for the editor's sake; it is lent to every handler.
    return Object.keys(dependencies ?? {}).filter((name) => name !== 'gpufaas');
  } catch (error) {
    throw new GpufaasError('BAD_PACKAGE', 'package.json of the function is not valid JSON.', {
      cause: error,
      suggestions: ['Mend it; `npm pkg get` in the folder shows the place.'],
    });
  }
}

async function run(
  command: string,
  args: readonly string[],
  folder: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(command, args, {
    cwd: folder,
    env: npmEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    shell: process.platform === 'win32',
  });
  const end = (): void => {
    try {
      // npm starts processes of its own; the group ends with it.
      if (process.platform === 'win32') child.kill('SIGKILL');
      else process.kill(-child.pid!, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  };
  let givenUp: unknown;
  const timer = setTimeout(() => {
    givenUp = failed(`npm did not finish within ${formatDuration(timeoutMs)}`, PING);
    end();
  }, timeoutMs);
  const onAbort = (): void => {
    givenUp = signal.reason;
    end();
  };
  signal.addEventListener('abort', onAbort, { once: true });
  for (const stream of [child.stdout, child.stderr]) {
    const splitter = new LineSplitter((line) => {
      lines.push(...safeLines(line));
      if (lines.length > KEPT_LINES) lines.shift();
    });
    stream.on('data', (chunk: Uint8Array) => splitter.push(chunk));
    stream.on('end', () => splitter.end());
  }
  child.once('error', (error: NodeJS.ErrnoException) =>
    reject(
      error.code === 'ENOENT'
        ? failed('npm was not found', 'Install npm, or pack node_modules with the function.')
        : failed(error.message, 'Try again.'),
    ),
  );
  child.once('close', (code) => {
    if (givenUp !== undefined) reject(givenUp);
    else if (code === 0) resolve();
    else {
      const reason = npmReason(lines, folder) ?? `npm ended with code ${code}`;
      reject(failed(reason, UNREACHABLE.test(reason) ? PING : SEE_ALL));
    }
  });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** npm's first sentence about what went wrong, without its prefixes and the pointer to its log. */
function npmReason(lines: readonly string[], folder: string): string | undefined {
  // npm hides what looks like an identifier in a path; both spellings of our folder go.
  const places = [`${folder}/`, `${dirname(folder)}/***/`];
  const told = lines
    .map((line) => places.reduce((text, place) => text.replaceAll(place, './'), line))
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!)\s*([a-z]+ (?=[A-Z]+:))?/, '').trim());
  const code = told.find((line) => line.startsWith('code '))?.slice('code '.length);
  const reason = told.find(
    (line) => line !== '' && !/^(code|errno|syscall|A complete log|path|dest|network (This|If)) ?/.test(line),
  );
  if (reason === undefined) return undefined;
  return code && !reason.includes(code) ? `${code}: ${reason}` : reason;
}

/** npm's own settings come from files of the user; nothing of the daemon's environment but what finds them. */
function npmEnvironment(): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = { NO_COLOR: '1', NO_UPDATE_NOTIFIER: '1' };
  for (const [name, value] of Object.entries(process.env)) {
    if (
      /^(PATH|HOME|USERPROFILE|APPDATA|SystemRoot|TEMP|TMPDIR?|LANG|TZ|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy|npm_config_\w+)$/i.test(
        name,
      )
    )
      kept[name] = value;
  }
  return kept;
}

function failed(why: string, suggestion: string): GpufaasError {
  return new GpufaasError(
    'DEPLOY_FAILED',
    `The dependencies of the function could not be installed: ${why.replace(/\.$/, '')}.`,
    {
      suggestions: [suggestion],
    },
  );
}
