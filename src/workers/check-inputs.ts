// Checks tensors against a model's signature before they reach the runtime, with errors that name the input, what was
// expected and what came.

import { GpufaasError } from '../errors.ts';
import { LastTensors } from '../last-tensors.ts';
import { DATATYPE_BYTES, elementCount, type Tensor, type TensorSpec } from '../tensors.ts';

/** A declared input; with `anyRank` the model leaves even the number of dimensions open. */
export interface InputSpec extends TensorSpec {
  readonly anyRank?: true;
}

const showShape = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
const quote = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);

/** The elements of a BYTES tensor: each a 4-byte length and its bytes. Throws BAD_TENSOR if they do not add up to `count`. */
export function splitBytes(tensor: Tensor, count: number): Uint8Array[] {
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  const elements: Uint8Array[] = [];
  let offset = 0;
  while (offset < view.byteLength) {
    if (offset + 4 > view.byteLength) break;
    const length = view.getUint32(offset, true);
    if (offset + 4 + length > view.byteLength) break;
    elements.push(tensor.data.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  if (offset !== view.byteLength || elements.length !== count) {
    throw new GpufaasError(
      'BAD_TENSOR',
      `Tensor ${quote(tensor.name)} of shape ${showShape(tensor.shape)} needs ${count} BYTES elements, each a 4-byte length and its bytes; ${elements.length} whole ones came in ${view.byteLength} bytes.`,
    );
  }
  return elements;
}

/** Throws BAD_TENSOR unless the bytes of a tensor are as many as its shape and datatype say. */
export function checkBytes(tensor: Tensor): void {
  const { name, datatype, shape, data } = tensor;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new GpufaasError(
        'BAD_TENSOR',
        `Tensor ${quote(name)} has the shape ${showShape(shape)}; dimensions must be whole numbers from 0.`,
      );
    }
  }
  const count = elementCount(shape);
  if (datatype === 'BYTES') {
    splitBytes(tensor, count);
    return;
  }
  const width = DATATYPE_BYTES[datatype];
  if (width === undefined) {
    throw new GpufaasError('BAD_TENSOR', `Tensor ${quote(name)} has the unknown datatype ${quote(String(datatype))}.`, {
      suggestions: [`Use one of ${Object.keys(DATATYPE_BYTES).join(', ')}, BYTES.`],
    });
  }
  if (count * width !== data.byteLength) {
    throw new GpufaasError(
      'BAD_TENSOR',
      `Tensor ${quote(name)} of shape ${showShape(shape)} in ${datatype} needs ${count * width} bytes, but ${data.byteLength} came.`,
    );
  }
}

function checkShape(spec: InputSpec, tensor: Tensor): void {
  if (spec.anyRank === true) return;
  const expected = `${showShape(spec.shape)}${spec.shape.includes(-1) ? ' (-1 is free)' : ''}`;
  if (tensor.shape.length !== spec.shape.length) {
    throw new GpufaasError(
      'BAD_TENSOR',
      `Input ${quote(spec.name)} must have ${spec.shape.length} dimensions, ${expected}, but ${showShape(tensor.shape)} came.`,
    );
  }
  for (const [axis, size] of spec.shape.entries()) {
    if (size >= 0 && size !== tensor.shape[axis]) {
      throw new GpufaasError(
        'BAD_TENSOR',
        `Input ${quote(spec.name)} must have the shape ${expected}, but ${showShape(tensor.shape)} came: dimension ${axis} is ${tensor.shape[axis]} instead of ${size}.`,
      );
    }
  }
}

/** Throws BAD_TENSOR unless the inputs are exactly those of the signature, with fitting datatypes, shapes and bytes. */
export function checkInputs(specs: readonly InputSpec[], inputs: readonly Tensor[]): void {
  for (const [index, tensor] of inputs.entries()) {
    const spec = specs.find(({ name }) => name === tensor.name);
    if (spec === undefined) throw unfit(`The model has no input ${quote(tensor.name)}.`, specs);
    if (inputs.findIndex(({ name }) => name === tensor.name) < index) {
      throw unfit(`Input ${quote(tensor.name)} was given twice.`, specs);
    }
    if (tensor.datatype !== spec.datatype) {
      throw unfit(
        `Input ${quote(tensor.name)} must be ${spec.datatype}, but ${quote(String(tensor.datatype))} came.`,
        specs,
      );
    }
    checkShape(spec, tensor);
    checkBytes(tensor);
  }
  // None came twice, so as many came as there are, or some are missing.
  if (inputs.length === specs.length) return;
  const missing = specs.find((spec) => !inputs.some(({ name }) => name === spec.name))!;
  throw unfit(
    `Input ${quote(missing.name)} is missing: ${missing.datatype} of shape ${showShape(missing.shape)}.`,
    specs,
  );
}

/** The checks of one model's inputs; what is of the same kind as the last time is not looked at again. */
export class InputChecks {
  readonly #specs: readonly InputSpec[];
  #last: LastTensors | null = null;

  constructor(specs: readonly InputSpec[]) {
    this.#specs = specs;
  }

  /** As `checkInputs`. */
  check(inputs: readonly Tensor[]): void {
    if (this.#last?.areLike(inputs) === true) return;
    checkInputs(this.#specs, inputs);
    // Of strings more was checked than their number, and it lies in the bytes.
    this.#last = inputs.some(({ datatype }) => datatype === 'BYTES') ? null : new LastTensors(inputs);
  }
}

function unfit(message: string, specs: readonly InputSpec[]): GpufaasError {
  const list = specs.map(({ name, datatype, shape }) => `${quote(name)} ${datatype} ${showShape(shape)}`).join(', ');
  return new GpufaasError('BAD_TENSOR', message, { suggestions: [`The model takes: ${list || 'no inputs'}.`] });
}
