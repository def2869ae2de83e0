import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { nodeFlags, nodeSettings } from './test/support/node.ts';
import { SlowestFirst } from './test/support/slowestFirst.ts';

export default defineConfig({
  resolve: {
    // The file that Node itself takes: Vite's choice would be a second instance of the library.
    alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgresServer.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One more than the processors of a small machine: many tests wait for other processes.
    maxWorkers: 3,
    sequence: { sequencer: SlowestFirst },
    execArgv: [...nodeFlags],
    env: nodeSettings,
  },
});
