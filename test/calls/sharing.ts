import { createBudgetRows, budgetChannel } from '../../src/calls/budgetRows.ts';
import { createCaller, type Bucket, type Priority } from '../../src/calls/caller.ts';
import { createSharedRateLimiter } from '../../src/calls/sharedRateLimit.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { openNotifications } from '../../src/db/notifications.ts';
import { IntegrationError } from '../../src/errors.ts';

/** What one attempt is answered: a status, and headers. */
export type Answer = (bucket: Bucket) => { status: number; headers?: Record<string, string> } | undefined;

export interface Sharer {
  /** One call, to its end. */
  call(bucket: Bucket, manner: { priority?: Priority; deadlineMs: number }): Promise<Ended>;
  /** Ten times what the limit allows, spread over `ms`; each with a second's time. */
  overload(bucket: Bucket, ms: number, times?: number): Promise<Ended[]>;
  /** When attempts arrived, by the time of day. */
  arrivals: { key: string; at: number }[];
  statements(): number;
  troubles: unknown[];
  close(): Promise<void>;
}
export interface Ended {
  code: string;
  tookMs: number;
}

/** The time of day, finer than in milliseconds and the same in all processes of a machine. */
export const timeOfDay = () => performance.timeOrigin + performance.now();

/**
 * One process's caller, limiter, pool and line for notifications, as `main` puts them together. Attempts arrive at once
 * and are answered after some milliseconds.
 */
export async function openSharer(
  databaseUrl: string,
  options: {
    notified?: boolean;
    answer?: Answer;
    onArrival?: (key: string, at: number) => void;
    poolSize?: number;
  } = {},
): Promise<Sharer> {
  const { notified = true, answer = () => undefined, onArrival, poolSize = 4 } = options;
  let statements = 0;
  const database = await openDatabase({ databaseUrl, dataDir: '', poolSize, onQuery: () => statements++ });
  const troubles: unknown[] = [];
  const limiter = createSharedRateLimiter({
    clock,
    rows: createBudgetRows(database.db),
    longestCallMs: 2_000,
    onTrouble: (error) => troubles.push(error),
  });
  const notifications = notified ? openNotifications({ databaseUrl, clock }) : undefined;
  notifications?.listen(budgetChannel, { notified: (key) => limiter.changed(key) });
  const arrivals: Sharer['arrivals'] = [];
  const asked = new Map<string, Bucket>();
  const caller = createCaller({
    ...{ clock, limiter, requestTimeoutMs: 1_000 },
    retry: { baseMs: 50, capMs: 100, attempts: 1 },
    queue: { perBucket: 5_000, total: 20_000 },
    attempt: {
      async send({ url }, _signal, onSent) {
        onSent();
        const at = timeOfDay();
        arrivals.push({ key: url, at });
        onArrival?.(url, at);
        await clock.sleep(2 + 6 * clock.random());
        const { status = 200, headers = {} } = answer(asked.get(url)!) ?? {};
        return { kind: 'answered', response: { status, headers, body: '' } };
      },
      close: () => Promise.resolve(),
    },
  });
  const listOf = new Map<string, readonly Bucket[]>();

  const sharer: Sharer = {
    async call(bucket, { priority = 'poll', deadlineMs }) {
      asked.set(bucket.key, bucket);
      let buckets = listOf.get(bucket.key);
      if (!buckets) listOf.set(bucket.key, (buckets = [bucket]));
      const startedAt = clock.monotonic();
      const code = await caller
        .call({
          ...{ integration: 'x', host: 'x', buckets, priority, idempotent: true },
          deadlineAtMs: clock.now() + deadlineMs,
          request: () => Promise.resolve({ method: 'GET', url: bucket.key, headers: {} }),
          classify: ({ status }) =>
            status === 429 ? { code: 'RATE_LIMITED', message: 'Too many calls.' } : undefined,
        })
        .then(
          () => 'OK',
          (error: unknown) => {
            if (error instanceof IntegrationError) return error.code;
            throw error;
          },
        );
      return { code, tookMs: clock.monotonic() - startedAt };
    },
    async overload(bucket, ms, times = 10) {
      const ended: Promise<Ended>[] = [];
      const startedAt = clock.monotonic();
      for (let passed = 0; passed < ms; passed = clock.monotonic() - startedAt) {
        const due = (passed / bucket.windowMs) * bucket.limit * times;
        while (ended.length <= due) ended.push(sharer.call(bucket, { deadlineMs: 1_000 }));
        await clock.sleep(10);
      }
      return Promise.all(ended);
    },
    arrivals,
    statements: () => statements,
    troubles,
    async close() {
      await caller.close();
      await notifications?.close();
      await database.close();
    },
  };
  return sharer;
}
