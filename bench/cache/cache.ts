// 8 CNNs on two CPU devices that hold 3 each: 500 requests by Zipf, 16 at a time, under lalbo3 and under lb.
//   npm run bench:cache [-- --kind cnn --megabytes 80 --requests 500 --kills 0 --policies lalbo3,lb --devices cpu:2@{memory}]

import { parseArgs } from 'node:util';
import { cacheRuns } from './cache-run.ts';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: '8' },
    kind: { type: 'string', default: 'cnn' },
    megabytes: { type: 'string', default: '80' },
    devices: { type: 'string', default: 'cpu:2@{memory}' },
    fit: { type: 'string', default: '3' },
    policies: { type: 'string', default: 'lalbo3,lb' },
    requests: { type: 'string', default: '500' },
    clients: { type: 'string', default: '16' },
    skew: { type: 'string', default: '0.8' },
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '0' },
  },
});

const results = await cacheRuns(
  { models: Number(values.models), megabytes: Number(values.megabytes), kind: values.kind === 'mlp' ? 'mlp' : 'cnn' },
  values.policies.split(',').map((policy) => ({
    devices: values.devices,
    fit: Number(values.fit),
    policy,
    requests: Number(values.requests),
    clients: Number(values.clients),
    skew: Number(values.skew),
    seed: Number(values.seed),
    kills: Number(values.kills),
    check: values.devices.startsWith('emulated') ? ('shape' as const) : ('values' as const),
    killEveryMs: 2000,
    settleMs: 6000,
  })),
);
console.log(JSON.stringify(results, null, 2));
