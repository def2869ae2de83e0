import type { Kysely } from 'kysely';
import { fromKysely, PgBoss, type JobWithMetadata } from 'pg-boss';
import type { Database } from './database.ts';
import { bossOptions, heartbeatSeconds } from './jobBackend.ts';
import type { Tables } from './tables.ts';

/**
 * Work that must happen after a commit, even if this process does not live to do it. A job is a row, written by the
 * transaction that needs it, so it runs if and only if that commits. It runs at least once: a process that dies with
 * a job leaves it to be tried again, so a handler must bear being run twice.
 */
export interface Jobs {
  /** Within `trx`. The queue must have been declared to `openJobs`. `data` is stored as JSON: no secrets. */
  send(trx: Kysely<Tables>, queue: string, data: object, options?: SendOptions): Promise<void>;
  /**
   * Starts to run a queue's jobs here, until `stop`. A handler that throws is tried again as the queue says, and its
   * error goes to `onError`; its `signal` aborts when the queue's time is up or `stop` has waited long enough.
   */
  work<Data extends object>(
    queue: string,
    options: WorkOptions,
    handler: (data: Data, signal: AbortSignal) => Promise<void>,
  ): Promise<void>;
  /** Takes no more jobs, gives running ones 4 s and returns the rest to their queues. Before the database's `close`. */
  stop(): Promise<void>;
}

export interface SendOptions {
  /** Not before this time. */
  startAfter?: Date;
  /** A UUID; a second job with the same one is not stored. */
  id?: string;
}

export interface WorkOptions {
  /** Jobs at one time in this process. They are fetched as a batch: the next one waits for the slowest of it. */
  concurrency: number;
}

export interface QueueOptions {
  /** Pauses double from the first to the longest, with jitter; after `forSeconds` in all the job stays failed. */
  retry: { forSeconds: number; firstDelaySeconds: number; longestDelaySeconds: number };
  /** One try, counted from the moment its batch was fetched. */
  timeoutSeconds: number;
  /**
   * PostgreSQL only: wake workers at the commit instead of at their next look (every 2 s). Each sending transaction
   * then takes a database-wide lock at its commit, so not for queues with hundreds of transactions per second.
   * The embedded database always wakes them, which costs it nothing.
   */
  notify: boolean;
}

/** Outlasts a long outage of the other side: what a token revocation needs. */
export const untilDone: QueueOptions = {
  retry: { forSeconds: 30 * 86_400, firstDelaySeconds: 5, longestDelaySeconds: 3_600 },
  timeoutSeconds: 60,
  notify: false,
};

const stopTimeoutMs = 4_000;
/** One look costs the embedded database 2 ms of this thread. Due retries are found by looking only. */
const lookEverySeconds = 2;

/**
 * Any number of processes may start at once. Installs nothing that `migrate` has installed.
 * @param queues every queue that this process sends to or works; their options are brought up to date
 * @param onError trouble with the database in the background, and every failed try of a job
 */
export async function openJobs(
  database: Database,
  { queues, onError }: { queues: Record<string, QueueOptions>; onError: (error: Error) => void },
): Promise<Jobs> {
  const boss = new PgBoss({ ...bossOptions(database), useListenNotify: true });
  boss.on('error', (error) => onError(asError(error)));
  boss.on('warning', (warning) => onError(new Error(`job queue: ${warning.message}`)));
  await boss.start();
  try {
    await declare(boss, database, queues);
  } catch (error) {
    await boss.stop({ graceful: false });
    throw error;
  }

  const requireDeclared = (queue: string) => {
    // Asked for an unknown queue, pg-boss looks it up outside the transaction: embedded, that never ends.
    if (!Object.hasOwn(queues, queue)) throw new Error(`Queue ${queue} was not declared to openJobs`);
  };
  return {
    send: async (trx, queue, data, options = {}) => {
      requireDeclared(queue);
      await boss.send(queue, data, { ...options, db: fromKysely(trx) });
    },
    work: async (queue, { concurrency }, handler) => {
      requireDeclared(queue);
      // Only a batch of two or more can be full, and only a full one is followed by the next without a pause.
      const batchSize = Math.max(2, concurrency);
      const options = {
        batchSize,
        burstWhenBatchFull: true,
        perJobResults: true,
        includeMetadata: true,
        pollingIntervalSeconds: lookEverySeconds,
        notifyPollingIntervalSeconds: lookEverySeconds,
      } as const;
      type Data = Parameters<typeof handler>[0];
      await boss.work<Data, void, typeof options>(queue, options, async (batch) => {
        const waiting = [...batch];
        const results: Awaited<ReturnType<typeof runOne<Data>>>[] = [];
        const lane = async () => {
          for (let job = waiting.shift(); job; job = waiting.shift())
            results.push(await runOne(job, handler, onError));
        };
        await Promise.all(Array.from({ length: concurrency }, lane));
        return results;
      });
    },
    stop: () => boss.stop({ graceful: true, timeout: stopTimeoutMs }),
  };
}

