// Tensors to and from ONNX Runtime, without copying wherever the bytes are aligned.

import { splitBytes } from '../check-inputs.ts';
import { GpufaasError } from '../../errors.ts';
import { type Datatype, elementCount, type Tensor, type TensorSpec } from '../../tensors.ts';
import { OrtTensor, type OrtValue } from './ort.ts';

/** ONNX Runtime's name of each datatype; BF16 has none in its JavaScript interface. */
const ORT_TYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Partial<Record<Datatype, string>>;

const DATATYPES = new Map<string, Datatype>(
  Object.entries(ORT_TYPES).map(([ours, theirs]) => [theirs, ours as Datatype]),
);

type Numbers =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

const VIEWS: Record<
  Exclude<keyof typeof ORT_TYPES, 'BYTES'>,
  { new (buffer: ArrayBufferLike, offset: number, length: number): Numbers; readonly BYTES_PER_ELEMENT: number }
> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** Our signature of one input or output as the runtime describes it. Throws BAD_MODEL for what can't travel. */
export function specOf(metadata: {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}): TensorSpec {
  const datatype = metadata.isTensor ? DATATYPES.get(metadata.type ?? '') : undefined;
  if (datatype === undefined) {
    const what = metadata.isTensor ? `is of type ${metadata.type}` : 'is no tensor';
    throw new GpufaasError(
      'BAD_MODEL',
      `The model's ${JSON.stringify(metadata.name)} ${what}, which can't be served.`,
      {
        suggestions: ['Inputs and outputs must be tensors of numbers, booleans or strings.'],
      },
    );
  }
  const shape = (metadata.shape ?? []).map((size) => (typeof size === 'number' ? size : -1));
  return { name: metadata.name, datatype, shape };
}

function strings(tensor: Tensor): string[] {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return splitBytes(tensor, elementCount(tensor.shape)).map((element) => {
    if (element.includes(0)) {
      throw new GpufaasError(
        'BAD_TENSOR',
        `Tensor ${JSON.stringify(tensor.name)} has a string with a NUL, where the runtime would cut it.`,
        {
          suggestions: ['Send binary data as UINT8, or without NUL characters.'],
        },
      );
    }
    try {
      return decoder.decode(element);
    } catch {
      throw new GpufaasError('BAD_TENSOR', `Tensor ${JSON.stringify(tensor.name)} has a string that is not UTF-8.`);
    }
  });
}

/** A checked tensor of ours as the runtime takes it. Throws BAD_TENSOR for strings it would damage. */
export function toOrt(tensor: Tensor): OrtValue {
  const { datatype, data } = tensor;
  const shape = [...tensor.shape];
  if (datatype === 'BYTES') return new OrtTensor('string', strings(tensor), shape);
  if (datatype === 'BF16') {
    throw new GpufaasError('BAD_TENSOR', 'BF16 tensors are not supported by the runtime.', {
      suggestions: ['Use FP16 or FP32.'],
    });
  }
  const View = VIEWS[datatype];
  const aligned = data.byteOffset % View.BYTES_PER_ELEMENT === 0 ? data : data.slice();
  const numbers = new View(aligned.buffer, aligned.byteOffset, data.byteLength / View.BYTES_PER_ELEMENT);
  return new OrtTensor(ORT_TYPES[datatype], numbers as Float32Array, shape) as OrtValue;
}

/** An output of the runtime as ours; its bytes are not copied. */
export function fromOrt(name: string, value: OrtValue): Tensor {
  const datatype = DATATYPES.get(value.type);
  if (datatype === undefined)
    throw new GpufaasError('BAD_MODEL', `Output ${JSON.stringify(name)} is of type ${value.type}.`);
  const shape = [...value.dims];
  if (datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = value.data as Numbers;
    return { name, datatype, shape, data: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength) };
  }
  const elements = (value.data as string[]).map((text) => Buffer.from(text));
  const data = new Uint8Array(elements.reduce((sum, element) => sum + 4 + element.byteLength, 0));
  const view = new DataView(data.buffer);
  let offset = 0;
  for (const element of elements) {
    view.setUint32(offset, element.byteLength, true);
    data.set(element, offset + 4);
    offset += 4 + element.byteLength;
  }
  return { name, datatype, shape, data };
}
