// What to say when a command fails: one line that says what is wrong, one that says what to do, and the exit code.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { styleText } from 'node:util';
import { GpufaasError, type ErrorCode } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { asTyped } from './as-typed.ts';

/** An error as the user sees it. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly suggestions: readonly string[];
  /** The last lines that the handler of a failed deployment printed. */
  readonly printed: readonly string[];
  readonly exitCode: number;
  /** For GPUFAAS_DEBUG only. */
  readonly thrown: unknown;
}

/** Describes anything thrown by a command (`calls show`, say); null if it only wants the process to end (oclif's exit). */
export function describeFailure(thrown: unknown, command = ''): Failure | null {
  if (isExit(thrown)) return null;
  const error = toKnownError(thrown, command);
  const suggestions = error.suggestions.length > 0 ? error.suggestions : [defaultSuggestion(error)];
  // oclif's parser adds to the message of what a flag's own check throws.
  const message = error.message.replace(/^Parsing --\S+ \n\t/, '').replace(/\nSee more help with --help$/, '');
  return {
    code: error.code,
    message: oneLine(message),
    suggestions,
    printed: error.printed,
    exitCode: error.exitCode,
    thrown,
  };
}

/**
 * Prints it: JSON on stdout for programs, two lines on stderr for people, with what a handler printed between them; stack
 * traces only when asked for.
 */
export function printFailure(failure: Failure, asJson: boolean): void {
  const { code, message, suggestions, printed } = failure;
  if (asJson) {
    const error = { code, message, suggestions, ...(printed.length > 0 && { printed }) };
    process.stdout.write(`${JSON.stringify({ error }, null, 2)}\n`);
  } else {
    const label = styleText('red', 'Error:', { stream: process.stderr });
    const arrow = styleText('dim', '→', { stream: process.stderr });
    const lines = printed.map((line) => `  ${oneLine(line.replaceAll('\t', '  '))}\n`).join('');
    const quoted =
      lines === '' ? '' : `The handler printed last:\n${styleText('dim', lines, { stream: process.stderr })}`;
    process.stderr.write(`${label} ${message}\n${quoted}${arrow} ${asTyped(suggestions.map(oneLine).join(' '))}\n`);
  }
  if (isDebug() && failure.thrown instanceof Error) process.stderr.write(`${stackWithCauses(failure.thrown)}\n`);
}

/** True if stack traces were asked for. */
function isDebug(environment: NodeJS.ProcessEnv = process.env): boolean {
  return /^(1|true|yes|on)$/i.test(environment['GPUFAAS_DEBUG'] ?? '');
}

function toKnownError(thrown: unknown, command: string): GpufaasError {
  if (thrown instanceof GpufaasError) return thrown;
  if (!(thrown instanceof Error)) return new GpufaasError('INTERNAL', String(thrown));
  if ('oclif' in thrown) return fromParser(thrown as ParserError, command);
  if (thrown.name === 'AbortError') return new GpufaasError('CANCELLED', 'Interrupted.', { cause: thrown });
  return 'syscall' in thrown ? fromSystem(thrown as NodeJS.ErrnoException) : fromBug(thrown);
}

/** What oclif's parser throws, as far as it is looked at; it carries the whole configuration, which is no user's business. */
interface ParserError extends Error {
  readonly args?: readonly { name: string; options?: readonly string[] }[] | readonly string[];
  readonly flags?: readonly string[];
  readonly parse?: { readonly input?: { readonly flags?: Readonly<Record<string, unknown>> } };
}