/** Brings the queue's own tables up to date, where `migrate` is called. */
export async function installJobs(database: Database): Promise<void> {
  const boss = new PgBoss({ ...bossOptions(database), supervise: false });
  const errors: Error[] = [];
  boss.on('error', (error) => errors.push(asError(error)));
  try {
    await boss.start();
  } finally {
    await boss.stop({ graceful: false });
  }
  if (errors[0]) throw errors[0];
}

/** The error is stored with the job: its text only, for a whole one may hold a request with its secrets. */
async function runOne<Data extends object>(
  job: JobWithMetadata<Data>,
  handler: (data: Data, signal: AbortSignal) => Promise<void>,
  onError: (error: Error) => void,
) {
  try {
    await handler(job.data, job.signal);
    return { id: job.id, status: 'completed' as const };
  } catch (error) {
    const { message } = asError(error);
    const tries = `try ${job.retryCount + 1} of ${job.retryLimit + 1}`;
    onError(new Error(`Job ${job.id} of ${job.name} failed (${tries}): ${message}`, { cause: error }));
    return { id: job.id, status: 'failed' as const, output: { message: message.slice(0, 1_000) } };
  }
}

async function declare(
  boss: PgBoss,
  database: Database,
  queues: Record<string, QueueOptions>,
): Promise<void> {
  const existing = new Map((await boss.getQueues()).map((queue) => [queue.name, queue]));
  for (const [name, options] of Object.entries(queues)) {
    const wanted = bossQueue(options, database.kind);
    const found = existing.get(name);
    if (!found) await boss.createQueue(name, wanted);
    // A process that came first may have made it with other options.
    const now = found ?? (await boss.getQueue(name));
    const differs = Object.entries(wanted).some(
      ([key, value]) => now?.[key as keyof typeof wanted] !== value,
    );
    if (differs) await boss.updateQueue(name, wanted);
  }
}

function bossQueue({ retry, timeoutSeconds, notify }: QueueOptions, kind: Database['kind']) {
  return {
    retryLimit: retriesWithin(retry),
    retryDelay: retry.firstDelaySeconds,
    retryDelayMax: retry.longestDelaySeconds,
    retryBackoff: true,
    expireInSeconds: timeoutSeconds,
    heartbeatSeconds,
    // pg-boss deletes a waiting job this long after it was sent, however many tries are left.
    retentionSeconds: Math.max(retry.forSeconds * 2, 14 * 86_400),
    notify: notify || kind === 'embedded',
  };
}

/** pg-boss draws the n-th pause between half of `first * 2^n` and all of it. */
function retriesWithin({
  forSeconds,
  firstDelaySeconds,
  longestDelaySeconds,
}: QueueOptions['retry']): number {
  let retries = 0;
  for (let seconds = 0; seconds < forSeconds; retries++)
    seconds += Math.min(longestDelaySeconds, 0.75 * firstDelaySeconds * 2 ** Math.min(retries, 16));
  return retries;
}

/** pg-boss reports some errors as plain objects. */
function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  const { message } = error as { message?: unknown };
  return new Error(typeof message === 'string' ? message : String(error));
}
