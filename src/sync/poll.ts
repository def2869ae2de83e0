import type { Kysely, Transaction } from 'kysely';
import { createBackground } from '../background.ts';
import type { Priority } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import { findConnections, type Connection } from '../connections/connection.ts';
import type { Listener } from '../db/notifications.ts';
import { toStoredProblem } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import { createWakeups } from '../db/wakeups.ts';
import { IntegrationError, problem, type IntegrationProblem } from '../errors.ts';
import { appendEvents, type SyncEventKind } from '../events/events.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ChangeReads } from '../providers/changes.ts';
import { isAnnounced } from '../providers/provider.ts';
import { applyChanges, type AppliedChange, type StatusColumns } from './changes.ts';
import { createPageReader } from './pageChanges.ts';
import {
  claimRounds,
  countMissed,
  renewEveryMs,
  renewRounds,
  roundChannel,
  stepRound,
  type ClaimedRound,
  type Round,
  type RoundStep,
} from './rounds.ts';
import { nextCursor, pollDelayMs, retryDelayMs } from './schedule.ts';

export { roundChannel };

/**
 * Polling: the first reading of everything, the safety net behind webhooks, and what somebody asks for. A round is read
 * page by page. What a page brought, how far the round has come, the status and the events commit together, under a
 * lease; the cursor moves with the last page alone. It is the provider's time of the first page, less an overlap:
 * what changes during the round, or shows late, is read by the next.
 *
 * When the next round is due: see `schedule.ts`.
 */
export interface Polling {
  start(): void;
  /** Gives the rounds under way up to their next page. */
  stop(): Promise<void>;
  /** For the channel `roundChannel`. */
  due: Listener;
}

/** Rounds at one time in this process. */
const concurrency = 16;
/** Then others get their turn. */
const pagesInARow = 20;
const lookEveryMs = 1_000;
const pageWithinMs = 60_000;
/** Where neither the provider's answer nor its `Date` says when it was given: how far our clocks may be apart. */
const clocksApartMs = 600_000;
const distrustedPolls = 3;
const progressEveryMs = 2_000;
/** A record that cannot be read holds up its round so many times; then it is left out. */
const patientFailures = 3;

