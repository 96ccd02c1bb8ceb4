// Convolutions and their gradients as nodes of an ONNX graph.

import type { Attribute, OnnxGraph } from '../../src/onnx/write.ts';

/** A square convolution that keeps width and height, or divides them by `stride`; `dilation` spreads its taps. */
export interface Convolution {
  readonly kind: 'conv';
  readonly from: number;
  readonly to: number;
  /** Odd. */
  readonly size: number;
  readonly stride?: number;
  readonly dilation?: number;
}

/** Width and height; what goes into a strided convolution must be divisible by its stride. */
export type Area = readonly [height: number, width: number];

/** The attributes of Conv. */
export function convolutionAttributes({ size, stride = 1, dilation = 1 }: Convolution): Record<string, Attribute> {
  const pad = padOf(size, dilation);
  return {
    kernel_shape: { ints: [size, size] },
    pads: { ints: [pad, pad, pad, pad] },
    strides: { ints: [stride, stride] },
    dilations: { ints: [dilation, dilation] },
  };
}

function padOf(size: number, dilation: number): number {
  return (dilation * (size - 1)) / 2;
}

/** Adds the gradient by the input. */
export function inputGradient(graph: OnnxGraph, layer: Convolution, dy: string, weight: string, dx: string): void {
  const rest = (layer.stride ?? 1) - 1;
  const attributes = { ...convolutionAttributes(layer), output_padding: { ints: [rest, rest] } };
  graph.node('ConvTranspose', [dy, weight], [dx], attributes);
}

const SWAP = { perm: { ints: [1, 0, 2, 3] } };

/**
 * Adds the gradient by the weights: for each tap one matrix product of what comes back with what that tap had seen. (It is a
 * convolution too, but one with a kernel as large as the picture, which takes several times as long.)
 */
export function weightGradient(
  graph: OnnxGraph,
  layer: Convolution,
  { x, dy, weight, area }: { readonly x: string; readonly dy: string; readonly weight: string; readonly area: Area },
): void {
  const { from, to, size, stride = 1, dilation = 1 } = layer;
  const pad = padOf(size, dilation);
  const own = (name: string): string => `${weight}.${name}`;
  graph.integers(own('pads'), [0, 0, pad, pad, 0, 0, pad, pad]).integers(own('axes'), [2, 3]);
  graph.integers(own('steps'), [stride, stride]).integers(own('rows.from'), [from, -1]);
  graph.integers(own('rows.to'), [to, -1]).integers(own('tap'), [1, to, from]);
  graph.node('Transpose', [dy], [own('dy.swapped')], SWAP);
  graph.node('Reshape', [own('dy.swapped'), own('rows.to')], [own('dy.rows')]);
  graph
    .node('Transpose', [x], [own('x.swapped')], SWAP)
    .node('Pad', [own('x.swapped'), own('pads')], [own('x.padded')]);
  const taps = Array.from({ length: size * size }, (_, tap) => {
    const start = [Math.floor(tap / size) * dilation, (tap % size) * dilation];
    const named = (name: string): string => own(`${name}${tap}`);
    graph.integers(named('start'), start);
    graph.integers(
      named('end'),
      start.map((first, axis) => first + stride * (area[axis]! / stride - 1) + 1),
    );
    const bounds = [named('start'), named('end'), own('axes'), own('steps')];
    graph.node('Slice', [own('x.padded'), ...bounds], [named('seen')]);
    graph.node('Reshape', [named('seen'), own('rows.from')], [named('rows')]);
    graph.node('Gemm', [own('dy.rows'), named('rows')], [named('product')], { transB: { int: 1 } });
    graph.node('Reshape', [named('product'), own('tap')], [named('slope')]);
    return named('slope');
  });
  graph.node('Concat', taps, [own('taps')], { axis: { int: 0 } });
  graph.node('Transpose', [own('taps')], [own('inner')], { perm: { ints: [1, 2, 0] } });
  graph.integers(own('shape'), [to, from, size, size]);
  graph.node('Reshape', [own('inner'), own('shape')], [`d.${weight}`]);
}
