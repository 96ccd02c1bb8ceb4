// JSON numbers, booleans and strings to tensor bytes and back, one codec a datatype. Values that the datatype can't
// hold exactly enough (a fraction in an integer, 300 in UINT8, NaN in JSON) are refused, never bent.

import { isUtf8 } from 'node:buffer';
import { GpufaasError } from '../../errors.ts';
import type { Datatype, Tensor } from '../../tensors.ts';
import { floatsToText } from './float-text.ts';

type NumberArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array;

const ARRAYS = {
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

const BIG_ARRAYS = { INT64: BigInt64Array, UINT64: BigUint64Array } as const;

const isBig = (datatype: Datatype): datatype is keyof typeof BIG_ARRAYS => Object.hasOwn(BIG_ARRAYS, datatype);

/** Thrown inside the decoder when a 64-bit integer was too large for a JSON number as JavaScript reads it. */
export class UnsafeInteger extends Error {}

/** True for the datatypes that have no JSON form and travel as binary data only. */
export function isBinaryOnly(datatype: Datatype): boolean {
  return datatype === 'FP16' || datatype === 'BF16';
}

function bytesOf(array: NumberArray | BigInt64Array | BigUint64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function refuse(name: string, datatype: Datatype, index: number, value: unknown): never {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value).slice(0, 40);
  throw new GpufaasError('BAD_TENSOR', `Input "${name}": element ${index} is ${shown}, which is not a ${datatype}.`);
}

/** Encodes flat JSON values as the tensor's bytes; throws BAD_TENSOR, or UnsafeInteger where a second, exact parse can help. */
export function bytesFromJson(name: string, datatype: Datatype, values: readonly unknown[]): Uint8Array {
  if (datatype === 'BYTES') return stringsToBytes(name, values);
  if (datatype === 'BOOL') return booleansToBytes(name, values);
  if (isBig(datatype)) return bigIntegersToBytes(name, datatype, values);
  if (datatype === 'FP16' || datatype === 'BF16') {
    throw new GpufaasError('BAD_TENSOR', `Input "${name}": ${datatype} has no JSON form.`, {
      suggestions: ['Send it as binary data (parameters.binary_data_size and Inference-Header-Content-Length).'],
    });
  }
  const array = new ARRAYS[datatype](values.length);
  const exact = datatype !== 'FP32' && datatype !== 'FP64';
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== 'number') refuse(name, datatype, i, value);
    array[i] = value;
    // A typed array bends what it can't hold: integers wrap, floats overflow to infinity.
    if (exact ? array[i] !== value : !Number.isFinite(array[i])) refuse(name, datatype, i, value);
  }
  return bytesOf(array);
}

function booleansToBytes(name: string, values: readonly unknown[]): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === true || value === 1) bytes[i] = 1;
    else if (value !== false && value !== 0) refuse(name, 'BOOL', i, value);
  }
  return bytes;
}

function bigIntegersToBytes(name: string, datatype: 'INT64' | 'UINT64', values: readonly unknown[]): Uint8Array {
  const array = new BIG_ARRAYS[datatype](values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === 'number') {
      if (!Number.isInteger(value)) refuse(name, datatype, i, value);
      if (!Number.isSafeInteger(value)) throw new UnsafeInteger();
      array[i] = BigInt(value);
      if (datatype === 'UINT64' && value < 0) refuse(name, datatype, i, value);
    } else if (typeof value === 'bigint') {
      array[i] = value;
      if (array[i] !== value) refuse(name, datatype, i, value);
    } else {
      refuse(name, datatype, i, value);
    }
  }
  return bytesOf(array);
}

function stringsToBytes(name: string, values: readonly unknown[]): Uint8Array {
  let total = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== 'string') refuse(name, 'BYTES', i, value);
    total += 4 + Buffer.byteLength(value);
  }
  const bytes = Buffer.allocUnsafeSlow(total);
  let offset = 0;
  for (const value of values as readonly string[]) {
    const length = bytes.write(value, offset + 4);
    bytes.writeUInt32LE(length, offset);
    offset += 4 + length;
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The number of length-prefixed elements in a BYTES tensor's data, or null if the lengths don't add up. */
export function countBytesElements(data: Uint8Array): number | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;
  let count = 0;
  while (offset < data.byteLength) {
    if (offset + 4 > data.byteLength) return null;
    offset += 4 + view.getUint32(offset, true);
    count++;
  }
  return offset === data.byteLength ? count : null;
}

/** The tensor's elements as JSON text without the brackets; throws BAD_TENSOR where JSON has no word for a value. */
export function jsonFromTensor(tensor: Tensor): string {
  const { datatype, name } = tensor;
  if (datatype === 'BYTES') return jsonFromStrings(tensor);
  if (datatype === 'FP16' || datatype === 'BF16') {
    throw needsBinary(`Output "${name}" is ${datatype}, which has no JSON form.`);
  }
  if (datatype === 'BOOL') return Array.from(tensor.data, (byte) => byte !== 0).join(',');
  const Type = isBig(datatype) ? BIG_ARRAYS[datatype] : ARRAYS[datatype];
  // The bytes may start anywhere in a larger buffer; a typed array needs them aligned.
  const data = tensor.data.byteOffset % Type.BYTES_PER_ELEMENT === 0 ? tensor.data : new Uint8Array(tensor.data);
  const values = new Type(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength / Type.BYTES_PER_ELEMENT);
  if (datatype === 'FP32' || datatype === 'FP64') {
    for (const value of values as Float64Array) {
      if (!Number.isFinite(value)) throw needsBinary(`Output "${name}" holds ${value}, which JSON can't express.`);
    }
  }
  return values instanceof Float32Array ? floatsToText(values) : values.join(',');
}

function jsonFromStrings(tensor: Tensor): string {
  const { data, name } = tensor;
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const texts: string[] = [];
  for (let offset = 0; offset < buffer.length;) {
    const end = offset + 4 + buffer.readUInt32LE(offset);
    const element = buffer.subarray(offset + 4, end);
    if (!isUtf8(element)) throw needsBinary(`Output "${name}" holds bytes that are not UTF-8 text.`);
    texts.push(JSON.stringify(element.toString('utf8')));
    offset = end;
  }
  return texts.join(',');
}

function needsBinary(message: string): GpufaasError {
  return new GpufaasError('BAD_TENSOR', `${message} Ask for it as binary data.`, {
    suggestions: ['Set "parameters": {"binary_data_output": true} in the request.'],
  });
}
