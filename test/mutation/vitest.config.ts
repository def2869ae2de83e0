import { mergeConfig } from 'vitest/config';
import common from '../../vitest.config.ts';

/** The tests that judge mutants of the code that decides: those that need neither a database nor a process. */
export default mergeConfig(
  { ...common, test: { ...common.test, include: [], globalSetup: [], execArgv: [] } },
  {
    test: {
      include: [
        'test/calls/{backoff,circuitBreaker,fairQueue,rateLimit,rateLimitHeaders,redact,retryAfter,turns,window,addresses,conflict}.test.ts',
        'test/oauth/{encryption,protocol}.test.ts',
        'test/webhooks/verify.test.ts',
        'test/connections/returnTo.test.ts',
      ],
    },
  },
);