function fromParser(error: ParserError, command: string): GpufaasError {
  const help = `\`gpufaas ${command} --help\` shows how it is used.`.replace('  ', ' ');
  const usage = (message: string, ...suggestions: string[]) =>
    new GpufaasError('USAGE', message, { cause: error, suggestions: [...suggestions, help] });
  switch (error.constructor.name) {
    case 'RequiredArgsError': {
      const names = (error.args as readonly { name: string }[]).map((argument) => argument.name.toUpperCase());
      return usage(`${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} missing.`);
    }
    case 'UnexpectedArgsError':
      // What is too much there is the secret itself: not to be said again.
      if (command === 'secret set') {
        return usage(
          'The value of a secret is no argument: it would stay in the history of the shell.',
          '`gpufaas secret set NAME` asks for it, or reads it from the standard input or from --file.',
        );
      }
      return usage(`Nothing more was expected after the command, but there is ${quote(error.args as string[])}.`);
    case 'NonExistentFlagsError': {
      const known = Object.keys(error.parse?.input?.flags ?? {}).map((flag) => `--${flag}`);
      const near = error.flags?.map((flag) => nearest(flag, known)).find((flag) => flag !== undefined);
      const message = `There is no flag ${(error.flags ?? []).join(' ')}.`;
      return near === undefined ? usage(message) : usage(message, `Did you mean ${near}?`);
    }
    default:
      return usage(error.message);
  }
}

/** What the operating system refuses to a command. */
function fromSystem(error: NodeJS.ErrnoException): GpufaasError {
  const path = error.path ?? 'a file';
  switch (error.code) {
    case 'ENOENT':
      // Some file systems (/proc) say so of a folder that they do not let anybody make.
      if (error.syscall === 'mkdir') {
        return new GpufaasError('CONFLICT', `${path} can not be made.`, {
          cause: error,
          suggestions: ['Choose another place; GPUFAAS_HOME sets the one for the state.'],
        });
      }
      return new GpufaasError('FILE_NOT_FOUND', `There is no ${path}.`, {
        cause: error,
        suggestions: ['Check the path.'],
      });
    case 'EISDIR':
      return new GpufaasError('USAGE', `${path} is a folder.`, { cause: error, suggestions: ['Check the path.'] });
    case 'ENOTDIR':
      return new GpufaasError('USAGE', `${fileInTheWay(path)} is not a folder.`, {
        cause: error,
        suggestions: ['Check the path; GPUFAAS_HOME sets the one for the state.'],
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new GpufaasError('CONFLICT', `No permission for ${path}.`, {
        cause: error,
        suggestions: ['Check who owns it; GPUFAAS_HOME sets another place for the state.'],
      });
    case 'ENOSPC':
    case 'EDQUOT':
      return new GpufaasError('DISK_FULL', `The disk is full${error.path === undefined ? '' : ` at ${error.path}`}.`, {
        cause: error,
        suggestions: ['Make room, or set GPUFAAS_HOME to another disk.'],
      });
    default:
      return new GpufaasError('INTERNAL', error.message, { cause: error });
  }
}

/** What the path needs as a folder and is none: the system names the whole path only. */
function fileInTheWay(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : fileInTheWay(dirname(path));
}

function fromBug(error: Error): GpufaasError {
  return new GpufaasError('INTERNAL', `Something went wrong inside gpufaas: ${error.message}`, { cause: error });
}

function defaultSuggestion(error: GpufaasError): string {
  switch (error.code) {
    case 'FUNCTION_NOT_FOUND':
      return '`gpufaas ls` lists the functions.';
    case 'BAD_TENSOR':
    case 'BAD_REQUEST':
      return '`gpufaas describe FN` shows the inputs that a function takes.';
    case 'CANCELLED':
      return 'Run it again when you like.';
    case 'UNAUTHORIZED':
      return 'Set GPUFAAS_TOKEN to the token in the home of that daemon.';
    case 'NO_DAEMON':
      return 'Start it with `gpufaas up`.';
    case 'DRAINING':
      return 'The daemon is ending: `gpufaas up` starts it again.';
    default:
  }
  if (error.kind === 'capacity') return 'Try again in a moment; `gpufaas ps` shows what is going on.';
  if (error.kind === 'user') return '`gpufaas --help` shows how it is meant.';
  return 'Run it with GPUFAAS_DEBUG=1 for the details, and look at `gpufaas doctor` and the daemon log.';
}

function isExit(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIT';
}

/** Messages may carry text of others: one line, no control characters that would move the cursor. */
function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\s*[\r\n]+\s*/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

function quote(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word.length > 60 ? `${word.slice(0, 60)}…` : word)).join(' ');
}

function stackWithCauses(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause instanceof Error ? `${own}\nCaused by ${stackWithCauses(error.cause)}` : own;
}
