// The parts of an inference request and answer of the Open Inference Protocol v2, after decoding and before encoding.

import type { Tensor, TensorSpec } from '../../tensors.ts';

/** What a model takes and gives. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** One output that the caller wants, and how. */
export interface RequestedOutput {
  readonly name: string;
  readonly binary: boolean;
}

/** A checked request: its inputs are exactly those of the signature, in the signature's order. */
export interface InferRequest {
  /** The caller's own id, echoed in the answer. */
  readonly id: string | null;
  readonly inputs: readonly Tensor[];
  /** In the order the answer gives them. */
  readonly outputs: readonly RequestedOutput[];
}

/** What heads an answer. */
export interface AnswerHead {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string | null;
}

/** An encoded answer: the pieces of the body in order; `headerLength` is set if binary tensors follow the JSON. */
export interface EncodedAnswer {
  readonly parts: readonly Uint8Array[];
  readonly headerLength: number | null;
}
