import Bottleneck from 'bottleneck';
import pThrottle from 'p-throttle';
import pg from 'pg';
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterQueue } from 'rate-limiter-flexible';
import type { Bucket } from '../../src/calls/caller.ts';
import { flexibleTable } from './postgres.ts';
import type { Send, Side } from './sides.ts';
import { createTokenBucket } from './tokenBucket.ts';

export const poolSize = 4;

export type ReferenceName =
  | 'token bucket'
  | 'rate-limiter-flexible'
  | 'rate-limiter-flexible, PostgreSQL'
  | 'p-throttle'
  | 'bottleneck'
  | 'bottleneck, minTime';

/** What one would take instead of ours, set up as its documentation says for such a limit. */
export function openReference(name: ReferenceName, send: Send, databaseUrl: string): Side {
  switch (name) {
    case 'token bucket':
      return byBucket(({ limit, windowMs }) => {
        const { take, waiting } = createTokenBucket(limit, windowMs);
        return { ask: ({ id }) => take(() => void send(id)), waiting };
      });
    case 'rate-limiter-flexible':
      return byBucket(({ limit, windowMs }) =>
        queued(new RateLimiterMemory({ points: limit, duration: windowMs / 1_000 }), send),
      );
    case 'rate-limiter-flexible, PostgreSQL': {
      const { open, statements } = openFlexible(databaseUrl);
      return { ...byBucket((bucket) => queued(open(bucket.key, bucket), send)), statements };
    }
    case 'p-throttle':
      return byBucket(({ limit, windowMs }) => {
        const throttled = pThrottle({ limit, interval: windowMs, strict: true })(send);
        return { ask: ({ id }) => void throttled(id), waiting: () => throttled.queueSize };
      });
    case 'bottleneck':
      return byBucket(({ limit, windowMs }) => ofBottleneck(openReservoir(limit, windowMs), send));
    case 'bottleneck, minTime':
      return byBucket(({ limit, windowMs }) =>
        ofBottleneck(new Bottleneck({ minTime: windowMs / limit }), send),
      );
  }
}

export function openReservoir(limit: number, windowMs: number): Bottleneck {
  return new Bottleneck({
    reservoir: limit,
    reservoirRefreshAmount: limit,
    reservoirRefreshInterval: windowMs,
  });
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

/** rate-limiter-flexible on PostgreSQL, with a pool of its own. */
export function openFlexible(databaseUrl: string) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: poolSize });
  let statements = 0;
  const storeClient = {
    query(text: unknown): unknown {
      statements++;
      return pool.query(text as pg.QueryConfig);
    },
  };
  const open = (keyPrefix: string, { limit, windowMs }: Omit<Bucket, 'key'>) =>
    new RateLimiterPostgres({
      ...{ storeClient, storeType: 'pool', tableName: flexibleTable, tableCreated: true },
      ...{ clearExpiredByTimeout: false, keyPrefix, points: limit, duration: windowMs / 1_000 },
    });
  return { open, statements: () => statements };
}
