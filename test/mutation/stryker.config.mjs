/** `npm run test:mutation`: what breaks in the code that decides must break a test. */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts' },
  mutate: [
    'src/calls/{backoff,circuitBreaker,fairQueue,rateLimitHeaders,redact,retryAfter,turns,window,addresses,conflict}.ts',
    'src/oauth/{encryption,protocol}.ts',
    'src/webhooks/verify.ts',
    'src/connections/returnTo.ts',
  ],
  // It would be read by TypeScript's old interface, which version 7 does not have.
  tsconfigFile: 'none',
  concurrency: 2,
  tempDirName: '.stryker',
  ignorePatterns: ['.data', '.git', 'docs'],
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { allowColor: false, logTests: false, allowEmojis: false },
  thresholds: { high: 90, low: 85, break: 85 },
  incrementalFile: 'node_modules/.cache/stryker-incremental.json',
};
