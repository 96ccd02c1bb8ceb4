// `npm test`: installs and builds what is needed, then types, lint, format and all tests. With arguments only the tests
// that these name: `npm test -- test/unit/cli`.

import { build, install, main, npm, say, StepFailed } from './setup.mjs';

const CHECKS = ['typecheck', 'lint', 'format:check', 'vitest'];

async function test() {
  const only = process.argv.slice(2);
  await install();
  await build();
  if (only.length > 0) return npm('run', '--silent', 'vitest', '--', ...only);
  const failed = [];
  for (const check of CHECKS) {
    console.log();
    say(`npm run ${check}`);
    try {
      await npm('run', '--silent', check);
    } catch (error) {
      if (!(error instanceof StepFailed) || error.exitCode === 130) throw error;
      failed.push(check);
    }
  }
  console.log();
  if (failed.length > 0) throw new StepFailed(`Failed: ${failed.join(', ')}`, 1);
  say(`All of it passed: ${CHECKS.join(', ')}.`);
}

await main(test, 'Each of these can be run alone: npm run typecheck | lint | format:check, npm test -- FILE.');
