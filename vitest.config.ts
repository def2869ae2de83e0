import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { nodeFlags, nodeSettings } from './test/support/node.ts';
import { InShares, shares } from './test/support/shares.ts';

/** What all tests run with. */
export const common = {
  resolve: {
    // The file that Node itself takes: Vite's choice would be a second instance of the library.
    alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }],
  },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One more than the processors of a small machine: many tests wait for other processes. With two more, some that
    // start many processes were too late.
    maxWorkers: 3,
    execArgv: [...nodeFlags],
    env: nodeSettings,
  },
};
/** One for all that run together. */
export const globalSetup = ['test/support/postgresServer.ts', 'test/support/programs.ts'];

export default defineConfig({
  test: {
    globalSetup,
    maxWorkers: common.test.maxWorkers,
    sequence: { sequencer: InShares },
    projects: shares.map((share) => ({ ...common, test: { ...common.test, ...share } })),
  },
});
