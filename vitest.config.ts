import { defineConfig } from 'vitest/config';

const UNIT_TIMEOUT_MS = 20_000;
const INTEGRATION_TIMEOUT_MS = 300_000;

// Two kinds of tests: `unit` beside each package, in parallel; then `integration` under test/, one file at a time, since
// those start real services and share the machine.
export default defineConfig({
  test: {
    pool: 'forks',
    reporters: process.env.SLUICE_TEST_SUMMARY === undefined ? ['default'] : ['default', './test/summary-reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts'],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          testTimeout: INTEGRATION_TIMEOUT_MS,
          hookTimeout: INTEGRATION_TIMEOUT_MS,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
