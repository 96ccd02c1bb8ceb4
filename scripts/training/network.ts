// Small sequential networks and their gradients, written as ONNX graphs: ONNX Runtime does the arithmetic of training,
// forward and backward, and the finished network is exported from the same description.

import { OnnxModel } from '../../src/onnx/write.ts';
import type { Dimension, OnnxGraph } from '../../src/onnx/write.ts';
import { randomNormal } from '../../src/random.ts';
import type { Random } from '../../src/random.ts';
import { convolutionAttributes, inputGradient, weightGradient } from './convolution.ts';
import type { Area, Convolution } from './convolution.ts';

/** One layer of a sequential network. */
export type Layer =
  | Convolution
  | { readonly kind: 'dense'; readonly from: number; readonly to: number }
  | { readonly kind: 'relu' }
  /** Halves width and height by the maximum. */
  | { readonly kind: 'pool' }
  | { readonly kind: 'flatten' };

/**
 * What is minimised. `softmax`: the cross entropy of one class a row. `mixed`: each output channel is a logit (cross
 * entropy with a target in 0..1) or, if in `linear`, a number (half the squared error); every element has its weight.
 */
export type Loss = { readonly kind: 'softmax' } | { readonly kind: 'mixed'; readonly linear: readonly number[] };

/** A trainable tensor. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The layers, their parameters in order, and the shape of one input row. */
export interface Network {
  readonly layers: readonly Layer[];
  readonly inputRow: readonly number[];
  readonly outputRow: readonly number[];
  readonly parameters: readonly Parameter[];
}

/** A network with fresh parameters: normal weights after He, biases of zero. */
export function createNetwork(
  layers: readonly Layer[],
  inputRow: readonly number[],
  outputRow: readonly number[],
  random: Random,
): Network {
  const parameters = layers.flatMap((layer, i): Parameter[] => {
    if (layer.kind !== 'conv' && layer.kind !== 'dense') return [];
    const shape = layer.kind === 'conv' ? [layer.to, layer.from, layer.size, layer.size] : [layer.from, layer.to];
    const fanIn = layer.kind === 'conv' ? layer.from * layer.size ** 2 : layer.from;
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let j = 0; j < data.length; j++) data[j] = randomNormal(random) * Math.sqrt(2 / fanIn);
    return [
      { name: `${layer.kind}${i}.weight`, shape, data },
      { name: `${layer.kind}${i}.bias`, shape: [layer.to], data: new Float32Array(layer.to) },
    ];
  });
  return { layers, inputRow, outputRow, parameters };
}

/**
 * The network for use: `input` [batch, …] → `output` [batch, …], after softmax or sigmoid as the options say. A network of
 * convolutions only may have free sizes: give the rows it was not trained with, named dimensions among them.
 */
export function exportNetwork(
  network: Network,
  options: {
    readonly input: string;
    readonly output: string;
    readonly activation: 'softmax' | 'sigmoid' | 'none';
    readonly metadata?: Readonly<Record<string, string>>;
    readonly inputRow?: readonly Dimension[];
    readonly outputRow?: readonly Dimension[];
  },
): Uint8Array {
  const model = new OnnxModel({ name: 'network', ...(options.metadata && { metadata: options.metadata }) });
  model.input(options.input, 'FP32', ['batch', ...(options.inputRow ?? network.inputRow)]);
  model.output(options.output, 'FP32', ['batch', ...(options.outputRow ?? network.outputRow)]);
  for (const { name, shape, data } of network.parameters) model.weights(name, shape, data);
  const last = forward(model, network.layers, options.input).at(-1)!;
  if (options.activation === 'softmax') model.node('Softmax', [last], [options.output], { axis: { int: -1 } });
  else if (options.activation === 'sigmoid') model.node('Sigmoid', [last], [options.output]);
  else model.node('Identity', [last], [options.output]);
  return model.encode();
}

/**
 * One step of training as a graph. Inputs: `x`, `target` and for a mixed loss `weight`, shaped as the output, and every
 * parameter by its name. Outputs: `loss` (a scalar, mean over the batch) and `d.NAME` for every parameter.
 */
export function trainingGraph(network: Network, loss: Loss): Uint8Array {
  const model = new OnnxModel({ name: 'training' });
  model.input('x', 'FP32', ['batch', ...network.inputRow]);
  model.input('target', 'FP32', ['batch', ...network.outputRow]);
  for (const { name, shape } of network.parameters) {
    model.input(name, 'FP32', shape);
    model.output(`d.${name}`, 'FP32', shape);
  }
  model.output('loss', 'FP32', []);
  model.weights('zero', [1], Float32Array.of(0)).integers('axis0', [0]).integers('axes023', [0, 2, 3]);
  const values = forward(model, network.layers, 'x');
  const gradient = lossGradient(model, network, loss, values.at(-1)!);
  backward(model, network, values, gradient);
  return model.encode();
}

