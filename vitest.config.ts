import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Most of the time of a process that runs from source goes into stripping types and compiling: once is enough. The
// processes of the tests inherit it, and so do those that they start.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/node', import.meta.url));

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
    include: ['test/**/*.test.ts'],
    env: { ORT_DISABLE_TELEMETRY: '1', NO_COLOR: '1' },
  },
});
