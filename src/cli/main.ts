// The command line from argv to exit code: finds the command, runs it, and says in two lines (or as JSON) what went wrong.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import '@oclif/core/command';
import { Config } from '@oclif/core/config';
import { run } from '@oclif/core/run';
import { settings } from '@oclif/core/settings';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { describeFailure, printFailure } from './failure.ts';

/** Runs one command and ends the process with the exit code of the contract. */
export async function runCommandLine(argv: readonly string[]): Promise<never> {
  // `gpufaas ls | head -1`: the reader has what it wanted, and nobody is left to tell of anything. The daemon in the
  // foreground goes on when its terminal goes away; SIGHUP tells it.
  const onError = argv.includes('serve') ? () => {} : endOnBrokenPipe;
  // oclif adds one of its own with the import of its commands, which throws what it does not know.
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
  const exitCode = await execute(argv);
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(exitCode);
}

/** Runs one command, prints what it has to say, and gives the exit code. */
export async function execute(argv: readonly string[]): Promise<number> {
  const args = withLeadingJsonMoved(argv);
  let command = '';
  try {
    const config = await loadConfig();
    command = commandOf(args, config);
    refuseUnknownCommand(args, config);
    refuseTopicAsJson(args, config);
    await run(args, config);
    return Number(process.exitCode ?? 0);
  } catch (thrown) {
    const failure = describeFailure(thrown, command);
    if (failure === null) return Number(process.exitCode ?? 0);
    printFailure(failure, wantsJson(args));
    return failure.exitCode;
  }
}

/** The package with its commands: compiled with a manifest, or (from source) the TypeScript files themselves. */
async function loadConfig(): Promise<Config> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  if (!import.meta.url.endsWith('.ts')) return Config.load({ root });
  // oclif knows no type stripping: left to itself it would look for a transpiler, then run a stale dist/.
  settings.enableAutoTranspile = false;
  const packageFile = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const pjson = {
    ...packageFile,
    oclif: { ...packageFile.oclif, commands: './src/commands', helpClass: './src/cli/help' },
  };
  return Config.load({ root, pjson, ignoreManifest: true });
}

/** The words that name the command: `calls show` of `calls show ID`; empty if none is named. */
function commandOf(argv: readonly string[], config: Config): string {
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  while (words.length > 0 && config.findCommand(words.join(':')) === undefined) words.pop();
  return words.join(' ');
}

/** `gpufaas --json ls` means `gpufaas ls --json`. */
function withLeadingJsonMoved(argv: readonly string[]): string[] {
  return argv[0] === '--json' && argv.length > 1 ? [...argv.slice(1), '--json'] : [...argv];
}

/** True if the caller wants data; what follows `--` is not ours. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json');
}

function refuseUnknownCommand(argv: readonly string[], config: Config): void {
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  // `gpufaas help X` is about X.
  if (words[0] === 'help') words.shift();
  const [first, second] = words;
  if (first === undefined) {
    if (argv[0]?.startsWith('-') && !['--help', '-h', '--version', '-v'].includes(argv[0])) {
      throw new GpufaasError('USAGE', `${argv[0]} is not a command.`, {
        suggestions: ['A command comes first: `gpufaas --help` lists them.'],
      });
    }
    return;
  }
  const visible = config.commands.filter((command) => !command.hidden).map((command) => command.id);
  const top = new Set(config.commandIDs.map((id) => id.split(':')[0]!));
  if (!top.has(first))
    throw unknown(
      first,
      nearestCommand(
        first,
        visible.map((id) => id.split(':')[0]!),
      ),
    );
  refuseExtraWords(words, config);
  const below = commandsBelow([first], config);
  if (below.length > 0 && second !== undefined && config.findCommand(first) === undefined && !below.includes(second)) {
    const near = nearestCommand(second, below);
    throw unknown(`${first} ${second}`, near === undefined ? undefined : `${first} ${near}`, `${first} --help`);
  }
}

/** A topic alone is answered with its help, which is no data. */
function refuseTopicAsJson(argv: readonly string[], config: Config): void {
  const [first, ...rest] = argv;
  if (first === undefined || !wantsJson(rest) || rest.includes('--help') || rest.includes('-h')) return;
  if (!rest.every((word) => word.startsWith('-')) || config.findCommand(first) !== undefined) return;
  const below = commandsBelow([first], config);
  if (below.length === 0) return;
  throw new GpufaasError('USAGE', `A command is missing after ${JSON.stringify(first)}.`, {
    suggestions: [`One of ${below.toSorted().join(', ')}: \`gpufaas ${first} --help\` shows them.`],
  });
}

/** What may follow these words to name a command: `http` after `bench`. */
function commandsBelow(words: readonly string[], config: Config): string[] {
  const start = `${words.join(':')}:`;
  return config.commands
    .filter((command) => !command.hidden && command.id.startsWith(start))
    .map((command) => command.id.slice(start.length));
}

/** oclif would take the words after a command without arguments for the rest of its name. */
function refuseExtraWords(words: readonly string[], config: Config): void {
  for (let length = words.length - 1; length > 0; length--) {
    const command = config.findCommand(words.slice(0, length).join(':'));
    if (command === undefined || config.findCommand(words.slice(0, length + 1).join(':')) !== undefined) continue;
    if (Object.keys(command.args).length > 0 || command.strict === false) return;
    const name = words.slice(0, length).join(' ');
    const near = nearestCommand(words[length]!, commandsBelow(words.slice(0, length), config));
    throw new GpufaasError('USAGE', `\`gpufaas ${name}\` takes no ${JSON.stringify(words[length]!.slice(0, 80))}.`, {
      suggestions: [
        near === undefined
          ? `\`gpufaas ${name} --help\` shows how it is used.`
          : `Did you mean \`gpufaas ${name} ${near}\`?`,
      ],
    });
  }
}

/** The other name that a command of the same meaning has elsewhere here. */
const SYNONYMS: Readonly<Record<string, string>> = { ls: 'list', list: 'ls', remove: 'rm', delete: 'rm' };

function nearestCommand(word: string, known: readonly string[]): string | undefined {
  const synonym = Object.hasOwn(SYNONYMS, word) ? SYNONYMS[word]! : '';
  return known.includes(synonym) ? synonym : nearest(word, new Set(known));
}

function unknown(words: string, near: string | undefined, help = '--help'): GpufaasError {
  const shown = words.length > 80 ? `${words.slice(0, 80)}…` : words;
  return new GpufaasError('USAGE', `There is no command ${JSON.stringify(shown)}.`, {
    suggestions: [near === undefined ? `\`gpufaas ${help}\` lists the commands.` : `Did you mean \`gpufaas ${near}\`?`],
  });
}

function endOnBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  // The terminal is gone: SIGHUP ends the command, or has it clean up first.
  if (error.code === 'EIO') return;
  throw error;
}

/** Resolves once what was written has left the process (pipes are asynchronous). */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
