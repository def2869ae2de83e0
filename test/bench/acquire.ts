import { RateLimiterMemory } from 'rate-limiter-flexible';
import { createCaller } from '../../src/calls/caller.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { instant } from './instant.ts';
import { inOwnProcess } from './process.ts';
import { alternate, type Side } from './rounds.ts';
import { openFlexible, openReservoir } from './references.ts';
import { openSharedLimiter } from './sides.ts';
import { createLazyBuckets } from './tokenBucket.ts';

const keys = Array.from({ length: 1_000 }, (_, i) => `key ${i}`);
const limit = 1_000;
const windowMs = 1_000;

/** Acquires where there is room: what a limiter costs when it holds nobody back. */
export const acquire: Bench = {
  name: 'acquire',
  title: 'one acquire on 1,000 keys when there is room',
  usesDatabase: true,
  async run({ databaseUrl, report }) {
    const memory = await inOwnProcess(import.meta.url, inMemory, {});
    for (const [name, value] of [
      ['textbook lazy bucket', memory.lazy.us],
      ['rate-limiter-flexible', memory.flexible.us],
      ['bottleneck, one after another', memory.bottleneck.us],
      ['bottleneck, all at once', memory.bottleneckAtOnce.us],
    ] as const)
      report({
        ...{ metric: 'in memory', value: memory.ours.us, unit: 'us' },
        reference: { name, value },
      });

    const { ours, flexible } = await inOwnProcess(import.meta.url, onPostgres, { databaseUrl });
    const name = 'rate-limiter-flexible';
    for (const [metric, member, unit] of [
      ['on PostgreSQL, 10,000 at once', 'us', 'us'],
      ['on PostgreSQL, statements for 1,000 of them', 'statements', 'statements'],
      ['on PostgreSQL, one after another, each another key', 'aloneUs', 'us'],
      ['on PostgreSQL, one after another, one key', 'streamUs', 'us'],
    ] as const)
      report({ metric, value: ours[member], unit, reference: { name, value: flexible[member] } });
  },
};

export async function inMemory() {
  const calls = 100_000;
  const buckets = keys.map((key) => [{ key, limit, windowMs }]);
  return alternate<'ours' | 'lazy' | 'flexible' | 'bottleneck' | 'bottleneckAtOnce', 'us'>({
    ours() {
      const limiter = createRateLimiter(clock);
      return timed(calls, () => {
        for (let i = 0; i < calls; i++) {
          const slot = limiter.take(buckets[i % keys.length]!, 0, false);
          if (!slot) throw new Error('no room');
          slot.ended();
        }
      });
    },
    lazy() {
      const take = createLazyBuckets(limit, windowMs);
      return timed(calls, () => {
        for (let i = 0; i < calls; i++) if (!take(keys[i % keys.length]!)) throw new Error('no room');
      });
    },
    flexible() {
      const limiter = new RateLimiterMemory({ points: limit, duration: windowMs / 1_000 });
      return timed(calls, async () => {
        for (let i = 0; i < calls; i++) await limiter.consume(keys[i % keys.length]!);
      });
    },
    bottleneck() {
      const limiters = bottlenecks();
      return timed(50, async () => {
        for (let i = 0; i < 50; i++) await limiters[i]!.schedule(nothing);
      });
    },
    bottleneckAtOnce() {
      const limiters = bottlenecks();
      return timed(10_000, () =>
        Promise.all(Array.from({ length: 10_000 }, (_, i) => limiters[i % keys.length]!.schedule(nothing))),
      );
    },
  });
}

/** What one call costs when thousands want to go, and what it waits when it is the only one. */
export async function onPostgres({ databaseUrl }: { databaseUrl: string }) {
  const calls = 10_000;
  const flexibleOn = openFlexible(databaseUrl);
  const sharedOn = await openSharedLimiter(databaseUrl);
  let round = 0;

  const measure = async (statements: () => number, acquireOne: (key: string) => Promise<unknown>) => {
    const before = statements();
    const { us } = await timed(calls, () =>
      Promise.all(Array.from({ length: calls }, (_, i) => acquireOne(keys[i % keys.length]!))),
    );
    const perThousand = ((statements() - before) / calls) * 1_000;
    const { us: aloneUs } = await timed(50, async () => {
      for (let i = 0; i < 50; i++) await acquireOne(`alone ${i}`);
    });
    const { us: streamUs } = await timed(20, async () => {
      for (let i = 0; i < 20; i++) await acquireOne('stream');
    });
    return { us, statements: perThousand, aloneUs, streamUs };
  };
  const ours: Side<keyof Awaited<ReturnType<typeof measure>>> = async () => {
    const prefix = `round ${round++}`;
    const limiter = sharedOn.open();
    const caller = createCaller({
      ...{ clock, limiter, attempt: instant.attempt, requestTimeoutMs: 5_000 },
      retry: { baseMs: 100, capMs: 1_000, attempts: 3 },
      queue: { perBucket: 100_000, total: 100_000 },
    });
    const figures = await measure(sharedOn.statements, (key) =>
      caller.call(instant.call([{ key: `${prefix} ${key}`, limit, windowMs }], key)),
    );
    await limiter.close();
    return figures;
  };
  const flexible: typeof ours = () => {
    const limiter = flexibleOn.open(`round ${round++}`, { limit, windowMs });
    return measure(flexibleOn.statements, (key) => limiter.consume(key));
  };
  return alternate({ ours, flexible }, { rounds: 5 });
}

const bottlenecks = () => keys.map(() => openReservoir(limit, windowMs));
const nothing = () => Promise.resolve();

async function timed(calls: number, work: () => unknown): Promise<{ us: number }> {
  const startedAt = performance.now();
  await work();
  return { us: ((performance.now() - startedAt) / calls) * 1_000 };
}
