// Callers who ask the same again and again (repeated-header.ts) get answers whose JSON is the same but for the numbers behind it: what
// was written once is not written again.

import { LastTensors } from '../../last-tensors.ts';
import type { Tensor } from '../../tensors.ts';
import { encodeAnswer } from './answer.ts';
import type { AnswerHead, EncodedAnswer, RequestedOutput } from './types.ts';

/** A longer header is not remembered, in bytes. */
const MAX_HEADER_BYTES = 4096;

interface Remembered {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly outputs: LastTensors;
  readonly header: Uint8Array;
}

/** The header of the last answer to each repeated request. */
export class RepeatedAnswers {
  readonly #last = new WeakMap<readonly RequestedOutput[], Remembered>();

  /** As `encodeAnswer`. Two requests are the same if `requested` is the same object. */
  encode(head: AnswerHead, outputs: readonly Tensor[], requested: readonly RequestedOutput[]): EncodedAnswer {
    const { id, modelName, modelVersion } = head;
    // Ids are different each time.
    if (id !== null) return encodeAnswer(head, outputs, requested);
    const last = this.#last.get(requested);
    if (last?.modelName === modelName && last.modelVersion === modelVersion && last.outputs.areLike(outputs)) {
      const parts = [last.header];
      for (const { name } of requested) parts.push(outputs.find((output) => output.name === name)!.data);
      return { parts, headerLength: last.header.byteLength };
    }
    const encoded = encodeAnswer(head, outputs, requested);
    const header = encoded.parts[0]!;
    const allBinary = encoded.headerLength !== null && requested.every(({ binary }) => binary);
    if (allBinary && header.byteLength <= MAX_HEADER_BYTES) {
      this.#last.set(requested, { modelName, modelVersion, outputs: new LastTensors(outputs), header });
    }
    return encoded;
  }
}
