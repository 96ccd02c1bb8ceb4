import { defineConfig } from 'vitest/config';

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
