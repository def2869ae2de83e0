import type { Kysely } from 'kysely';
import { createBackground } from '../background.ts';
import type { Caller } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import { findConnections, type Connection } from '../connections/connection.ts';
import type { Health } from '../connections/states.ts';
import type { Listener } from '../db/notifications.ts';
import { toStored } from '../db/problems.ts';
import type { StoredNotice, Tables } from '../db/tables.ts';
import { createWakeups } from '../db/wakeups.ts';
import {
  IntegrationError,
  problem,
  problemOf,
  type IntegrationProblem,
  type ProblemCode,
} from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import { isAnnounced } from '../providers/provider.ts';
import { applyChanges, type AppliedChange, type RecordChange, type StatusColumns } from '../sync/changes.ts';
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
import { readTogether, type RecordRef, type Verdicts } from '../sync/recordReads.ts';

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
/** All reads of a batch; well within the lease. */
const readWithinMs = 10_000;

const mostAttempts = 5;
/** What trying again cannot mend is given up soon. */
const pausesMs = [1_000, 2_000, 4_000, 8_000];
/** 24 minutes in all: where calls are few no breaker opens, and a short outage is not to end what it befalls. */
const outagePausesMs = [5_000, 30_000, 180_000, 1_200_000];
/** A record that was announced and is not there: twice, its provider may be behind itself. */
const lookAgain = 2;

/** Nothing of them is the delivery's fault. */
const blameless: ReadonlySet<ProblemCode> = new Set([
  'RATE_LIMITED',
  'QUEUE_FULL',
  'CIRCUIT_OPEN',
  'REAUTHORIZATION_REQUIRED',
  'NOT_CONNECTED',
  'NOT_CONFIGURED',
]);

/** Between the time of a change and that of its notice. */
const sameTimeMs = 2_000;

