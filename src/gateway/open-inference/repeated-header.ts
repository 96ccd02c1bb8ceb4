// Callers send the same JSON again and again with other tensors behind it: what was read and checked once is not read again.

import type { Tensor } from '../../tensors.ts';
import { decodeRequest } from './request.ts';
import type { InferRequest, RequestedOutput, Signature } from './types.ts';

/** A longer header is not remembered, in bytes. */
const MAX_HEADER_BYTES = 4096;

interface PlacedInput extends Omit<Tensor, 'data'> {
  /** Where its bytes lie in the body. */
  readonly from: number;
  readonly to: number;
}

interface Remembered {
  readonly header: Buffer;
  readonly bodyBytes: number;
  readonly inputs: readonly PlacedInput[];
  readonly outputs: readonly RequestedOutput[];
}

/** The last header of each model, while that is served. */
export class RepeatedHeaders {
  readonly #last = new WeakMap<Signature, Remembered>();

  /** As `decodeRequest`, for a request of this model. */
  decode(body: Uint8Array, headerLength: number | null, model: Signature): InferRequest {
    if (headerLength === null || headerLength === 0) return decodeRequest(body, headerLength, model);
    const last = this.#last.get(model);
    if (last !== undefined && last.bodyBytes === body.byteLength && startsWith(body, headerLength, last.header)) {
      return { id: null, inputs: last.inputs.map((input) => place(input, body)), outputs: last.outputs };
    }
    const request = decodeRequest(body, headerLength, model);
    if (isAllInHeader(request, body, headerLength)) this.#last.set(model, remember(request, body, headerLength));
    return request;
  }
}

function place({ name, datatype, shape, from, to }: PlacedInput, body: Uint8Array): Tensor {
  return { name, datatype, shape, data: body.subarray(from, to) };
}

function startsWith(body: Uint8Array, headerLength: number, header: Buffer): boolean {
  return header.byteLength === headerLength && header.compare(body, 0, headerLength) === 0;
}

/** True if a body of as many bytes with the same header is as good: nothing that was checked lies behind it. */
function isAllInHeader({ id, inputs }: InferRequest, body: Uint8Array, headerLength: number): boolean {
  // Ids are different each time.
  if (id !== null || headerLength > MAX_HEADER_BYTES) return false;
  const begin = body.byteOffset + headerLength;
  const end = body.byteOffset + body.byteLength;
  // Numbers that came as JSON have bytes of their own; of strings the lengths were checked, and those lie in the bytes.
  return inputs.every(
    ({ datatype, data: { buffer, byteOffset, byteLength } }) =>
      datatype !== 'BYTES' && buffer === body.buffer && byteOffset >= begin && byteOffset + byteLength <= end,
  );
}

function remember({ inputs, outputs }: InferRequest, body: Uint8Array, headerLength: number): Remembered {
  const placed = inputs.map(({ data, ...head }) => {
    const from = data.byteOffset - body.byteOffset;
    return { ...head, from, to: from + data.byteLength };
  });
  return { header: Buffer.from(body.subarray(0, headerLength)), bodyBytes: body.byteLength, inputs: placed, outputs };
}
