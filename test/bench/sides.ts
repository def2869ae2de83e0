import { Agent, request } from 'undici';
import type { Attempt } from '../../src/calls/attempt.ts';
import { createBudgetRows } from '../../src/calls/budgetRows.ts';
import { createCaller, type Bucket, type Priority } from '../../src/calls/caller.ts';
import { createRateLimiter, type RateLimiter } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { openReference, poolSize, type ReferenceName } from './references.ts';

/** One way to hold calls back to a limit. */
export interface Side {
  ask(asked: Asked): void;
  /** Calls that it knows of and that have not begun. */
  waiting(): number;
  /** That it has sent to its database. */
  statements?(): number;
}

export interface Asked {
  bucket: Bucket;
  /** A URL where `send` is HTTP. */
  id: string;
  priority: Priority;
  /** For which connection. */
  who: string;
  deadlineInMs: number;
}

/** Begins at once what its limit lets through. */
export type Send = (id: string) => Promise<void>;

export type SideName = 'ours' | 'ours, shared' | ReferenceName;

/**
 * @param send without it, HTTP over kept lines without pipelining, for all sides alike
 * @param databaseUrl for those that share their budget with other processes
 */
export async function openSide(name: SideName, send?: Send, databaseUrl?: string): Promise<Side> {
  if (name === 'ours') return ours(createRateLimiter(clock), send);
  if (name === 'ours, shared') {
    const { open, statements } = await openSharedLimiter(databaseUrl!);
    return { ...ours(open(), send), statements };
  }
  return openReference(name, send ?? http(), databaseUrl!);
}

/** Each with a pool of its own, as each process has one. */
export async function openSharedLimiter(databaseUrl: string) {
  let statements = 0;
  const { db } = await openDatabase({ databaseUrl, dataDir: '', poolSize, onQuery: () => statements++ });
  const open = () => createSharedRateLimiter({ clock, rows: createBudgetRows(db), longestCallMs: 6_000 });
  return { open, statements: () => statements };
}

function ours(limiter: RateLimiter, send: Send | undefined): Side {
  const attempt: Attempt = {
    async send({ url }, _signal, onSent) {
      onSent();
      await send!(url);
      return { kind: 'answered', response: { status: 200, headers: {}, body: '{}' } };
    },
    close: () => Promise.resolve(),
  };
  const caller = createCaller({
    ...{ clock, limiter, requestTimeoutMs: 5_000 },
    retry: { baseMs: 100, capMs: 1_000, attempts: 3 },
    queue: { perBucket: 100_000, total: 100_000 },
    ...(send && { attempt }),
  });
  const bucketsOf = new Map<string, readonly Bucket[]>();
  const refused = () => {};
  const classify = () => undefined;
  return {
    ask({ bucket, id, priority, who, deadlineInMs }) {
      let buckets = bucketsOf.get(bucket.key);
      if (!buckets) bucketsOf.set(bucket.key, (buckets = [bucket]));
      const call = {
        integration: 'bench',
        connectionId: who,
        host: bucket.key,
        buckets,
        priority,
        deadlineAtMs: clock.now() + deadlineInMs,
        idempotent: true,
        request: () => Promise.resolve({ method: 'GET' as const, url: id, headers: {} }),
        classify,
      };
      caller.call(call).catch(refused);
    },
    waiting: () => [...caller.queueDepth()].reduce((sum, { waiting }) => sum + waiting, 0),
  };
}

function http(): Send {
  const dispatcher = new Agent({ pipelining: 1, keepAliveTimeout: 10_000 });
  return async (url) => {
    const { body } = await request(url, { dispatcher });
    await body.dump();
  };
}