export function createPolling(deps: {
  /** Past all walls: looks for what is due in all accounts. */
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  api: ConnectionApi;
  intervalMs: number;
  clock: Clock;
  log: Log;
  /** How old the changes were when they were applied. */
  onApplied?: (integrationId: string, news: readonly AppliedChange[]) => void;
  onMissed?: (integrationId: string, count: number) => void;
}): Polling {
  const { db, forAccount, catalog, api, intervalMs, clock, log } = deps;
  const wakeups = createWakeups(clock);
  const changesIn = createPageReader(deps);
  const stopping = new AbortController();
  const busy = new Set<Promise<void>>();
  /** The leases of what is being worked on. */
  const held = new Set<string>();
  const now = () => new Date(clock.now());
  const inMs = (ms: number) => new Date(clock.now() + ms);
  /** A webhook may come after the poll that found its change: by so much. */
  const webhookPatienceMs = Math.min(300_000, 2 * intervalMs);

  const beginning = (claimed: ClaimedRound, connection: Connection, reads: ChangeReads): Round => {
    const startedAt = now();
    const { cursor, requested } = claimed;
    const isTooOld =
      cursor !== null &&
      reads.lookBackMs !== undefined &&
      startedAt.getTime() - cursor.getTime() > reads.lookBackMs;
    const since = requested === 'FULL' || isTooOld ? null : cursor;
    return {
      since: since?.toISOString() ?? null,
      position: reads.begin(since, startedAt),
      generation: connection.generation,
      startedAt: startedAt.toISOString(),
      at: null,
      source: requested ? 'USER' : since === null ? 'BACKFILL' : 'POLL',
      ...{ done: 0, news: 0, toldAt: null },
    };
  };

  const event = (connection: Connection, claimed: ClaimedRound, round: Round) => ({
    ...{
      connectionId: connection.id,
      integrationId: connection.integrationId,
      generation: connection.generation,
    },
    ...{ resource: claimed.resource, source: round.source, change: null, userId: null, problem: null },
  });
  const tell = (
    trx: Transaction<Tables>,
    connection: Connection,
    claimed: ClaimedRound,
    round: Round,
    kinds: readonly SyncEventKind[],
    cause: IntegrationProblem | null = null,
  ) =>
    appendEvents(
      trx,
      connection.accountId,
      kinds.map((kind) => ({
        ...event(connection, claimed, round),
        kind,
        problem: cause && JSON.stringify(toStoredProblem(cause)),
      })),
      clock,
    );

  /** Whole rounds are shown while they run; a poll is over before anybody looks. */
  const isShown = (round: Round) => round.since === null || round.source === 'USER';
  const priorityOf = ({ source }: Round): Priority =>
    source === 'USER' ? 'interactive' : source === 'BACKFILL' ? 'backfill' : 'poll';

  const patience = (round: Round) => ({
    deadlineAtMs: clock.now() + pageWithinMs,
    priority: priorityOf(round),
    signal: stopping.signal,
  });

  /** One page: read, applied, and the round moved on. Undefined: the lease is lost. */
  const turnPage = async (
    connection: Connection,
    claimed: ClaimedRound,
    round: Round,
    reads: ChangeReads,
  ): Promise<Round | 'ended' | undefined> => {
    const { accountId, resource, failures } = claimed;
    const page = await api.changes(connection, resource, round.position, patience(round));
    const changes = await changesIn(
      connection,
      claimed,
      round,
      page,
      failures < patientFailures,
      patience(round),
    );
    const at =
      round.at ??
      page.at?.toISOString() ??
      new Date(Date.parse(round.startedAt) - clocksApartMs).toISOString();
    const done = round.done + page.changes.length;
    const isLast = page.next === undefined;
    const isTold =
      isShown(round) &&
      !isLast &&
      clock.now() - Date.parse(round.toldAt ?? round.startedAt) >= progressEveryMs;
    const moved: Round = {
      ...{ ...round, at, done, position: page.next ?? round.position },
      toldAt: isTold ? now().toISOString() : round.toldAt,
    };
    const announced = isAnnounced(catalog.find(connection.integrationId)!.provider, resource);
    const missed =
      isLast && announced
        ? await countMissed(
            forAccount(accountId),
            claimed,
            new Date(clock.now() - webhookPatienceMs),
            distrustedPolls,
          )
        : 0;
    if (missed > 0) deps.onMissed?.(connection.integrationId, missed);

    const status = isLast && announced ? trusted(claimed, missed) : undefined;
    const stepAfter = (news: number): RoundStep => {
      moved.news = round.news + news;
      if (!isLast) return { round: moved };
      const quietPolls = moved.news === 0 ? claimed.quietPolls + 1 : 0;
      const delayMs = pollDelayMs({ intervalMs, reads, quietPolls, trust: status, random: clock.random() });
      return {
        ...{ round: null, cursor: nextCursor(round.since, new Date(at), reads.overlapMs), met: true },
        ...{ quietPolls, nextPollAt: inMs(delayMs), release: true },
      };
    };

    const kept = await forAccount(accountId)
      .transaction()
      .execute(async (trx) => {
        // Before anything is stored: whether it still may be. What brings no news needs no second step.
        const step = changes.length === 0 ? stepAfter(0) : { round: moved };
        const held = await stepRound(trx, claimed, step);
        if (!held) return false;
        const columns: StatusColumns = {
          last_polled_at: now().toISOString(),
          ...(isLast && !held.askedMeanwhile && { state: 'IDLE' }),
          ...(isLast && {
            ...{ last_synced_at: now().toISOString(), consecutive_failures: 0, problem: null },
            ...{ progress_done: null, progress_total: null },
            ...(status?.provesItself && { distrust: status.distrust }),
            ...(status?.provesItself && status.distrust === 0 && { delivery: 'WEBHOOK' }),
          }),
          ...(!isLast && isShown(round) && { state: stateOf(round), progress_done: done }),
        };
        const { news } = await applyChanges(trx, accountId, [{ connection, changes }], round.source, clock, {
          connectionId: connection.id,
          columns: { [resource]: columns },
        });
        if (changes.length > 0) await stepRound(trx, claimed, stepAfter(news.length));
        if (round.source === 'POLL') deps.onApplied?.(connection.integrationId, news);
        const kinds: SyncEventKind[] = [];
        if (isTold) kinds.push('SYNC_PROGRESSED');
        if (isLast && (isShown(round) || failures > 0 || moved.news > 0)) kinds.push('SYNC_COMPLETED');
        await tell(trx, connection, claimed, round, kinds);
        return true;
      });
    if (!kept) return undefined;
    return isLast ? 'ended' : moved;
  };

  /** How far webhooks are trusted after this poll. */
  const trusted = ({ delivery, distrust, webhookSince }: ClaimedRound, missed: number) => {
    if (missed > 0) return { delivery: 'POLL' as const, distrust: distrustedPolls, provesItself: false };
    const provesItself = distrust > 0 && webhookSince;
    return { delivery, distrust: provesItself ? distrust - 1 : distrust, provesItself };
  };

  const failed = async (
    connection: Connection,
    claimed: ClaimedRound,
    round: Round | null,
    cause: IntegrationProblem,
  ) => {
    const { accountId, connectionId, resource } = claimed;
    // Whoever makes the connection ACTIVE again makes its rounds due.
    if (cause.code === 'REAUTHORIZATION_REQUIRED' || cause.code === 'NOT_CONNECTED') {
      await stepRound(forAccount(accountId), claimed, { nextPollAt: null, release: true });
      return;
    }
    const isPause = pauses.has(cause.code) && cause.retryAfterSeconds !== undefined;
    await forAccount(accountId)
      .transaction()
      .execute(async (trx) => {
        const failures = claimed.failures + (isPause ? 0 : 1);
        const lost =
          cause.providerCode !== undefined &&
          cause.providerCode === readsOf(connection, resource)?.lostPosition;
        const step: RoundStep = {
          nextPollAt: inMs(retryDelayMs({ intervalMs, failures, isPause, cause, random: clock.random() })),
          release: true,
          ...(lost && { round: null, nextPollAt: now() }),
        };
        if (!(await stepRound(trx, claimed, step))) return;
        const columns: StatusColumns = {
          state: isPause ? 'RATE_LIMITED' : 'FAILING',
          consecutive_failures: failures,
          problem: toStoredProblem(cause),
        };
        const status = { connectionId, columns: { [resource]: columns } };
        await applyChanges(trx, accountId, [], 'POLL', clock, status);
        if (failures === 1 && !isPause && round)
          await tell(trx, connection, claimed, round, ['SYNC_FAILED'], cause);
      });
  };

  const readsOf = (connection: Connection, resource: string): ChangeReads | undefined => {
    const provider = catalog.find(connection.integrationId)?.provider;
    if (!provider?.resources.includes(resource)) return undefined;
    return !provider.listed || provider.listed.includes(resource) ? provider.changes(resource) : undefined;
  };

  const workRound = async (claimed: ClaimedRound): Promise<void> => {
    const { accountId, connectionId, resource } = claimed;
    const account = forAccount(accountId);
    const connection = (await findConnections(account, clock, accountId, [connectionId])).get(connectionId);
    const reads = connection && readsOf(connection, resource);
    // Whoever makes it ACTIVE again makes its rounds due.
    if (connection?.status !== 'ACTIVE' || !reads) {
      await stepRound(account, claimed, { nextPollAt: null, release: true });
      return;
    }
    let round = claimed.round?.generation === connection.generation ? claimed.round : null;
    if (claimed.requested === 'FULL' && round && round.since !== null) round = null;
    if (claimed.requested && round) round = { ...round, source: 'USER' };
    try {
      if (!round) {
        round = beginning(claimed, connection, reads);
        if (isShown(round) && !(await begin(connection, claimed, round))) return;
      }
      for (let pages = 0; pages < pagesInARow && !stopping.signal.aborted; pages++) {
        const next = await turnPage(connection, claimed, round, reads);
        if (next === undefined || next === 'ended') return;
        round = next;
      }
      await stepRound(account, claimed, { release: true });
    } catch (error) {
      if (stopping.signal.aborted) {
        await stepRound(account, claimed, { release: true });
        return;
      }
      const isExpected = error instanceof IntegrationError;
      if (!isExpected) log.error({ err: error, connectionId, resource }, 'a sync failed');
      const bug = () =>
        problem('PROVIDER_ERROR', 'The sync failed on our side.', now(), { actor: 'OPERATOR' });
      await failed(connection, claimed, round, isExpected ? error.problem : bug());
    }
  };

  const begin = (connection: Connection, claimed: ClaimedRound, round: Round): Promise<boolean> =>
    forAccount(claimed.accountId)
      .transaction()
      .execute(async (trx) => {
        if (!(await stepRound(trx, claimed, { round }))) return false;
        const columns: StatusColumns = {
          state: stateOf(round),
          progress_done: round.since === null ? 0 : null,
        };
        const status = { connectionId: connection.id, columns: { [claimed.resource]: columns } };
        await applyChanges(trx, claimed.accountId, [], round.source, clock, status);
        // Who asked for it was told at once.
        if (round.source !== 'USER') await tell(trx, connection, claimed, round, ['SYNC_STARTED']);
        return true;
      });

  const takeRounds = async (): Promise<boolean> => {
    const free = concurrency - busy.size;
    // From before the look, which may just miss what is news during it. `stop` is news, too.
    const news = wakeups.wait('', lookEveryMs * (0.75 + clock.random() / 2));
    const claimed = free > 0 ? await claimRounds(db, free, now()) : [];
    for (const one of claimed) {
      held.add(one.lease);
      const work = workRound(one)
        .catch((error: unknown) =>
          log.warn({ err: error, connectionId: one.connectionId }, 'a sync was interrupted'),
        )
        .finally(() => {
          busy.delete(work);
          held.delete(one.lease);
          wakeups.wake('');
        });
      busy.add(work);
    }
    if (claimed.length < free || free <= 0) await news;
    return true;
  };
  const rounds = createBackground(clock, lookEveryMs, takeRounds, (error) =>
    log.warn({ err: error }, 'due syncs cannot be looked for'),
  );
  const renewal = createBackground(
    clock,
    renewEveryMs,
    async () => {
      if (held.size > 0) await renewRounds(db, [...held]);
      return false;
    },
    (error) => log.warn({ err: error }, 'the leases of syncs cannot be renewed'),
  );
  const look = () => wakeups.wake('');
  return {
    due: { notified: look, connected: look },
    start() {
      rounds.start();
      renewal.start();
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      look();
      await rounds.stop();
      await Promise.all(busy);
      await renewal.stop();
    },
  };
}

/** With a time: it has to wait, and nothing is wrong. */
const pauses: ReadonlySet<string> = new Set(['RATE_LIMITED', 'QUEUE_FULL', 'DEADLINE_EXCEEDED']);

const stateOf = (round: Round) => (round.since === null ? 'BACKFILLING' : 'RUNNING');
