// The examples of docs/functions.md, as a reader would copy them into a new function.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sandbox } from '../helpers/cli.ts';

const root = new URL('../../', import.meta.url);
const examples = [...readFileSync(new URL('docs/functions.md', root), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(
  ([, text]) => text!,
);
// The published entry points, which the examples import, exist once the project is built.
const isBuilt = existsSync(new URL('dist/testing.js', root));

let box: Sandbox;
beforeAll(async () => {
  box = new Sandbox();
  await box.run(['init', 'digits', '--template', 'digits']);
  const folder = join(box.folder, 'digits');
  const handler = examples.find((text) => text.includes('defineHandler'))!;
  writeFileSync(
    join(folder, 'example.ts'),
    `${handler}\ndeclare function decode(file: Uint8Array): number[] | null;\n`,
  );
  writeFileSync(
    join(folder, 'example.test.ts'),
    examples.find((text) => text.includes('gpufaas/testing'))!,
  );
}, 60_000);
afterAll(() => box.close(), 60_000);

async function run(...args: readonly string[]): Promise<{ stdout: string; failed: boolean }> {
  // The variables of vitest would make node:test believe that it runs inside another runner.
  const env = { ...box.environment, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
  return promisify(execFile)(process.execPath, args, { cwd: join(box.folder, 'digits'), env }).then(
    ({ stdout }) => ({ stdout, failed: false }),
    (error: { stdout: string }) => ({ stdout: error.stdout, failed: true }),
  );
}

describe.skipIf(!isBuilt)('the examples of docs/functions.md', () => {
  it('have right types', { timeout: 60_000 }, async () => {
    const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root));
    expect(await run(tsc, '--noEmit')).toEqual({ stdout: '', failed: false });
  });

  it('pass as tests', { timeout: 60_000 }, async () => {
    const { stdout, failed } = await run('--test', '--test-reporter=tap', 'example.test.ts');
    expect({ passed: /^# pass (\d+)$/m.exec(stdout)?.[1], failed }).toEqual({ passed: '2', failed: false });
  });
});
