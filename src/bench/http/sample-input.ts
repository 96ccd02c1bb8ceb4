// An input for a function that takes tensors: zeros of the declared shapes, as an Open Inference request with binary data.

import type { FunctionDetail } from '../../api/schemas.ts';
import { GpufaasError } from '../../errors.ts';
import { DATATYPE_BYTES } from '../../tensors.ts';

/** A body with the headers it needs. */
export interface SampleInput {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Zeros for a function without handler and with one model. Throws USAGE for any other: only its owner knows its input. */
export function sampleInput(detail: FunctionDetail): SampleInput {
  const [model] = detail.modelDetails;
  const isKnown = detail.handler === null && detail.modelDetails.length === 1;
  const sizes = Object.keys(DATATYPE_BYTES);
  if (!isKnown || model === undefined || model.inputs.some((input) => !sizes.includes(input.datatype)))
    throw new GpufaasError('USAGE', `What ${detail.name} takes is not known.`, {
      suggestions: ['Give an input: -f FILE or --data TEXT.'],
    });
  const inputs = model.inputs.map(({ name, datatype, shape }) => {
    const fixed = shape.map((size) => (size < 1 ? 1 : size));
    const elements = fixed.reduce((product, size) => product * size, 1);
    const bytes = elements * DATATYPE_BYTES[datatype as keyof typeof DATATYPE_BYTES];
    return { name, datatype, shape: fixed, parameters: { binary_data_size: bytes } };
  });
  const header = Buffer.from(JSON.stringify({ inputs, parameters: { binary_data_output: true } }));
  const zeros = new Uint8Array(inputs.reduce((sum, input) => sum + input.parameters.binary_data_size, 0));
  return {
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(header.length),
    },
    body: Buffer.concat([header, zeros]),
  };
}
