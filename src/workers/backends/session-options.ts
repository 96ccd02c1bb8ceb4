// Session options from a manifest: those that tune a session are merged over ours, those that would write files, load
// code or move the session to another device are refused.

import { GpufaasError } from '../../errors.ts';
import type { Session } from './ort.ts';

/** ONNX Runtime's configuration entries, in groups that become dotted keys. */
export type ExtraOptions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const ALLOWED = new Set([
  'graphOptimizationLevel',
  'intraOpNumThreads',
  'interOpNumThreads',
  'executionMode',
  'enableMemPattern',
  'enableCpuMemArena',
  'freeDimensionOverrides',
  'extra',
]);

function refuse(key: string): never {
  throw new GpufaasError('BAD_MODEL', `The session option ${JSON.stringify(key)} can't be set for a model.`, {
    suggestions: [`Options that can: ${[...ALLOWED].join(', ')}.`],
  });
}

function asGroups(extra: unknown): ExtraOptions {
  if (extra === undefined) return {};
  if (typeof extra !== 'object' || extra === null || Array.isArray(extra)) refuse('extra');
  for (const [group, entries] of Object.entries(extra)) {
    if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) refuse(`extra.${group}`);
  }
  return extra as ExtraOptions;
}

/** Throws BAD_MODEL if a manifest's session options hold anything that may not be set. */
export function checkSessionOptions(options: Readonly<Record<string, unknown>>): void {
  for (const key of Object.keys(options)) if (!ALLOWED.has(key)) refuse(key);
  for (const [group, entries] of Object.entries(asGroups(options['extra']))) {
    for (const key of Object.keys(entries)) {
      // Files the runtime would read, write or load code from.
      if (/file|path|library|profil|dump/i.test(key)) refuse(`extra.${group}.${key}`);
    }
  }
}

/**
 * Ours, then how the model was prepared, then what its manifest asks; `extra` is merged entry by entry. An instance has the
 * threads it is given (`threads`), whatever the manifest gives a session.
 */
export function mergeSessionOptions(
  base: Session.SessionOptions,
  prepared: Session.SessionOptions,
  asked: Readonly<Record<string, unknown>>,
  threads?: number,
): Session.SessionOptions {
  checkSessionOptions(asked);
  const extra: Record<string, Record<string, unknown>> = {};
  for (const layer of [base.extra, prepared.extra, asked['extra']]) {
    for (const [group, entries] of Object.entries(asGroups(layer))) extra[group] = { ...extra[group], ...entries };
  }
  // What was prepared is optimised already: asking for a level again would undo the mapping.
  return { ...base, ...asked, ...prepared, ...(threads !== undefined && { intraOpNumThreads: threads }), extra };
}