/** The values between the layers; the first is the input. */
function forward(graph: OnnxGraph, layers: readonly Layer[], input: string): string[] {
  const values = [input];
  layers.forEach((layer, i) => {
    const x = values[i]!;
    const y = `y${i}`;
    const parameters = [`${layer.kind}${i}.weight`, `${layer.kind}${i}.bias`];
    if (layer.kind === 'conv') graph.node('Conv', [x, ...parameters], [y], convolutionAttributes(layer));
    else if (layer.kind === 'dense') graph.node('Gemm', [x, ...parameters], [y]);
    else if (layer.kind === 'relu') graph.node('Relu', [x], [y]);
    else if (layer.kind === 'flatten') graph.node('Flatten', [x], [y]);
    else graph.node('MaxPool', [x], [y, `${y}.indices`], HALVE);
    values.push(y);
  });
  return values;
}

const HALVE = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } };
/** Height and width before each layer; nothing where there is no picture. */
function areas(network: Network): Area[] {
  let [height, width] = network.inputRow.slice(1) as [number, number];
  return network.layers.map((layer) => {
    const before: Area = [height, width];
    const by = layer.kind === 'pool' ? 2 : layer.kind === 'conv' ? (layer.stride ?? 1) : 1;
    [height, width] = [height / by, width / by];
    return before;
  });
}

/** Adds the loss and gives the name of its gradient by the network's output. */
function lossGradient(graph: OnnxGraph, network: Network, loss: Loss, output: string): string {
  graph.node('Shape', [output], ['output.shape']).integers('at0', [0]);
  graph.node('Gather', ['output.shape', 'at0'], ['rows.int']).node('Cast', ['rows.int'], ['rows'], { to: { int: 1 } });
  if (loss.kind === 'softmax') {
    graph.node('LogSoftmax', [output], ['log'], { axis: { int: -1 } }).node('Exp', ['log'], ['p']);
    graph.node('Mul', ['log', 'target'], ['log.target']).node('ReduceSum', ['log.target'], ['sum'], KEEP_NO_DIMENSION);
    graph.node('Neg', ['sum'], ['total']).node('Sub', ['p', 'target'], ['error']);
  } else {
    const channels = network.outputRow[0]!;
    const shape = [channels, ...network.outputRow.slice(1).map(() => 1)];
    const linear = Float32Array.from({ length: channels }, (_, i) => Number(loss.linear.includes(i)));
    graph.input('weight', 'FP32', ['batch', ...network.outputRow]);
    graph.weights('linear', shape, linear).weights(
      'logit',
      shape,
      linear.map((value) => 1 - value),
    );
    graph.node('Sigmoid', [output], ['s']).node('Mul', ['s', 'logit'], ['s.part']);
    graph.node('Mul', [output, 'linear'], ['linear.part']).node('Add', ['s.part', 'linear.part'], ['p']);
    graph.node('Sub', ['p', 'target'], ['plain.error']).node('Mul', ['plain.error', 'weight'], ['error']);
    // Half the squared error stands for both kinds in the report; the gradient is exact for each.
    graph
      .node('Mul', ['error', 'plain.error'], ['squares'])
      .node('ReduceSum', ['squares'], ['total'], KEEP_NO_DIMENSION);
  }
  graph.node('Div', ['total', 'rows'], ['loss.vector']).node('Squeeze', ['loss.vector'], ['loss']);
  graph.node('Div', ['error', 'rows'], ['gradient']);
  return 'gradient';
}

const KEEP_NO_DIMENSION = { keepdims: { int: 0 } };

/** Adds the gradients of all parameters, last layer first. */
function backward(graph: OnnxGraph, network: Network, values: readonly string[], gradient: string): void {
  const { layers } = network;
  const area = areas(network);
  let dy = gradient;
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i]!;
    const [x, y, dx] = [values[i]!, values[i + 1]!, `dx${i}`];
    const [weight, bias] = [`${layer.kind}${i}.weight`, `${layer.kind}${i}.bias`];
    if (layer.kind === 'dense') {
      graph.node('Gemm', [x, dy], [`d.${weight}`], { transA: { int: 1 } });
      graph.node('ReduceSum', [dy, 'axis0'], [`d.${bias}`], KEEP_NO_DIMENSION);
      if (i > 0) graph.node('Gemm', [dy, weight], [dx], { transB: { int: 1 } });
    } else if (layer.kind === 'conv') {
      weightGradient(graph, layer, { x, dy, weight, area: area[i]! });
      graph.node('ReduceSum', [dy, 'axes023'], [`d.${bias}`], KEEP_NO_DIMENSION);
      if (i > 0) inputGradient(graph, layer, dy, weight, dx);
    } else if (layer.kind === 'relu') {
      graph.node('Greater', [y, 'zero'], [`open${i}`]).node('Where', [`open${i}`, dy, 'zero'], [dx]);
    } else {
      graph.node('Shape', [x], [`shape${i}`]);
      if (layer.kind === 'flatten') graph.node('Reshape', [dy, `shape${i}`], [dx]);
      else graph.node('MaxUnpool', [dy, `${y}.indices`, `shape${i}`], [dx], HALVE);
    }
    dy = dx;
  }
}
