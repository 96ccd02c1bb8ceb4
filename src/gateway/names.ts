// Which function or model a name from outside means. Names are matched, never used as paths, and shortened before they
// are repeated in an error.

import { GpufaasError } from '../errors.ts';
import { quoted } from './open-inference/request.ts';
import type { Platform, ServedFunction, ServedModel } from './platform.ts';

const FUNCTION_NAME = /^([a-z][a-z0-9-]{0,62})(?:\.([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))?$/;

/** The serving function of a name, which may carry a namespace as OpenFaaS writes it. Throws FUNCTION_NOT_FOUND. */
export function findFunction(platform: Platform, name: string): ServedFunction {
  const match = FUNCTION_NAME.exec(name);
  const served = match === null ? undefined : platform.function(match[1]!);
  if (served === undefined) throw functionNotFound(name, platform.served());
  return served;
}

/** The name without its namespace, for calls that are about functions that may not serve yet. Throws FUNCTION_NOT_FOUND. */
export function bareName(name: string): string {
  const match = FUNCTION_NAME.exec(name);
  if (match === null) throw functionNotFound(name, []);
  return match[1]!;
}

function functionNotFound(name: string, served: readonly ServedFunction[]): GpufaasError {
  const near = served.map((each) => each.name).filter((each) => isNear(name, each));
  return new GpufaasError('FUNCTION_NOT_FOUND', `There is no function ${quoted(name)}.`, {
    suggestions: [
      ...(near.length > 0 ? [`Did you mean ${near.slice(0, 3).join(', ')}?`] : []),
      'See `gpufaas ls`, or deploy it with `gpufaas deploy`.',
    ],
  });
}

/** One is the beginning of the other, or they differ in at most two letters, of short ones in fewer. */
function isNear(given: string, known: string): boolean {
  if (given.length > 80 || given === '') return false;
  if (known.startsWith(given) || given.startsWith(known)) return true;
  return distance(given, known) <= Math.min(2, Math.floor(Math.max(given.length, known.length) / 3));
}

/** Levenshtein distance of two short strings. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** A model together with the function it belongs to. */
export interface FoundModel {
  readonly served: ServedFunction;
  readonly model: ServedModel;
}

/** The name under which the Open Inference Protocol knows a model. */
export function modelName(served: ServedFunction, model: ServedModel): string {
  return served.models.length === 1 ? served.name : `${served.name}.${model.name}`;
}

/** Every model by its protocol name. */
export function allModels(platform: Platform): (FoundModel & { readonly name: string })[] {
  return platform
    .served()
    .flatMap((served) => served.models.map((model) => ({ served, model, name: modelName(served, model) })));
}

/** The model of a protocol name: `{function}` where it has one model, or `{function}.{model}`. Throws MODEL_NOT_FOUND. */
export function findModel(platform: Platform, name: string): FoundModel {
  const dot = name.indexOf('.');
  const served = name.length > 200 ? undefined : platform.function(dot < 0 ? name : name.slice(0, dot));
  if (served !== undefined) {
    if (dot < 0 && served.models.length === 1) return { served, model: served.models[0]! };
    const model = dot < 0 ? undefined : served.models.find((each) => each.name === name.slice(dot + 1));
    if (model !== undefined) return { served, model };
  }
  const names = served?.models.map((each) => modelName(served, each)) ?? [];
  throw new GpufaasError('MODEL_NOT_FOUND', `There is no model ${quoted(name)}.`, {
    suggestions: names.length > 0 ? [`The models of this function are ${names.join(', ')}.`] : [],
  });
}

/** Checks a version from a path against the serving one. Throws VERSION_NOT_FOUND. */
export function checkVersion(found: FoundModel, version: string | undefined): void {
  if (version === undefined || version === String(found.served.version)) return;
  throw new GpufaasError(
    'VERSION_NOT_FOUND',
    `Version ${quoted(version)} of ${modelName(found.served, found.model)} does not serve; version ${found.served.version} does.`,
  );
}
