import Bottleneck from 'bottleneck';
import pThrottle from 'p-throttle';
import pg from 'pg';
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterQueue } from 'rate-limiter-flexible';
import { Agent, request } from 'undici';
import type { Attempt } from '../../src/calls/attempt.ts';
import { createBudgetRows } from '../../src/calls/budgetRows.ts';
import { createCaller, type Bucket, type Priority } from '../../src/calls/caller.ts';
import { createRateLimiter, type RateLimiter } from '../../src/calls/rateLimit.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { createTokenBucket } from './tokenBucket.ts';

/** One way to hold calls back to a limit. */
export interface Side {
  ask(asked: Asked): void;
  /** Calls that it knows of and that have not begun. */
  waiting(): number;
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

export const sideNames = [
  'ours',
  'ours, shared',
  'token bucket',
  'rate-limiter-flexible',
  'rate-limiter-flexible, PostgreSQL',
  'p-throttle',
  'bottleneck',
  'bottleneck, minTime',
] as const;
export type SideName = (typeof sideNames)[number];

/**
 * @param send without it, HTTP over kept lines without pipelining, for all sides alike
 * @param databaseUrl for those that share their budget with other processes
 */
export async function openSide(name: SideName, send?: Send, databaseUrl?: string): Promise<Side> {
  const sending = send ?? http();
  switch (name) {
    case 'ours':
      return ours(createRateLimiter(clock), send);
    case 'ours, shared':
      return ours(await sharedLimiter(databaseUrl!), send);
    case 'token bucket':
      return byBucket((bucket) => {
        const { take, waiting } = createTokenBucket(bucket.limit, bucket.windowMs);
        return { ask: ({ id }) => take(() => void sending(id)), waiting };
      });
    case 'rate-limiter-flexible':
      return byBucket(({ limit, windowMs }) =>
        queued(new RateLimiterMemory({ points: limit, duration: windowMs / 1_000 }), sending),
      );
    case 'rate-limiter-flexible, PostgreSQL': {
      const pool = new pg.Pool({ connectionString: databaseUrl!, max: 4 });
      await flexibleTable(pool);
      return byBucket(({ key, limit, windowMs }) => {
        const duration = windowMs / 1_000;
        return queued(flexiblePostgres(pool, { keyPrefix: key, points: limit, duration }), sending);
      });
    }
    case 'p-throttle':
      return byBucket(({ limit, windowMs }) => {
        const throttled = pThrottle({ limit, interval: windowMs, strict: true })(sending);
        return { ask: ({ id }) => void throttled(id), waiting: () => throttled.queueSize };
      });
    case 'bottleneck':
      return byBucket(({ limit, windowMs }) =>
        ofBottleneck(
          new Bottleneck({
            reservoir: limit,
            reservoirRefreshAmount: limit,
            reservoirRefreshInterval: windowMs,
          }),
          sending,
        ),
      );
    case 'bottleneck, minTime':
      return byBucket(({ limit, windowMs }) =>
        ofBottleneck(new Bottleneck({ minTime: windowMs / limit }), sending),
      );
  }
}

async function sharedLimiter(databaseUrl: string): Promise<RateLimiter> {
  const { db } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 4 });
  return createSharedRateLimiter({ clock, rows: createBudgetRows(db), longestCallMs: 6_000 });
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

function byBucket(open: (bucket: Bucket) => Side): Side {
  const sides = new Map<string, Side>();
  return {
    ask(asked) {
      let side = sides.get(asked.bucket.key);
      if (!side) sides.set(asked.bucket.key, (side = open(asked.bucket)));
      side.ask(asked);
    },
    waiting: () => [...sides.values()].reduce((sum, side) => sum + side.waiting(), 0),
  };
}

function queued(limiter: RateLimiterMemory | RateLimiterPostgres, send: Send): Side {
  const queue = new RateLimiterQueue(limiter);
  let waiting = 0;
  return {
    ask({ id }) {
      waiting++;
      void queue.removeTokens(1).then(() => {
        waiting--;
        return send(id);
      });
    },
    waiting: () => waiting,
  };
}

function ofBottleneck(limiter: Bottleneck, send: Send): Side {
  return {
    ask: ({ id, priority }) =>
      void limiter.schedule({ priority: priority === 'interactive' ? 0 : 9 }, () => send(id)),
    waiting: () => limiter.queued(),
  };
}

/** Its own way of making the table fails where two processes start together. */
export async function flexibleTable(pool: pg.Pool): Promise<void> {
  await pool.query(
    'create table if not exists flexible (key varchar(255) primary key, points integer not null default 0, expire bigint)',
  );
}

export function flexiblePostgres(
  pool: { query: pg.Pool['query'] },
  limits: { keyPrefix: string; points: number; duration: number },
): RateLimiterPostgres {
  return new RateLimiterPostgres({
    ...{ storeClient: pool, storeType: 'pool', tableName: 'flexible', tableCreated: true },
    ...{ clearExpiredByTimeout: false, ...limits },
  });
}

function http(): Send {
  const dispatcher = new Agent({ pipelining: 1, keepAliveTimeout: 10_000 });
  return async (url) => {
    const { body } = await request(url, { dispatcher });
    await body.dump();
  };
}
