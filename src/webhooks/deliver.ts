import type { Kysely } from 'kysely';
import { createBackground } from '../background.ts';
import type { Caller } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import { findConnections, type Connection } from '../connections/connection.ts';
import type { Health } from '../connections/states.ts';
import { createLeasedWork } from '../db/leasedWork.ts';
import type { Listener } from '../db/notifications.ts';
import type { Tables } from '../db/tables.ts';
import { problem } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import { isAnnounced } from '../providers/provider.ts';
import { applyChanges, type AppliedChange, type RecordChange, type StatusColumns } from '../sync/changes.ts';
import { refKey, type RecordRef } from '../sync/recordReads.ts';
import { hastenRounds } from '../sync/rounds.ts';
import {
  claimQueues,
  claimUnclaimed,
  listWaiting,
  pruneDeliveries,
  releaseQueue,
  renewEveryMs,
  renewLease,
  renewLeases,
  storeOutcomes,
  type ClaimedQueue,
  type Outcome,
  type WaitingDelivery,
} from './deliveryRows.ts';
import { createOutcomes } from './outcomes.ts';
import { createWorkOff } from './workOff.ts';

/**
 * Works stored deliveries off. A connection's are taken in the order of their arrival by one worker at a time, which
 * holds a lease on them; connections go side by side, in any number of processes. Of one batch,
 *
 *   records that were announced are read together (a notice is a hint: the provider knows the record),
 *   what was read, what is gone, and what became of each delivery commit in one transaction, under the lease.
 *
 *   RECEIVED --done--> PROCESSED
 *   RECEIVED, FAILED --failed, and it may pass--> FAILED, tried again after a while
 *   FAILED --failed for the last time--> DEAD, which only a redrive changes
 *
 * What says nothing against the delivery (a limit, an open breaker, a connection that has to be authorized again) counts
 * as no attempt. A delivery that fails keeps nobody waiting: those behind it are worked off, and since the newer version
 * of a record wins, their order does not matter to it.
 */
export interface Deliveries {
  start(): void;
  /** Gives the batches under way up to their next commit. */
  stop(): Promise<void>;
  /** For the channel `deliveryChannel`. */
  queued: Listener;
}

/** Connections at one time in this process. */
const concurrency = 16;
const batchSize = 100;
/** Then the others get their turn. */
const batchesInARow = 10;
const lookEveryMs = 1_000;
const claimEveryMs = 5_000;
const pruneEveryMs = 600_000;
const troubles = {
  claim: 'deliveries cannot be looked for',
  renew: 'the leases of deliveries cannot be renewed',
  work: 'a queue of deliveries could not be released',
};

