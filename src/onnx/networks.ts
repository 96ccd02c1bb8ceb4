// Networks of any size with seeded weights, for benchmarks and trials: real operators in real proportions, trained on
// nothing. The same options give the same bytes on any machine.

import { seededRandom } from '../random.ts';
import type { Random } from '../random.ts';
import { OnnxModel } from './write.ts';

/** `cnn`: a residual net of convolutions on images; `mlp`: a residual net of large matrix products. */
export type NetworkKind = 'cnn' | 'mlp';

/** What to build. `megabytes` (10^6) of FP32 weights, met within a few percent. */
export interface NetworkOptions {
  readonly kind: NetworkKind;
  readonly megabytes: number;
  readonly seed: number;
}

/** Shape of one row of a network's input `input`; the batch axis before it is free. The output is `output` [batch, 1000]. */
export const NETWORK_INPUT_ROW: Readonly<Record<NetworkKind, readonly number[]>> = {
  cnn: [3, 64, 64],
  mlp: [256],
};

const CLASSES = 1000;
const STAGES = 4;
const BLOCKS = 2;
const MLP_LAYERS = 6;

/** Builds the network; throws a RangeError below 1 MB (it would be another network). */
export function buildNetwork({ kind, megabytes, seed }: NetworkOptions): OnnxModel {
  if (!(megabytes >= 1 && megabytes <= 1900)) {
    throw new RangeError('A network has 1 to 1900 megabytes; one ONNX file can hold no more.');
  }
  const parameters = (megabytes * 1e6) / 4;
  const model = new OnnxModel({ name: `${kind}-${megabytes}-${seed}`, metadata: { seed: String(seed) } });
  model.input('input', 'FP32', ['batch', ...NETWORK_INPUT_ROW[kind]]);
  model.output('output', 'FP32', ['batch', CLASSES]);
  const layers = new Layers(model, seededRandom(seed));
  if (kind === 'cnn') buildCnn(layers, parameters);
  else buildMlp(layers, parameters);
  return model;
}

/** Operators with weights, each giving the name of its output. */
class Layers {
  readonly #model: OnnxModel;
  readonly #random: Random;
  #count = 0;

  constructor(model: OnnxModel, random: Random) {
    this.#model = model;
    this.#random = random;
  }

  /** A 3x3 convolution that keeps the size, or halves it with stride 2. */
  convolve(input: string, from: number, to: number, stride = 1, gain = 1): string {
    const name = `conv${this.#count++}`;
    this.#weights(`${name}.weight`, [to, from, 3, 3], gain * Math.sqrt(2 / (from * 9)));
    this.#weights(`${name}.bias`, [to], 0.01);
    this.#model.node('Conv', [input, `${name}.weight`, `${name}.bias`], [name], {
      kernel_shape: { ints: [3, 3] },
      pads: { ints: [1, 1, 1, 1] },
      strides: { ints: [stride, stride] },
    });
    return name;
  }

  /** A fully connected layer. */
  connect(input: string, from: number, to: number, gain = 1, output = `gemm${this.#count++}`): string {
    this.#weights(`${output}.weight`, [from, to], gain * Math.sqrt(2 / from));
    this.#weights(`${output}.bias`, [to], 0.01);
    this.#model.node('Gemm', [input, `${output}.weight`, `${output}.bias`], [output]);
    return output;
  }

  /** An operator without weights or attributes. */
  apply(operator: string, ...inputs: string[]): string {
    const name = `${operator.toLowerCase()}${this.#count++}`;
    this.#model.node(operator, inputs, [name]);
    return name;
  }

  halve(input: string): string {
    const name = `pool${this.#count++}`;
    this.#model.node('MaxPool', [input], [name], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } });
    return name;
  }

  #weights(name: string, shape: readonly number[], deviation: number): void {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    // Uniform with the wanted standard deviation: quicker to draw than a normal and as good here.
    const limit = deviation * Math.sqrt(3);
    for (let i = 0; i < data.length; i++) data[i] = (this.#random() * 2 - 1) * limit;
    this.#model.weights(name, shape, data);
  }
}

function cnnConvolutionParameters(width: number): number {
  let total = 27 * width;
  for (let stage = 0; stage < STAGES; stage++) {
    const to = width * 2 ** stage;
    const from = stage === 0 ? width : to / 2;
    total += 9 * (from * to + (2 * BLOCKS - 1) * to * to);
  }
  return total;
}

function buildCnn(layers: Layers, parameters: number): void {
  let width = 4;
  while (cnnConvolutionParameters(width + 4) <= parameters * 0.95) width += 4;
  let x = layers.halve(layers.apply('Relu', layers.convolve('input', 3, width)));
  let channels = width;
  for (let stage = 0; stage < STAGES; stage++) {
    const to = width * 2 ** stage;
    for (let block = 0; block < BLOCKS; block++) {
      const widens = to !== channels;
      const first = layers.apply('Relu', layers.convolve(x, channels, to, widens ? 2 : 1));
      // Small second convolutions keep the sum of many blocks from growing.
      const second = layers.convolve(first, to, to, 1, 0.3);
      x = layers.apply('Relu', widens ? second : layers.apply('Add', x, second));
      channels = to;
    }
  }
  const pooled = layers.apply('Flatten', layers.apply('GlobalAveragePool', x));
  // The hidden layer takes what the convolutions left of the wanted size.
  const hidden = Math.max(16, Math.round((parameters - cnnConvolutionParameters(width)) / (channels + CLASSES)));
  layers.connect(layers.apply('Relu', layers.connect(pooled, channels, hidden)), hidden, CLASSES, 1, 'output');
}

function buildMlp(layers: Layers, parameters: number): void {
  const [inputs] = NETWORK_INPUT_ROW.mlp as [number];
  // MLP_LAYERS · w² + (inputs + CLASSES) · w = parameters
  const linear = inputs + CLASSES;
  const width = Math.round((Math.sqrt(linear ** 2 + 4 * MLP_LAYERS * parameters) - linear) / (2 * MLP_LAYERS));
  let x = layers.apply('Relu', layers.connect('input', inputs, width));
  for (let layer = 0; layer < MLP_LAYERS; layer++) {
    x = layers.apply('Relu', layers.apply('Add', x, layers.connect(x, width, width, 0.3)));
  }
  layers.connect(x, width, CLASSES, 1, 'output');
}
