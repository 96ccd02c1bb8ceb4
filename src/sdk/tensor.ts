// Tensors as handlers hold them: a datatype, a shape, and numbers in the typed array that fits. Converts to and from
// the wire's bytes; checks what people write by hand.

import { GpufaasError } from '../errors.ts';
import { DATATYPE_BYTES, elementCount, type Datatype, type Tensor } from '../tensors.ts';

/** `FP32`, `INT64`, `UINT8`, `BOOL`, `BYTES` (text), … */
export type TensorDatatype = Datatype;

/** What holds the elements: FP16 and BF16 are widened to Float32Array, 64-bit integers are BigInt, BYTES are strings. */
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly string[];

/** A tensor for a model. Make it with `tensor`. */
export interface InputTensor {
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** A tensor from a model. */
export interface OutputTensor extends InputTensor {
  readonly name: string;
  /**
   * The elements; the type follows the datatype. FP32 gives a Float32Array; name another where the model gives another:
   * `logits.as('INT64')`.
   */
  readonly data: Float32Array;
  /** The elements as the typed array of this datatype. Throws BAD_TENSOR if the tensor has another. */
  as<D extends TensorDatatype>(datatype: D): DataOf<D>;
}

/** The array that holds a datatype's elements. */
export type DataOf<D extends TensorDatatype> = D extends 'BYTES'
  ? readonly string[]
  : D extends keyof typeof ARRAYS
    ? InstanceType<(typeof ARRAYS)[D]>
    : Float32Array;

const ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/** Taken once: a runtime in the same process may take the global away. */
const Half = Float16Array;

/** By the class of a typed array: the datatype it means where none is named. */
const DATATYPE_OF_ARRAY: Readonly<Record<string, TensorDatatype>> = {
  Uint8Array: 'UINT8',
  Uint8ClampedArray: 'UINT8',
  Buffer: 'UINT8',
  Uint16Array: 'UINT16',
  Uint32Array: 'UINT32',
  BigUint64Array: 'UINT64',
  Int8Array: 'INT8',
  Int16Array: 'INT16',
  Int32Array: 'INT32',
  BigInt64Array: 'INT64',
  Float32Array: 'FP32',
  Float64Array: 'FP64',
};

type Elements = TensorData | readonly (number | bigint | boolean | string)[];

/**
 * A tensor from a datatype, a shape and its elements in row-major order: `tensor('FP32', [1, 1, 28, 28], pixels)`. Elements
 * may be the typed array of the datatype or a plain list. Without the datatype it follows from the typed array:
 * `tensor([1, 4], Float32Array.of(1, 2, 3, 4))`. Throws BAD_TENSOR if they do not fit together.
 */
export function tensor(datatype: TensorDatatype, shape: readonly number[], data: Elements): InputTensor;
export function tensor(shape: readonly number[], data: Exclude<TensorData, readonly string[]>): InputTensor;
export function tensor(
  first: TensorDatatype | readonly number[],
  second: readonly number[] | TensorData,
  third?: Elements,
): InputTensor {
  if (typeof first === 'string') return checked(first, second as readonly number[], third as Elements);
  const data = second as TensorData;
  const datatype = DATATYPE_OF_ARRAY[data?.constructor?.name ?? ''];
  if (datatype === undefined) throw bad('A tensor without a datatype needs a typed array, such as a Float32Array.');
  return checked(datatype, first, data);
}

function checked(datatype: TensorDatatype, shape: readonly number[], data: Elements): InputTensor {
  if (datatype !== 'BYTES' && !Object.hasOwn(DATATYPE_BYTES, datatype)) {
    throw bad(
      `${JSON.stringify(datatype)} is not a datatype; use one of ${Object.keys(DATATYPE_BYTES).join(', ')}, BYTES.`,
    );
  }
  if (!Array.isArray(shape) || !shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw bad('A shape is a list of whole numbers, such as [1, 3, 224, 224].');
  }
  if (!Array.isArray(data) && !ArrayBuffer.isView(data))
    throw bad('The elements of a tensor are a typed array or a list.');
  const wanted = elementCount(shape);
  if (data.length !== wanted) {
    throw bad(`The shape [${shape.join(', ')}] has ${wanted} elements, but ${data.length} were given.`);
  }
  return { datatype, shape: [...shape], data: asArray(datatype, data) };
}

/** The elements in the array that the datatype is held in. */
function asArray(datatype: TensorDatatype, data: Elements): TensorData {
  if (datatype === 'BYTES') {
    if (Array.isArray(data) && data.every((element) => typeof element === 'string')) return data as readonly string[];
    throw bad('The elements of a BYTES tensor are strings.');
  }
  const Wanted = datatype === 'FP16' || datatype === 'BF16' ? Float32Array : ARRAYS[datatype];
  if (data instanceof Wanted) return data;
  if (datatype === 'UINT8' && data instanceof Uint8ClampedArray) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  if (!Array.isArray(data)) {
    // Another typed array would be converted without a word: a Uint8Array of pixels is seldom meant as INT64.
    const given = data.constructor.name;
    throw bad(`A ${datatype} tensor holds a ${Wanted.name}, not a ${given}. Convert it: ${Wanted.name}.from(…).`);
  }
  try {
    const elements = data as readonly (number | bigint | boolean)[];
    if (Wanted === BigInt64Array || Wanted === BigUint64Array)
      return Wanted.from(elements.map((element) => BigInt(element)));
    return (Wanted as Float32ArrayConstructor).from(elements.map(Number));
  } catch {
    throw bad(`The elements given are no ${datatype} numbers.`);
  }
}

/** A handler's tensor as it travels. Throws BAD_TENSOR. */
export function toWire(name: string, given: InputTensor): Tensor {
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given) || !('data' in given)) {
    throw bad(`The input ${JSON.stringify(name)} is not a tensor. Wrap it: tensor('FP32', shape, data).`);
  }
  const { datatype, shape, data } = checked(given.datatype, given.shape, given.data);
  return { name, datatype, shape, data: toBytes(datatype, data) };
}

