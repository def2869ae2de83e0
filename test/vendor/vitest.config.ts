import { defineConfig } from 'vitest/config';

/** Real services, one at a time: `npm run test:vendor`. */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: ['test/vendor/*.vendor.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/plainReporter.ts'],
  },
});
