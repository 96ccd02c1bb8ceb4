// Kills the daemon at random points of deploy, rm and load, and checks what it finds after each start:
//   npm run soak:crash -- --rounds 50
// Ends with 1 if a function was neither old nor new, or anything was left behind. Linux only.

import { parseArgs } from 'node:util';
import { crashRounds } from './crash-rounds.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' } },
});
const problems = await crashRounds({
  rounds: Number(values.rounds),
  seed: Number(values.seed),
  onRound: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`${problems.length === 0 ? 'Consistent every time.' : `${problems.length} problems.`}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
