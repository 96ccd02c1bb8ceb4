import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';

import { createNetwork, exportNetwork, trainingGraph } from '../../../scripts/training/network.ts';
import type { Layer, Loss, Network } from '../../../scripts/training/network.ts';
import { oneHot, Trainer } from '../../../scripts/training/trainer.ts';
import { randomInteger, seededRandom } from '../../../src/random.ts';

const LAYERS: readonly Layer[] = [
  { kind: 'conv', from: 2, to: 3, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 3, to: 4, size: 3 },
  { kind: 'relu' },
];
const HEAD: readonly Layer[] = [{ kind: 'flatten' }, { kind: 'dense', from: 64, to: 5 }];

/** The loss and all gradients at the network's parameters. */
async function gradientsOf(network: Network, loss: Loss, feeds: Readonly<Record<string, Tensor>>) {
  const session = await InferenceSession.create(trainingGraph(network, loss), { logSeverityLevel: 3 });
  return async (): Promise<Record<string, Float32Array>> => {
    const all: Record<string, Tensor> = { ...feeds };
    for (const { name, shape, data } of network.parameters) all[name] = new Tensor('float32', data, shape);
    const results = Object.entries(await session.run(all));
    return Object.fromEntries(results.map(([name, { data }]) => [name, data as Float32Array]));
  };
}

describe('the gradients of a network', () => {
  it('under softmax are the slopes of the loss', async () => {
    const random = seededRandom(1);
    const network = createNetwork([...LAYERS, ...HEAD], [2, 8, 8], [5], random);
    const x = Float32Array.from({ length: 3 * 128 }, () => random() - 0.5);
    const run = await gradientsOf(
      network,
      { kind: 'softmax' },
      {
        x: new Tensor('float32', x, [3, 2, 8, 8]),
        target: new Tensor('float32', oneHot([0, 2, 4], 5), [3, 5]),
      },
    );
    const exact = await run();
    const step = 1e-3;
    for (const { name, data } of network.parameters) {
      const at = randomInteger(random, data.length);
      const value = data[at]!;
      data[at] = value + step;
      const above = (await run()).loss![0]!;
      data[at] = value - step;
      const below = (await run()).loss![0]!;
      data[at] = value;
      expect(Math.abs((above - below) / (2 * step) - exact[`d.${name}`]![at]!)).toBeLessThan(2e-3);
    }
  });

  it('are right for strides and spread taps too', async () => {
    const random = seededRandom(2);
    const layers: Layer[] = [
      { kind: 'conv', from: 2, to: 3, size: 3, stride: 2 },
      { kind: 'conv', from: 3, to: 4, size: 3, stride: 2 },
      { kind: 'conv', from: 4, to: 3, size: 3, dilation: 2 },
      { kind: 'conv', from: 3, to: 3, size: 1 },
      { kind: 'flatten' },
      { kind: 'dense', from: 24, to: 5 },
    ];
    const network = createNetwork(layers, [2, 8, 16], [5], random);
    const x = Float32Array.from({ length: 3 * 256 }, () => random() - 0.5);
    const run = await gradientsOf(
      network,
      { kind: 'softmax' },
      {
        x: new Tensor('float32', x, [3, 2, 8, 16]),
        target: new Tensor('float32', oneHot([0, 2, 4], 5), [3, 5]),
      },
    );
    const exact = await run();
    for (const { name, data } of network.parameters) {
      for (const at of [0, randomInteger(random, data.length), data.length - 1]) {
        const value = data[at]!;
        data[at] = value + 1e-2;
        const above = (await run()).loss![0]!;
        data[at] = value - 1e-2;
        const below = (await run()).loss![0]!;
        data[at] = value;
        expect(Math.abs((above - below) / 2e-2 - exact[`d.${name}`]![at]!)).toBeLessThan(1e-3);
      }
    }
  });

  it('of a mixed loss are p - target for logits and y - target for numbers, each by its weight', async () => {
    const network = createNetwork([{ kind: 'conv', from: 1, to: 2, size: 1 }], [1, 1, 1], [2, 1, 1], seededRandom(1));
    network.parameters[0]!.data.set([2, 3]);
    network.parameters[1]!.data.set([0.5, -1]);
    const run = await gradientsOf(
      network,
      { kind: 'mixed', linear: [1] },
      {
        x: new Tensor('float32', [0.25], [1, 1, 1, 1]),
        target: new Tensor('float32', [1, 2], [1, 2, 1, 1]),
        weight: new Tensor('float32', [4, 0.5], [1, 2, 1, 1]),
      },
    );
    const gradients = await run();
    const [logit, number] = [2 * 0.25 + 0.5, 3 * 0.25 - 1];
    const expected = [4 * (1 / (1 + Math.exp(-logit)) - 1), 0.5 * (number - 2)];
    [...gradients['d.conv0.bias']!].forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    [...gradients['d.conv0.weight']!].forEach((value, i) => expect(value).toBeCloseTo(expected[i]! * 0.25, 5));
  });
});

describe('Trainer', () => {
  it('learns exclusive or, the same way every time, and exports what it learned', async () => {
    const learn = async (): Promise<Network> => {
      const layers: Layer[] = [
        { kind: 'dense', from: 2, to: 12 },
        { kind: 'relu' },
        { kind: 'dense', from: 12, to: 2 },
      ];
      const network = createNetwork(layers, [2], [2], seededRandom(3));
      const trainer = await Trainer.create(network, { kind: 'softmax' });
      const batch = { rows: 4, x: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), target: oneHot([0, 1, 1, 0], 2) };
      for (let step = 0; step < 300; step++) await trainer.step(batch, 0.02);
      expect(await trainer.step(batch, 0)).toBeLessThan(0.05);
      await trainer.release();
      return network;
    };
    const [network, again] = [await learn(), await learn()];
    expect(again.parameters).toEqual(network.parameters);
    const session = await InferenceSession.create(
      exportNetwork(network, { input: 'x', output: 'p', activation: 'softmax' }),
    );
    const { p } = await session.run({ x: new Tensor('float32', [0, 1, 1, 1], [2, 2]) });
    const chances = p!.data as Float32Array;
    expect(chances[1]).toBeGreaterThan(0.9);
    expect(chances[2]).toBeGreaterThan(0.9);
  });

  it('goes on from a checkpoint to the same network as without a pause', async () => {
    const create = (): Network => createNetwork([{ kind: 'dense', from: 2, to: 2 }], [2], [2], seededRandom(5));
    const batch = { rows: 2, x: Float32Array.of(0, 1, 1, 0), target: oneHot([0, 1], 2) };
    const [straight, paused, resumed] = [create(), create(), create()];
    const loss: Loss = { kind: 'softmax' };
    const trainers = await Promise.all([straight, paused, resumed].map((network) => Trainer.create(network, loss)));
    for (let step = 0; step < 10; step++) await trainers[0]!.step(batch, 0.01, 0.01);
    for (let step = 0; step < 4; step++) await trainers[1]!.step(batch, 0.01, 0.01);
    trainers[2]!.restore(trainers[1]!.checkpoint());
    while (trainers[2]!.steps < 10) await trainers[2]!.step(batch, 0.01, 0.01);
    expect(resumed.parameters).toEqual(straight.parameters);
    expect(() => trainers[2]!.restore(new Uint8Array(12))).toThrow(/another network/u);
    await Promise.all(trainers.map((trainer) => trainer.release()));
  });
});
