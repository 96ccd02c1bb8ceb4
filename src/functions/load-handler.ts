// Imports a handler module: TypeScript by type stripping, `gpufaas` without installation, `sharp` from the function's own
// dependencies or else from ours. Says in a sentence what is wrong with a module that can't be loaded.

import { registerHooks } from 'node:module';
import { basename, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GpufaasError } from '../errors.ts';
import type { Handler } from '../sdk.ts';
import { loadError } from './handler-errors.ts';

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
