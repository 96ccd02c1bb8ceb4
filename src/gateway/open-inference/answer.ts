// Encodes the answer of an inference in the Open Inference Protocol v2: JSON, with binary tensors behind it where the
// caller asked for them. Pure: runs on the main thread for small answers, on a JSON thread for large.

import { GpufaasError } from '../../errors.ts';
import type { Tensor } from '../../tensors.ts';
import { jsonFromTensor } from './numbers.ts';
import type { AnswerHead, EncodedAnswer, RequestedOutput } from './types.ts';

/** The body of an answer; throws BAD_TENSOR where a value has no JSON form. Binary parts are views of the tensors' data. */
export function encodeAnswer(
  head: AnswerHead,
  outputs: readonly Tensor[],
  requested: readonly RequestedOutput[],
): EncodedAnswer {
  const binaries: Uint8Array[] = [];
  const texts = requested.map(({ name, binary }) => {
    const tensor = outputs.find((output) => output.name === name);
    if (tensor === undefined) throw new GpufaasError('INTERNAL', `The model gave no output "${name}".`);
    const opening = `{"name":${JSON.stringify(name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(',')}],`;
    if (!binary) return `${opening}"data":[${jsonFromTensor(tensor)}]}`;
    binaries.push(tensor.data);
    return `${opening}"parameters":{"binary_data_size":${tensor.data.byteLength}}}`;
  });
  const id = head.id === null ? '' : `,"id":${JSON.stringify(head.id)}`;
  const json = Buffer.from(
    `{"model_name":${JSON.stringify(head.modelName)},"model_version":${JSON.stringify(head.modelVersion)}${id},"outputs":[${texts.join(',')}]}`,
  );
  return binaries.length === 0
    ? { parts: [json], headerLength: null }
    : { parts: [json, ...binaries], headerLength: json.byteLength };
}

/** Bytes of tensor data that will be written as JSON numbers: what decides on which thread it is done. */
export function jsonBytes(outputs: readonly Tensor[], requested: readonly RequestedOutput[]): number {
  let bytes = 0;
  for (const { name, binary } of requested) {
    if (!binary) bytes += outputs.find((output) => output.name === name)?.data.byteLength ?? 0;
  }
  return bytes;
}