type RecordNotice = Extract<StoredNotice, { kind: 'record' }>;

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
  const wakeups = createWakeups(clock);
  const stopping = new AbortController();
  const busy = new Set<Promise<void>>();
  /** The leases of what is being worked off. */
  const held = new Set<string>();
  const now = () => new Date(clock.now());

  const failed = (
    delivery: WaitingDelivery,
    cause: IntegrationProblem,
    integrationId: string,
    wasSent = true,
  ): Outcome => {
    // That there was no time left to ask at all is the fault of those before it in line.
    const isBlameless = blameless.has(cause.code) || (cause.code === 'DEADLINE_EXCEEDED' && !wasSent);
    const counts = !isBlameless && !(cause.retryable && caller.breakerState(integrationId) !== 'closed');
    const attempts = delivery.attempts + (counts ? 1 : 0);
    const isDead = counts && attempts >= mostAttempts;
    const pauses = cause.retryable ? outagePausesMs : pausesMs;
    const pauseMs = pauses[Math.min(delivery.attempts, pauses.length - 1)]!;
    const waitMs = Math.max(pauseMs * (0.75 + clock.random() / 2), (cause.retryAfterSeconds ?? 0) * 1_000);
    return {
      id: delivery.id,
      status: isDead ? 'DEAD' : 'FAILED',
      attempts,
      nextAttemptAt: isDead ? null : new Date(clock.now() + waitMs),
      problem: toStored(cause),
    };
  };
  const done = (delivery: WaitingDelivery): Outcome => ({
    id: delivery.id,
    status: 'PROCESSED',
    attempts: delivery.attempts + 1,
    nextAttemptAt: null,
    problem: null,
  });

  /** The provider has ended the authorization: what was said of an earlier one, or of other people's, is nothing to this. */
  const revoke = async (connection: Connection, delivery: WaitingDelivery) => {
    const { notice } = delivery;
    if (notice.kind !== 'revoked' || delivery.generation !== connection.generation) return;
    const before = notice.occurredAt !== null && connection.connectedAt !== null;
    if (
      before &&
      Date.parse(notice.occurredAt!) < Math.floor(connection.connectedAt!.getTime() / 1_000) * 1_000
    )
      return;
    if (notice.users !== null && !(await actsAs(connection, notice.users))) return;
    const { name } = catalog.find(connection.integrationId)!.provider;
    const cause = problem('REAUTHORIZATION_REQUIRED', `The authorization was ended in ${name}.`, now());
    await health.demote(connection, cause, 'WEBHOOK');
  };
  const actsAs = async ({ accountId, id }: Connection, users: readonly string[]) => {
    const row = await forAccount(accountId)
      .selectFrom('oauth_tokens')
      .select('external_user_id')
      .where('account_id', '=', accountId)
      .where('connection_id', '=', id)
      .executeTakeFirst();
    const user = row?.external_user_id;
    return users.length > 0 && (user === null || user === undefined || users.includes(user));
  };

  /** What one batch of a connection comes to. Reads from the provider; writes nothing. */
  const workOff = async (connection: Connection, deliveries: readonly WaitingDelivery[]) => {
    const { provider } = catalog.find(connection.integrationId)!;
    const outcomes = new Map(deliveries.map((delivery) => [delivery.id, done(delivery)]));
    const changes: RecordChange[] = [];
    /** Resources of which only a poll can tell. */
    const toPoll = new Set<string>();

    const about = new Map<string, { delivery: WaitingDelivery; notice: RecordNotice }[]>();
    for (const delivery of deliveries) {
      const { notice } = delivery;
      if (notice.kind === 'revoked') await revoke(connection, delivery);
      else if (notice.kind === 'missed') for (const resource of provider.resources) toPoll.add(resource);
      else {
        const key = JSON.stringify([notice.resource, notice.externalId]);
        const own = about.get(key);
        if (own) own.push({ delivery, notice });
        else about.set(key, [{ delivery, notice }]);
      }
    }

    const reads: (RecordRef & { told: { delivery: WaitingDelivery; notice: RecordNotice }[] })[] = [];
    for (const told of about.values()) {
      const { resource, externalId } = told[0]!.notice;
      const last = told.reduce((a, b) => (timeOf(b.notice) >= timeOf(a.notice) ? b : a));
      if (last.notice.change === 'DELETED')
        changes.push({
          ...{
            resource,
            externalId,
            snapshot: null,
            announced: true,
            fetchedAt: now(),
            webhook: 'announced',
          },
          deletedAt: last.notice.occurredAt === null ? null : new Date(last.notice.occurredAt),
        });
      else if (provider.records.only && !provider.records.only.includes(resource)) toPoll.add(resource);
      else reads.push({ resource, externalId, told });
    }

    const verdicts: Verdicts = await readTogether(provider, reads, (resource, ids) =>
      api.records(connection, resource, ids, {
        deadlineAtMs: clock.now() + readWithinMs,
        priority: 'webhook',
        signal: stopping.signal,
      }),
    );
    // What we cut off ourselves says nothing of any delivery.
    stopping.signal.throwIfAborted();
    const fetchedAt = now();
    for (const { told, ...ref } of reads) {
      const verdict = verdicts.get(ref);
      const fail = (cause: IntegrationProblem, wasSent?: boolean) => {
        for (const { delivery } of told)
          outcomes.set(delivery.id, failed(delivery, cause, connection.integrationId, wasSent));
      };
      if ('failure' in verdict)
        fail(
          problemOf(verdict.failure),
          verdict.failure instanceof IntegrationError ? verdict.failure.sent : true,
        );
      else if (verdict.snapshot === null && told.some(({ delivery }) => delivery.attempts < lookAgain))
        fail(problem('NOT_FOUND', 'The provider announced a record that it does not have.', fetchedAt));
      else {
        const { snapshot } = verdict;
        // A late notice of an earlier version does not announce this one.
        const said = Math.max(
          ...told.map(({ notice }) => (notice.occurredAt === null ? Infinity : timeOf(notice))),
        );
        const isIt = (snapshot?.updatedAt?.getTime() ?? 0) <= said + sameTimeMs;
        changes.push({
          ...ref,
          snapshot,
          fetchedAt,
          announced: true,
          ...(isIt && { webhook: 'announced' as const }),
        });
      }
    }
    return { outcomes, changes, toPoll, about };
  };

  /** Answers whether the queue is still ours. */
  const workBatch = async (queue: ClaimedQueue, deliveries: readonly WaitingDelivery[]): Promise<boolean> => {
    const { accountId, connectionId } = queue;
    const account = forAccount(accountId);
    const connection = (await findConnections(account, clock, accountId, [connectionId])).get(connectionId);
    const known = connection && catalog.find(connection.integrationId);
    const store = (outcomes: readonly Outcome[], rest?: Parameters<typeof commit>[3]) =>
      commit(queue, outcomes, connection, rest);
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
    const { outcomes, changes, toPoll, about } = await workOff(connection, deliveries);
    const resources = [...about.values()].map((told) => told[0]!.notice.resource);
    // Before what made it necessary is settled: done twice, it does no harm.
    if (toPoll.size > 0) await hastenRounds(account, connection, [...toPoll], now());
    const kept = await store([...outcomes.values()], {
      changes,
      resources: [...new Set(resources)],
      unstorable(refs) {
        const cause = problem('VALIDATION_FAILED', 'The record is too large to be stored.', now(), {
          actor: 'PROVIDER',
        });
        return refs.flatMap(({ resource, externalId }) =>
          (about.get(JSON.stringify([resource, externalId])) ?? []).map(({ delivery }) => ({
            ...failed(delivery, cause, connection.integrationId),
            status: 'DEAD' as const,
            nextAttemptAt: null,
          })),
        );
      },
    });
    for (const { id, received_at: receivedAt } of kept ? deliveries : [])
      if (outcomes.get(id)?.status === 'PROCESSED')
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

  const takeQueues = async (): Promise<boolean> => {
    const free = concurrency - busy.size;
    // From before the look, which may just miss what is news during it. `stop` is news, too.
    const news = wakeups.wait('', lookEveryMs * (0.75 + clock.random() / 2));
    const claimed = free > 0 ? await claimQueues(db, free, now()) : [];
    for (const queue of claimed) {
      held.add(queue.lease);
      const work = workQueue(queue)
        .catch((error: unknown) => log.warn({ err: error }, 'a queue of deliveries could not be released'))
        .finally(() => {
          busy.delete(work);
          held.delete(queue.lease);
          wakeups.wake('');
        });
      busy.add(work);
    }
    if (claimed.length < free || free <= 0) await news;
    return true;
  };

  const onError = (error: unknown) => log.warn({ err: error }, 'deliveries cannot be looked for');
  const rounds = [
    createBackground(clock, lookEveryMs, takeQueues, onError),
    createBackground(
      clock,
      renewEveryMs,
      async () => {
        if (held.size > 0) await renewLeases(db, [...held]);
        return false;
      },
      onError,
    ),
    createBackground(clock, claimEveryMs, async () => (await claimUnclaimed(db)) > 0, onError),
    createBackground(clock, pruneEveryMs, () => pruneDeliveries(db, now()), onError),
  ];
  const look = () => wakeups.wake('');
  return {
    queued: { notified: look, connected: look },
    start() {
      for (const round of rounds) round.start();
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      look();
      await Promise.all(rounds.map((round) => round.stop()));
      await Promise.all(busy);
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

const timeOf = ({ occurredAt }: StoredNotice) => (occurredAt === null ? 0 : Date.parse(occurredAt));
