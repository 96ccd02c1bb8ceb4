// Callers without a pause over many deployments: no call may fail, no answer may be wrong.
//   npm run soak:deploy [-- --seconds 30 --callers 16 --deploys 10] [--json]
// Exits 1 if one did or was.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createHome, resolveHome } from '../../src/home.ts';
import { startDaemonChild } from '../children.ts';
import { deployUnderLoad } from './deploys.ts';

process.env['ORT_DISABLE_TELEMETRY'] = '1';
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    callers: { type: 'string', default: '16' },
    deploys: { type: 'string', default: '10' },
    policy: { type: 'string', default: 'locality' },
    json: { type: 'boolean', default: false },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-soak-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
createHome(home);
mkdirSync(join(folder, 'work'));
const daemon = await startDaemonChild(home.root, 'cpu:1@1GB', values.policy);
try {
  const report = await deployUnderLoad({
    url: daemon.line,
    home,
    folder: join(folder, 'work'),
    callers: Number(values.callers),
    seconds: Number(values.seconds),
    deploys: Number(values.deploys),
  });
  if (values.json) console.log(JSON.stringify(report, null, 2));
  else {
    const ms = (times: readonly number[]): string => times.map((time) => `${time.toFixed(0)} ms`).join(', ');
    console.log(`load of the machine  ${loadavg()[0]!.toFixed(1)}`);
    console.log(`deployments          ${report.deployMs.length}: ${ms(report.deployMs)}`);
    console.log(`answers              ${report.answers}, the slowest ${ms(report.slowestMs)}`);
    console.log(`failed or wrong      ${report.problems.length}`);
    for (const problem of report.problems) console.log(`  ${problem}`);
  }
  process.exitCode = report.problems.length === 0 ? 0 : 1;
} finally {
  await daemon.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
