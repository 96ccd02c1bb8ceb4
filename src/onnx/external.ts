// Where a model's external weights lie. A location inside a model is untrusted text: this file is what keeps it in the folder.

import { isAbsolute, join, normalize, win32 } from 'node:path';

import type { GpufaasError } from '../errors.ts';
import { badModel } from './fields.ts';

/** A file that a model needs beside itself. */
export interface ExternalFile {
  /** As the model names it, relative to the model's own folder. */
  readonly location: string;
  /** The least size the file must have, in bytes, as far as the model says. */
  readonly bytes: number;
}

/**
 * The path of an external file beside the model in `folder`. BAD_MODEL if the location would leave the folder. Symbolic
 * links are not followed here: whoever opens the file must refuse those that lead outside.
 */
export function externalPath(folder: string, location: string): string {
  const normal = normalize(location);
  const outside =
    location === '' ||
    location.includes('\0') ||
    location.includes('\\') ||
    isAbsolute(location) ||
    win32.isAbsolute(location) ||
    /^[a-z][a-z0-9+.-]*:/iu.test(location) ||
    normal === '.' ||
    normal.split('/').includes('..');
  if (outside) {
    throw badModel(
      `The model names ${JSON.stringify(location.slice(0, 200))} as a file of weights, which is not inside its folder.`,
      'Keep the weights beside the model and save it again with a relative location.',
    );
  }
  return join(folder, normal);
}

/** BAD_MODEL for weights that are not where the model says. */
export function missingWeights(location: string): GpufaasError {
  return badModel(
    `The model keeps weights in ${JSON.stringify(location.slice(0, 200))}, and there is no such file beside it.`,
    'Put the file beside the model and deploy again.',
  );
}