export function createDeliveries(deps: {
  /** Past all walls: looks for work in all accounts. */
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  caller: Pick<Caller, 'breakerState'>;
  api: ConnectionApi;
  health: Pick<Health, 'demote'>;
  clock: Clock;
  log: Log;
  /** From the arrival of a delivery to its end. */
  onProcessed?: (integrationId: string, lagSeconds: number) => void;
  /** How old the changes were when they were applied. */
  onApplied?: (integrationId: string, news: readonly AppliedChange[]) => void;
}): Deliveries {
  const { db, forAccount, catalog, caller, api, health, clock, log } = deps;
  const stopping = new AbortController();
  const now = () => new Date(clock.now());
  const outcomes = createOutcomes(clock, caller);
  const { done, failed } = outcomes;
  const workOff = createWorkOff({ forAccount, catalog, api, health, outcomes, clock });

  /** Answers whether the queue is still ours. */
  const workBatch = async (queue: ClaimedQueue, deliveries: readonly WaitingDelivery[]): Promise<boolean> => {
    const { accountId, connectionId } = queue;
    const account = forAccount(accountId);
    const connection = (await findConnections(account, clock, accountId, [connectionId])).get(connectionId);
    const known = connection && catalog.find(connection.integrationId);
    const store = (results: readonly Outcome[], rest?: Parameters<typeof commit>[3]) =>
      commit(queue, results, connection, rest);
    if (!connection || connection.status === 'DISCONNECTED') return store(deliveries.map(done));
    if (connection.status !== 'ACTIVE' || !known) {
      const code = known ? 'REAUTHORIZATION_REQUIRED' : 'NOT_CONFIGURED';
      const cause = (waitingMs: number) =>
        problem(code, 'The connection cannot be used at present.', now(), {
          // A tenth of their time, so that those who wait for weeks are not looked at every minute.
          retryAfterSeconds: Math.min(3_600, Math.max(60, Math.round(waitingMs / 10_000))),
        });
      return store(
        deliveries.map((delivery) =>
          failed(delivery, cause(clock.now() - delivery.received_at.getTime()), connection.integrationId),
        ),
      );
    }
    const batch = await workOff(connection, deliveries, stopping.signal);
    const { changes, toPoll, about } = batch;
    const resources = [...about.values()].map((told) => told[0]!.notice.resource);
    // Before what made it necessary is settled: done twice, it does no harm.
    if (toPoll.size > 0) await hastenRounds(account, connection, [...toPoll], now());
    const kept = await store([...batch.outcomes.values()], {
      changes,
      resources: [...new Set(resources)],
      unstorable(refs) {
        const cause = problem('VALIDATION_FAILED', 'The record is too large to be stored.', now(), {
          actor: 'PROVIDER',
        });
        return refs.flatMap((ref) =>
          (about.get(refKey(ref)) ?? []).map(({ delivery }) => ({
            ...failed(delivery, cause, connection.integrationId),
            status: 'DEAD' as const,
            nextAttemptAt: null,
          })),
        );
      },
    });
    for (const { id, received_at: receivedAt } of kept ? deliveries : [])
      if (batch.outcomes.get(id)?.status === 'PROCESSED')
        deps.onProcessed?.(connection.integrationId, (clock.now() - receivedAt.getTime()) / 1_000);
    return kept;
  };

  /** A batch that fails as a whole, for a defect of ours or because of what is in it, is worked off one by one. */
  const workApart = async (queue: ClaimedQueue, batch: readonly WaitingDelivery[]): Promise<boolean> => {
    try {
      return await workBatch(queue, batch);
    } catch (error) {
      if (stopping.signal.aborted || isPassing(error)) throw error;
      log.error(
        { err: error, connectionId: queue.connectionId, deliveries: batch.length },
        'deliveries failed',
      );
      if (batch.length === 1) {
        const cause = problem('PROVIDER_ERROR', 'The delivery could not be worked off.', now(), {
          actor: 'OPERATOR',
        });
        return commit(queue, [failed(batch[0]!, cause, '')], undefined);
      }
    }
    for (const delivery of batch) if (!(await workApart(queue, [delivery]))) return false;
    return true;
  };

  const heardOf = ({ integrationId }: Connection, resources: readonly string[]) => {
    const { provider } = catalog.find(integrationId)!;
    return Object.fromEntries(
      resources.map((resource): [string, StatusColumns] => [
        resource,
        {
          last_webhook_at: now().toISOString(),
          ...(isAnnounced(provider, resource) && { delivery: 'WEBHOOK' }),
        },
      ]),
    );
  };
  const commit = (
    queue: ClaimedQueue,
    outcomes: readonly Outcome[],
    connection: Connection | undefined,
    rest?: {
      changes: readonly RecordChange[];
      resources: readonly string[];
      unstorable(refs: readonly RecordRef[]): Outcome[];
    },
  ): Promise<boolean> =>
    forAccount(queue.accountId)
      .transaction()
      .execute(async (trx) => {
        if (!(await renewLease(trx, queue))) return false;
        await storeOutcomes(trx, queue.accountId, outcomes, now());
        if (!connection || !rest) return true;
        const { news, unstorable } = await applyChanges(
          trx,
          queue.accountId,
          [{ connection, changes: rest.changes }],
          'WEBHOOK',
          clock,
          { connectionId: connection.id, columns: heardOf(connection, rest.resources) },
        );
        deps.onApplied?.(connection.integrationId, news);
        if (unstorable.length > 0)
          await storeOutcomes(trx, queue.accountId, rest.unstorable(unstorable), now());
        return true;
      });

  const workQueue = async (queue: ClaimedQueue): Promise<void> => {
    try {
      for (let round = 0; round < batchesInARow && !stopping.signal.aborted; round++) {
        const waiting = await listWaiting(forAccount(queue.accountId), queue, now(), batchSize);
        if (waiting.length === 0) break;
        // Those that failed before go by themselves, and last: what makes them fail may take its time.
        const [fresh, again] = [true, false].map((isFirst) =>
          waiting.filter((delivery) => (delivery.attempts === 0) === isFirst),
        );
        for (const batch of [fresh!, again!])
          if (batch.length > 0 && !(await workApart(queue, batch))) return;
        if (waiting.length < batchSize) break;
      }
    } catch (error) {
      if (!stopping.signal.aborted)
        log.warn({ err: error, connectionId: queue.connectionId }, 'deliveries could not be worked off');
      // Not at once: what stopped this one may stop the next.
      await clock.sleep(lookEveryMs, stopping.signal).catch(() => undefined);
    }
    await releaseQueue(db, queue, now());
  };

  const queues = createLeasedWork<ClaimedQueue>(clock, {
    ...{ concurrency, lookEveryMs, renewEveryMs },
    claim: (count) => claimQueues(db, count, now()),
    renew: (leases) => renewLeases(db, leases),
    work: workQueue,
    onError: (error, during, queue) =>
      log.warn({ err: error, ...(queue && { connectionId: queue.connectionId }) }, troubles[during]),
  });
  const onError = (error: unknown) => log.warn({ err: error }, 'deliveries cannot be handed over or pruned');
  const rounds = [
    createBackground(clock, claimEveryMs, async () => (await claimUnclaimed(db)) > 0, onError),
    createBackground(clock, pruneEveryMs, () => pruneDeliveries(db, now()), onError),
  ];
  return {
    queued: queues.news,
    start() {
      queues.start();
      for (const round of rounds) round.start();
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await Promise.all([queues, ...rounds].map((work) => work.stop()));
    },
  };
}

/** Of the database, which is away or too busy: nothing is wrong with what it was given. */
function isPassing(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  // Of SQLSTATEs, those that tell of the server, of others' work and of too little time: 08, 40, 53, 55, 57, 58.
  const isState = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E');
  const isRefused = isState && !/^(?:08|40|5[3578])/.test(code);
  const isDefect = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  return !isRefused && !isDefect;
}
