// Draws chunks of examples beside the training. Chunk i follows from seed and i alone, whenever it is asked for.

import { parentPort, workerData } from 'node:worker_threads';

import { seededRandom } from '../../../src/random.ts';
import { SIZE } from '../digit.ts';
import { drawExample, loadTrainingFamilies } from './data.ts';

const { seed, chunks, chunkSize } = workerData as { seed: number; chunks: number; chunkSize: number };
const families = loadTrainingFamilies();
for (let chunk = 0; chunk < chunks; chunk++) {
  const random = seededRandom(seed * 100_003 + chunk);
  const labels = new Uint8Array(chunkSize);
  const pixels = new Uint8Array(chunkSize * SIZE * SIZE);
  for (let i = 0; i < chunkSize; i++) {
    const { label, input } = drawExample(families, random);
    labels[i] = label;
    input.forEach((value, j) => (pixels[i * SIZE * SIZE + j] = Math.round(value * 255)));
  }
  parentPort!.postMessage({ labels, pixels }, [labels.buffer, pixels.buffer]);
}
