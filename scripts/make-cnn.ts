// Writes a network with seeded weights, for benchmarks and trials:
//   node scripts/make-cnn.ts --megabytes 80 --seed 1 --out model.onnx [--kind cnn|mlp] [--external weights.bin]

import { writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

import { buildNetwork, NETWORK_INPUT_ROW } from '../src/onnx/networks.ts';

const USAGE =
  'node scripts/make-cnn.ts --out MODEL.onnx [--megabytes 80] [--seed 1] [--kind cnn|mlp] [--external FILE]';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    megabytes: { type: 'string', default: '80' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string', default: 'cnn' },
    external: { type: 'string' },
  },
});
const { out, kind, external } = values;
const megabytes = Number(values.megabytes);
const seed = Number(values.seed);
if (out === undefined || !Number.isFinite(megabytes) || !Number.isInteger(seed) || (kind !== 'cnn' && kind !== 'mlp')) {
  console.error(`Usage: ${USAGE}`);
  process.exit(2);
}

const network = buildNetwork({ kind, megabytes, seed });
if (external === undefined) {
  writeFileSync(out, network.encode());
} else {
  const { model, data } = network.encodeExternal(basename(external));
  writeFileSync(out, model);
  writeFileSync(join(dirname(out), basename(external)), data);
}
console.log(
  `${out}: ${kind}, ${megabytes} MB, seed ${seed}, input [batch, ${NETWORK_INPUT_ROW[kind].join(', ')}] FP32`,
);
