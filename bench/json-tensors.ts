// What JSON tensors cost against binary ones: decoding a request of 150,528 floats (one image), and writing as many.
// Run: node bench/json-tensors.ts

import { Bench } from 'tinybench';
import { encodeAnswer } from '../src/gateway/open-inference/answer.ts';
import { floatsToText } from '../src/gateway/open-inference/float-text.ts';
import { decodeRequest } from '../src/gateway/open-inference/request.ts';
import { seededRandom } from '../src/random.ts';

const COUNT = 150_528;
const random = seededRandom(1);
const floats = Float32Array.from({ length: COUNT }, () => random());
const bytes = new Uint8Array(floats.buffer);
const spec = { name: 'x', datatype: 'FP32', shape: [-1] } as const;
const signature = { inputs: [spec], outputs: [spec] };
const input = { name: 'x', datatype: 'FP32', shape: [COUNT] } as const;

const json = Buffer.from(JSON.stringify({ inputs: [{ ...input, data: [...floats] }] }));
const head = Buffer.from(
  JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: bytes.byteLength } }] }),
);
const binary = Buffer.concat([head, bytes]);
const answer = { modelName: 'm', modelVersion: '1', id: null };
const output = { ...input, data: bytes };

const bench = new Bench({ time: 1000, warmupTime: 200 });
bench
  .add('decode JSON', () => decodeRequest(json, null, signature))
  .add('decode binary', () => decodeRequest(binary, head.byteLength, signature))
  .add('encode JSON', () => encodeAnswer(answer, [output], [{ name: 'x', binary: false }]))
  .add('encode binary', () => encodeAnswer(answer, [output], [{ name: 'x', binary: true }]))
  .add('floats as text: ours', () => floatsToText(floats))
  .add('floats as text: join', () => floats.join(','));
await bench.run();
console.table(bench.table());
console.log(`bytes: ours ${floatsToText(floats).length}, join ${floats.join(',').length}`);
