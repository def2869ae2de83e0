import {
  bulkhead,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  SamplingBreaker,
  wrap,
} from 'cockatiel';
import { createCaller } from '../../src/calls/caller.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { instant } from './instant.ts';
import { inOwnProcess } from './process.ts';
import { alternate } from './rounds.ts';

const calls = 50_000;
/** What 3 us is on a machine on which cockatiel takes 0.67 us: it holds on slow and busy ones as well. */
const mostRatio = 4.5;

export const core: Bench = {
  name: 'core',
  title: 'the whole core for one call that succeeds at once',
  usesDatabase: false,
  async run({ report }) {
    const { ours, cockatiel } = await inOwnProcess(import.meta.url, succeed, {});
    report({
      ...{ metric: 'one call', value: ours.us, unit: 'us', goal: { atMost: 3 } },
      reference: { name: 'cockatiel retry + breaker + bulkhead', value: cockatiel.us },
    });
    report({
      metric: "one call, in calls of cockatiel's",
      ...{ value: ours.us / cockatiel.us, unit: 'x', goal: { atMost: mostRatio } },
    });
  },
};

/** Ours has deadline, abort, queue and rate limit besides; each call has one of 1,000 connections' budgets. */
export async function succeed() {
  const caller = createCaller({
    ...{ clock, attempt: instant.attempt, requestTimeoutMs: 5_000 },
    retry: { baseMs: 100, capMs: 1_000, attempts: 3 },
    queue: { perBucket: 1_000, total: 10_000 },
  });
  const buckets = Array.from({ length: 1_000 }, (_, i) => [
    { key: `key ${i}`, limit: 10_000, windowMs: 1_000 },
  ]);
  const policy = wrap(
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, {
      halfOpenAfter: 10_000,
      breaker: new SamplingBreaker({ threshold: 0.5, duration: 30_000 }),
    }),
    bulkhead(1_000, 10_000),
  );
  const { send } = instant.attempt;
  const aborted = new AbortController().signal;
  const asked = await instant.call([], '').request();
  const measure = async (one: (i: number) => Promise<unknown>) => {
    const startedAt = performance.now();
    for (let i = 0; i < calls; i++) await one(i);
    return { us: ((performance.now() - startedAt) / calls) * 1_000 };
  };
  const figures = await alternate(
    {
      ours: () => measure((i) => caller.call(instant.call(buckets[i % buckets.length]!, 'connection'))),
      cockatiel: () => measure(() => policy.execute(() => send(asked, aborted, () => {}))),
    },
    { rounds: 9, warmUp: 2 },
  );
  return figures;
}
