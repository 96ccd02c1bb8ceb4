// Imports a handler module: TypeScript by type stripping, `gpufaas` without installation, `sharp` from the function's own
// dependencies or else from ours. Says in a sentence what is wrong with a module that can't be loaded.

import { registerHooks } from 'node:module';
import { basename, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GpufaasError } from '../errors.ts';
import type { Handler } from '../sdk.ts';

const SDK_URL = new URL(import.meta.url.endsWith('.ts') ? '../sdk.ts' : '../sdk.js', import.meta.url).href;

/** Packages of ours that a handler may use without declaring them. */
const LENT = new Set(['sharp']);

/** Makes `gpufaas` and what we lend resolvable from any module of this process. */
export function lendPackages(): void {
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === 'gpufaas') return { url: SDK_URL, shortCircuit: true };
      if (!LENT.has(specifier)) return next(specifier, context);
      try {
        return next(specifier, context);
      } catch {
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

/** The default export of the module at `path` in the function's `folder`. Throws HANDLER_ERROR. */
export async function loadHandler(path: string, folder: string): Promise<Handler> {
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as typeof module;
  } catch (error) {
    throw loadError(error, path, folder.endsWith(sep) ? folder : folder + sep);
  }
  const handler = unwrap(module.default);
  if (typeof handler === 'function') return handler as Handler;
  throw new GpufaasError('HANDLER_ERROR', `${basename(path)} has no handler as its default export.`, {
    suggestions: ['Write: export default defineHandler(async (request, { models }) => …);'],
  });
}

/** A CommonJS module may hold its default one level down. */
function unwrap(value: unknown): unknown {
  const inner = typeof value === 'object' && value !== null ? (value as { default?: unknown }).default : undefined;
  return inner ?? value;
}

function loadError(error: unknown, path: string, folder: string): GpufaasError {
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
          `Add a package.json with "${missing}" in its dependencies; deploy installs them.`,
        );
  }
  if (code === 'ERR_ACCESS_DENIED') return deniedError(error) ?? told(text, 'Handlers read their own folder only.');
  if (error instanceof SyntaxError)
    return told(`${text}${place}`, 'Mend the syntax; `node --check` on the file shows the place.');
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
