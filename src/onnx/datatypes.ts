// ONNX's element types and the Open Inference Protocol's names for them.

import type { Datatype } from '../tensors.ts';

/** TensorProto.DataType of each datatype of ours. */
export const ELEMENT_TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
} as const satisfies Record<Datatype, number>;

const DATATYPES: ReadonlyMap<number, Datatype> = new Map(
  Object.entries(ELEMENT_TYPES).map(([datatype, elementType]) => [elementType, datatype as Datatype]),
);

// What can't travel in the Open Inference Protocol, by ONNX's own names, for the error message.
const FOREIGN: ReadonlyMap<number, string> = new Map([
  [0, 'undefined'],
  [14, 'complex64'],
  [15, 'complex128'],
  [17, 'float8e4m3fn'],
  [18, 'float8e4m3fnuz'],
  [19, 'float8e5m2'],
  [20, 'float8e5m2fnuz'],
  [21, 'uint4'],
  [22, 'int4'],
  [23, 'float4e2m1'],
]);

/** Our datatype of an ONNX element type, or undefined if it can't travel. */
export function datatypeOf(elementType: number): Datatype | undefined {
  return DATATYPES.get(elementType);
}

/** A name for people, of any element type. */
export function elementTypeName(elementType: number): string {
  return DATATYPES.get(elementType) ?? FOREIGN.get(elementType) ?? `type ${elementType}`;
}
