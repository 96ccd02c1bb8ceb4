// A call of a function that works as it is printed: with its sample, or with tensors for whoever has none at hand yet.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FunctionDetail } from '../api/schemas.ts';

type Inputs = FunctionDetail['modelDetails'][number]['inputs'];

/** More than this is not read, let alone typed. */
const MAX_ELEMENTS = 16;

/** A body of zeros (empty strings, false) in which free dimensions are 1; null if that has more than 16 elements. */
export function smallBody(inputs: Inputs): string | null {
  let total = 0;
  const tensors = inputs.map(({ name, datatype, shape }) => {
    const dimensions = shape.map((dimension) => (dimension < 0 ? 1 : dimension));
    const elements = dimensions.reduce((product, dimension) => product * dimension, 1);
    total += elements;
    const zero = datatype === 'BYTES' ? '' : datatype === 'BOOL' ? false : 0;
    return {
      name,
      datatype,
      shape: dimensions,
      data: Array.from({ length: Math.min(elements, MAX_ELEMENTS) }, () => zero),
    };
  });
  return total > MAX_ELEMENTS ? null : JSON.stringify({ inputs: tensors });
}

/** The command to try first: a call with small zeros, else the one that shows what the inputs are; null with a handler. */
export function exampleCall(detail: FunctionDetail): string | null {
  const [model, ...others] = detail.modelDetails;
  if (detail.handler !== null || model === undefined) return null;
  const body = smallBody(model.inputs);
  if (body !== null) {
    const target = others.length === 0 ? detail.name : `${detail.name}/${model.name}`;
    return `gpufaas invoke ${target} -d '${body.replaceAll("'", String.raw`'\''`)}'`;
  }
  return others.length === 0 ? `curl ${new URL(detail.url).origin}/v2/models/${detail.name}` : null;
}

/**
 * The commands that come next: a call, with the sample where there is one (a path from here), and a look at the function
 * or whatever else is to follow.
 */
export function nextCalls(detail: FunctionDetail, sample: string | null, after: string): string[] {
  const call = firstCall(detail, sample);
  return call === null ? [after] : [call, after];
}

/** Where the sample of a function lies, seen from here: in this folder or in the one of its name; FILE if in neither. */
export function findSample({ name, manifest: { sample } }: FunctionDetail): string | null {
  if (typeof sample !== 'string') return null;
  return [sample, join(name, sample)].find((path) => existsSync(path)) ?? 'FILE';
}

function firstCall(detail: FunctionDetail, sample: string | null): string | null {
  if (sample !== null) return `gpufaas invoke ${detail.name} -f ${sample}`;
  return detail.handler === null ? exampleCall(detail) : `gpufaas invoke ${detail.name} -d TEXT`;
}
