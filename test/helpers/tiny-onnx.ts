// Writes small ONNX models for tests, straight in protobuf's wire format: seeded, no library, no files of others.

import { seededRandom } from '../../src/random.ts';

/** ONNX's numbers for the element types that tests use. */
export const ONNX_TYPES = {
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
} as const;

export type OnnxType = keyof typeof ONNX_TYPES;

/** An input, output or weight; a string is a free dimension of that name. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly (number | string)[];
}

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
}

export interface OnnxWeight extends OnnxValue {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

const number = (field: number, value: number): Buffer => Buffer.concat([varint(field << 3), varint(value)]);

function bytes(field: number, value: Uint8Array | string): Buffer {
  const data = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(data.byteLength), data]);
}

const group = (field: number, ...members: readonly Buffer[]): Buffer => bytes(field, Buffer.concat(members));

function valueInfo(field: number, value: OnnxValue): Buffer {
  const dimensions = value.shape.map((size) => group(1, typeof size === 'number' ? number(1, size) : bytes(2, size)));
  return group(
    field,
    bytes(1, value.name),
    group(2, group(1, number(1, ONNX_TYPES[value.type]), group(2, ...dimensions))),
  );
}

function attribute(name: string, value: number | readonly number[]): Buffer {
  return typeof value === 'number'
    ? group(5, bytes(1, name), number(3, value), number(20, 2))
    : group(5, bytes(1, name), ...value.map((item) => number(8, item)), number(20, 7));
}

/** One whole model (opset 17) as the bytes of a .onnx file. */
export function onnxModel(graph: {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly weights?: readonly OnnxWeight[];
}): Buffer {
  const nodes = graph.nodes.map((node) =>
    group(
      1,
      ...node.inputs.map((name) => bytes(1, name)),
      ...node.outputs.map((name) => bytes(2, name)),
      bytes(4, node.op),
      ...Object.entries(node.ints ?? {}).map(([name, value]) => attribute(name, value)),
    ),
  );
  const weights = (graph.weights ?? []).map((weight) =>
    group(
      5,
      ...weight.shape.map((size) => number(1, size)),
      number(2, ONNX_TYPES[weight.type]),
      bytes(8, weight.name),
      bytes(9, weight.data),
    ),
  );
  return Buffer.concat([
    number(1, 8),
    group(
      7,
      ...nodes,
      bytes(2, 'test'),
      ...weights,
      ...graph.inputs.map((value) => valueInfo(11, value)),
      ...graph.outputs.map((value) => valueInfo(12, value)),
    ),
    group(8, bytes(1, ''), number(2, 17)),
  ]);
}

/** `y = x` for one element type and shape. */
export function identityModel(type: OnnxType, shape: readonly (number | string)[] = ['n', 3]): Buffer {
  return onnxModel({
    inputs: [{ name: 'x', type, shape }],
    outputs: [{ name: 'y', type, shape }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  });
}

/** Seeded numbers of about unit variance after a layer of `fanIn` inputs. */
export function seededFloats(count: number, fanIn: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const values = new Float32Array(count);
  const scale = Math.sqrt(6 / fanIn);
  for (let i = 0; i < count; i++) values[i] = (random() * 2 - 1) * scale;
  return new Uint8Array(values.buffer);
}

/** A stack of matrix products, `layers` of `width` x `width` with Relu between: 4 * layers * width^2 bytes of weights. */
export function denseModel(layers: number, width: number, seed = 1): Buffer {
  const weights: OnnxWeight[] = [];
  const nodes: OnnxNode[] = [];
  for (let i = 0; i < layers; i++) {
    weights.push({
      name: `w${i}`,
      type: 'FP32',
      shape: [width, width],
      data: seededFloats(width * width, width, seed + i),
    });
    nodes.push({ op: 'MatMul', inputs: [i === 0 ? 'x' : `h${i}`, `w${i}`], outputs: [`m${i}`] });
    nodes.push({ op: 'Relu', inputs: [`m${i}`], outputs: [i === layers - 1 ? 'y' : `h${i + 1}`] });
  }
  return onnxModel({
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', width] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', width] }],
    nodes,
    weights,
  });
}

/** A stack of 3x3 convolutions of `channels` on 3 x `size` x `size` images: about 36 * layers * channels^2 bytes. */
export function convolutionModel(layers: number, channels: number, size: number, seed = 1): Buffer {
  const weights: OnnxWeight[] = [];
  const nodes: OnnxNode[] = [];
  for (let i = 0; i < layers; i++) {
    const from = i === 0 ? 3 : channels;
    weights.push({
      name: `w${i}`,
      type: 'FP32',
      shape: [channels, from, 3, 3],
      data: seededFloats(channels * from * 9, from * 9, seed + i),
    });
    nodes.push({
      op: 'Conv',
      inputs: [i === 0 ? 'x' : `h${i}`, `w${i}`],
      outputs: [`c${i}`],
      ints: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: i === 0 ? [4, 4] : [1, 1] },
    });
    nodes.push({ op: 'Relu', inputs: [`c${i}`], outputs: [i === layers - 1 ? 'y' : `h${i + 1}`] });
  }
  const out = Math.ceil(size / 4);
  return onnxModel({
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', 3, size, size] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', channels, out, out] }],
    nodes,
    weights,
  });
}
