// What a handler did wrong, in sentences for its author: why its module can't be loaded, what it threw, what it may not do,
// and where.

import { existsSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import * as sdk from '../sdk.ts';

/** What is wrong with a module that can not be imported; `folder` ends with a separator. */
export function loadError(error: unknown, path: string, folder: string): GpufaasError {
  if (error instanceof GpufaasError) return error;
  const { code, message, stack } = (error instanceof Error ? error : new Error(String(error))) as NodeJS.ErrnoException;
  const text = plain(message, folder);
  const place = placeOf(stack ?? '', folder);
  const told = (sentence: string, suggestion: string): GpufaasError =>
    new GpufaasError('HANDLER_ERROR', `${basename(path)} can not be loaded: ${sentence}`, {
      cause: error,
      suggestions: [suggestion],
    });
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return told(
      `${text}${place}`,
      'Types are stripped, not compiled: no enums, no namespaces, no parameter properties.',
    );
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    const missing = /'([^']+)'/.exec(text)?.[1] ?? 'a module';
    return /^[./]/.test(missing) || missing.includes(sep)
      ? told(
          `it imports ${missing}, which is not in the package.`,
          'Write relative imports with their extension: ./util.ts.',
        )
      : told(
          `it imports ${missing}, which is not installed.`,
          existsSync(join(folder, 'package.json'))
            ? `Add "${missing}" to the dependencies in package.json; deploy installs them.`
            : `Add a package.json with "${missing}" in its dependencies; deploy installs them.`,
        );
  }
  const notExported = /^The requested module '(.+)' does not provide an export named '(.+)'/.exec(text);
  if (error instanceof SyntaxError && notExported !== null) {
    const [, module = '', name = ''] = notExported;
    const near = module === 'gpufaas' ? nearest(name, Object.keys(sdk)) : undefined;
    return told(
      `it imports ${name} from ${module}, which exports no ${name}${place}.`,
      near === undefined ? 'Mend the name; types are imported with `import type`.' : `Did you mean ${near}?`,
    );
  }
  if (code === 'ERR_ACCESS_DENIED') return deniedError(error) ?? told(text, 'Handlers read their own folder only.');
  if (error instanceof SyntaxError) return told(`${text}${place}`, 'Mend the syntax; an editor shows the place.');
  return told(`${text}${place}`, 'The module throws while it is loaded; try it with `gpufaas/testing`.');
}

const DENIED: Readonly<Record<string, string>> = {
  ChildProcess: 'start another process',
  WorkerThreads: 'start a worker thread',
  FileSystemRead: 'read',
  FileSystemWrite: 'write',
  WASI: 'use WASI',
  Inspector: 'open the inspector',
};

/** What the permission model refused, in a sentence; null if the error is another. */
export function deniedError(error: unknown): GpufaasError | null {
  const { code, permission, resource } = (error ?? {}) as { code?: string; permission?: string; resource?: string };
  if (code !== 'ERR_ACCESS_DENIED') return null;
  const what = DENIED[permission ?? ''] ?? 'do that';
  const object =
    (permission === 'FileSystemRead' || permission === 'FileSystemWrite') && resource ? ` ${resource}` : '';
  return new GpufaasError('HANDLER_ERROR', `The handler tried to ${what}${object}, which a handler may not.`, {
    cause: error,
    suggestions: [
      'A handler may read its own folder and use the network; it answers instead of writing files or starting processes.',
    ],
  });
}

/** One line, with the function's folder left out of paths. */
function plain(message: string, folder: string): string {
  const line = message.trim().split('\n')[0]!.replaceAll(folder, './').replaceAll(pathToFileURL(folder).href, './');
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

/** ` (handler.ts:12)` from the first line of a stack that lies in the function's folder. */
function placeOf(stack: string, folder: string): string {
  for (const match of stack.matchAll(/((?:file:\/\/)?\/[^\s():]+):(\d+)/g)) {
    const file = match[1]!.startsWith('file:') ? fileURLToPath(match[1]!) : match[1]!;
    if (file.startsWith(folder)) return ` (${relative(folder, file)}:${match[2]})`;
  }
  return '';
}

/** What a handler in `folder` threw, as an error to answer with. An error of a run that it did not catch keeps its code. */
export function handlerError(thrown: unknown, folder: string): GpufaasError {
  if (thrown instanceof GpufaasError) return thrown;
  if (thrown instanceof DOMException && thrown.name === 'AbortError')
    return new GpufaasError('CANCELLED', thrown.message);
  const denied = deniedError(thrown);
  if (denied) return denied;
  if (thrown instanceof Error) {
    const kind = thrown.name === 'Error' ? '' : `${thrown.name}: `;
    const base = folder.endsWith(sep) ? folder : folder + sep;
    const message = oneLine(thrown.message.replaceAll(base, './')) || 'an error without a message';
    const place = placeOf(thrown.stack ?? '', base).slice(2, -1);
    return new GpufaasError('HANDLER_ERROR', `The handler threw: ${kind}${message}`, {
      suggestions: [...(place === '' ? [] : [`It was thrown at ${place}.`]), ...LOGS.suggestions],
    });
  }
  return new GpufaasError('HANDLER_ERROR', `The handler threw ${oneLine(describe(thrown))}`, LOGS);
}

const LOGS = { suggestions: ['`gpufaas logs` shows the stack and what the handler printed.'] };

const oneLine = (text: string): string => text.trim().split('\n')[0]!.slice(0, 500);

function describe(thrown: unknown): string {
  if (typeof thrown === 'object' && thrown !== null) return 'an object that is no Error';
  const text = String(thrown);
  return thrown === undefined || thrown === null ? `${text} instead of an Error` : `${typeof thrown}: ${text}`;
}

/** Our own frames and Node's tell an author nothing. */
const OURS = new URL('..', import.meta.url).href;

/** The stack of what was thrown, as far as it lies in the function's code, with paths relative to its folder. */
export function readableStack(thrown: unknown, folder: string): string {
  if (!(thrown instanceof Error)) return `Thrown: ${String(thrown)}`;
  const lines = (thrown.stack ?? thrown.message).split('\n');
  const own = lines.filter((line) => !/^\s+at /.test(line) || !(line.includes(OURS) || line.includes('node:internal')));
  const base = folder.endsWith(sep) ? folder : folder + sep;
  return own.join('\n').replaceAll(pathToFileURL(base).href, '').replaceAll(base, '');
}