function toBytes(datatype: TensorDatatype, data: TensorData): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(data as readonly string[]);
  if (datatype === 'FP16') return new Uint8Array(new Half(data as Float32Array).buffer);
  if (datatype === 'BF16') return encodeBfloat(data as Float32Array);
  const view = data as Float32Array;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A tensor that came from a model. */
export class ModelOutput implements OutputTensor {
  readonly name: string;
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  readonly #bytes: Uint8Array;
  #data: TensorData | undefined;

  constructor({ name, datatype, shape, data }: Tensor) {
    this.name = name;
    this.datatype = datatype;
    this.shape = shape;
    this.#bytes = data;
  }

  get data(): Float32Array {
    // Typed as what it is nearly always; `as` has the exact type.
    return (this.#data ??= fromBytes(this.datatype, this.#bytes)) as Float32Array;
  }

  as<D extends TensorDatatype>(datatype: D): DataOf<D> {
    if (datatype !== this.datatype)
      throw bad(`The output ${JSON.stringify(this.name)} is ${this.datatype}, not ${datatype}.`);
    return this.data as unknown as DataOf<D>;
  }

  toJSON(): unknown {
    return { name: this.name, datatype: this.datatype, shape: this.shape, data: this.data };
  }
}

function fromBytes(datatype: TensorDatatype, bytes: Uint8Array): TensorData {
  if (datatype === 'BYTES') return decodeStrings(bytes);
  const size = DATATYPE_BYTES[datatype];
  // Views need aligned bytes; a copy has them.
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const count = aligned.byteLength / size;
  if (datatype === 'FP16') return Float32Array.from(new Half(aligned.buffer as ArrayBuffer, aligned.byteOffset, count));
  if (datatype === 'BF16') return decodeBfloat(aligned, count);
  return new ARRAYS[datatype](aligned.buffer as ArrayBuffer, aligned.byteOffset, count);
}

function encodeStrings(strings: readonly string[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const text of strings) {
    const bytes = new TextEncoder().encode(text);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.byteLength, true);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

function decodeStrings(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  for (let at = 0; at + 4 <= bytes.byteLength;) {
    const length = view.getUint32(at, true);
    strings.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return strings;
}

/** The upper half of each FP32, rounded to nearest, ties to even. */
function encodeBfloat(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.slice().buffer);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    halves[i] = Number.isNaN(values[i]) ? 0x7fc0 : ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
  }
  return new Uint8Array(halves.buffer);
}

function decodeBfloat(bytes: Uint8Array, count: number): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  const bits = Uint32Array.from(halves, (half) => half << 16);
  return new Float32Array(bits.buffer);
}

function bad(message: string): GpufaasError {
  return new GpufaasError('BAD_TENSOR', message, {
    suggestions: ["Make tensors with tensor('FP32', [1, 3], [0.1, 0.2, 0.7])."],
  });
}
