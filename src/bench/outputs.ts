// Where a bench is to write: looked at before it runs, so that hours of work don't end at a path that can't be written to.

import { accessSync, constants, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { GpufaasError } from '../errors.ts';

/** The paths as they were typed after --out and --timeline. */
export interface Outputs {
  readonly out?: string | undefined;
  readonly timeline?: string | undefined;
}

/** Throws USAGE for a path that can't be written to. Makes nothing. */
export function checkOutputs({ out, timeline }: Outputs): void {
  if (out !== undefined) checkFolder('--out', out);
  if (timeline !== undefined) checkFile('--timeline', timeline);
}

/** A folder that is there, or one that can be made: with all that lie between. */
function checkFolder(flag: string, path: string): void {
  let place = resolve(path);
  while (lookAt(place) === undefined && dirname(place) !== place) place = dirname(place);
  const advice = 'Name a folder: one that is there, or a new one.';
  if (lookAt(place)?.isDirectory() !== true) throw refused(`${flag}: ${place} is not a folder.`, advice);
  checkAccess(flag, place);
}

function checkFile(flag: string, path: string): void {
  const there = lookAt(path);
  if (there?.isDirectory()) throw refused(`${flag}: ${path} is a folder.`, 'Name a file in it.');
  if (there !== undefined) return checkAccess(flag, path);
  const folder = dirname(path);
  const below = lookAt(folder);
  if (below === undefined)
    throw refused(`${flag}: there is no folder ${folder} for ${path}.`, 'Make it first, or name a file elsewhere.');
  if (!below.isDirectory()) throw refused(`${flag}: ${folder} is not a folder.`, 'Name a file in a folder.');
  checkAccess(flag, folder);
}

/** What is at a path; undefined: nothing, or nothing that can be seen. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function checkAccess(flag: string, path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (error) {
    throw refused(`${flag}: ${path} can't be written to.`, 'Check who owns it, or choose another place.', error);
  }
}

function refused(message: string, suggestion: string, cause?: unknown): GpufaasError {
  return new GpufaasError('USAGE', message, { cause, suggestions: [suggestion] });
}
