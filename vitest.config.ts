import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Most of the time of a process that runs from source goes into stripping types and compiling: once is enough. The
// processes of the tests inherit it, and so do those that they start.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/node', import.meta.url));

/** The unit tests last: a long test that begins when all else is over keeps everybody waiting. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isUnit = ({ project }: TestSpecification): number => Number(project.name === 'unit');
    return sorted.toSorted((left, right) => isUnit(left) - isUnit(right));
  }
}

export default defineConfig({
  test: {
    pool: 'forks',
    // One more than the processors of a small machine: tests wait for processes, limits and retries most of the time.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    // What is waited for comes at once where the machine is free; where it is not, it may take its time.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
    env: { ORT_DISABLE_TELEMETRY: '1', NO_COLOR: '1' },
    projects: [
      // They start hardly a process and leave nothing behind: a worker takes one file after the other.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false } },
      { extends: true, test: { name: 'system', include: ['test/{integration,e2e}/**/*.test.ts'] } },
    ],
  },
});
