import { RateLimiterMemory } from 'rate-limiter-flexible';
import { createCaller } from '../../src/calls/caller.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { instant } from './instant.ts';
import { inOwnProcess } from './process.ts';
import { medians } from './rounds.ts';

const keys = 100_000;
const windowMs = 1_000;
const sides = ['ours', 'rate-limiter-flexible'] as const;

export const idleKeys: Bench = {
  name: 'idleKeys',
  title: '100,000 keys used once, then idle past their window',
  usesDatabase: false,
  async run({ report }) {
    const rounds: Awaited<ReturnType<typeof useOnce>>[][] = [];
    for (let round = 0; round < 5; round++)
      // At the same time, for they mostly wait.
      rounds.push(await Promise.all(sides.map((side) => inOwnProcess(import.meta.url, useOnce, { side }))));
    const [mine, theirs] = sides.map((_, i) => medians(rounds.map((one) => one[i]!)));
    for (const [metric, member, unit, goal] of [
      ['use of one', 'us', 'us', undefined],
      ['heap of one in use', 'bytesEach', 'bytes', undefined],
      ['remembered after 1,000 more calls of one key', 'idle', 'keys', { atMost: 1 }],
      ['heap after that', 'idleMb', 'MB', { atMost: 5 }],
    ] as const)
      report({
        ...{ metric, value: mine![member], unit, ...(goal && { goal }) },
        reference: { name: sides[1], value: theirs![member] },
      });
  },
};

/** The heap is what has come since the start. */
export async function useOnce({ side }: { side: (typeof sides)[number] }) {
  const { use, size } = side === 'ours' ? ours() : flexible();
  for (let i = 0; i < 20_000; i++) await use(`warm ${i % 500}`);
  const heap = () => {
    gc!();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  const startedAt = performance.now();
  for (let i = 0; i < keys; i++) await use(`key ${i}`);
  const us = ((performance.now() - startedAt) / keys) * 1_000;
  const bytesEach = (heap() - before) / size();
  await clock.sleep(windowMs * 1.2);
  for (let i = 0; i < 1_000; i++) await use('one');
  return { us, bytesEach, idle: size(), idleMb: (heap() - before) / 2 ** 20 };
}

function ours() {
  const limiter = createRateLimiter(clock);
  const caller = createCaller({
    ...{ clock, limiter, attempt: instant.attempt, requestTimeoutMs: 5_000 },
    retry: { baseMs: 100, capMs: 1_000, attempts: 3 },
    queue: { perBucket: 1_000, total: 10_000 },
  });
  return {
    use: (key: string) => caller.call(instant.call([{ key, limit: 10_000, windowMs }], key)),
    size: () => limiter.size,
  };
}

function flexible() {
  const limiter = new RateLimiterMemory({ points: 10_000, duration: windowMs / 1_000 });
  return { use: (key: string) => limiter.consume(key), size: () => limiter.dump().storage.length };
}
