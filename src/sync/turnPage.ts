import type { Kysely } from 'kysely';
import type { Priority } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionApi } from '../connections/api.ts';
import type { Connection } from '../connections/connection.ts';
import type { Tables } from '../db/tables.ts';
import type { SyncEventKind } from '../events/events.ts';
import type { Log } from '../log.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { ChangeReads } from '../providers/changes.ts';
import { isAnnounced } from '../providers/provider.ts';
import { applyChanges, type AppliedChange, type StatusColumns } from './changes.ts';
import { createPageReader } from './pageChanges.ts';
import { isShown, stateOf, tellOfRound } from './roundEvents.ts';
import { countMissed, stepRound, type ClaimedRound, type Round, type RoundStep } from './rounds.ts';
import { nextCursor, pollDelayMs } from './schedule.ts';

const pageWithinMs = 60_000;
/** Where neither the provider's answer nor its `Date` says when it was given: how far our clocks may be apart. */
const clocksApartMs = 600_000;
const distrustedPolls = 3;
const progressEveryMs = 2_000;
/** A record that cannot be read holds up its round so many times; then it is left out. */
const patientFailures = 3;

export interface PageTurningDeps {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  api: ConnectionApi;
  intervalMs: number;
  clock: Clock;
  log: Log;
  /** How old the changes were when they were applied. */
  onApplied?: (integrationId: string, news: readonly AppliedChange[]) => void;
  onMissed?: (integrationId: string, count: number) => void;
}

const priorityOf = ({ source }: Round): Priority =>
  source === 'USER' ? 'interactive' : source === 'BACKFILL' ? 'backfill' : 'poll';

/** How far webhooks are trusted after a poll that found so many changes which none had announced. */
const trusted = ({ delivery, distrust, webhookSince }: ClaimedRound, missed: number) => {
  if (missed > 0) return { delivery: 'POLL' as const, distrust: distrustedPolls, provesItself: false };
  const provesItself = distrust > 0 && webhookSince;
  return { delivery, distrust: provesItself ? distrust - 1 : distrust, provesItself };
};

/** One page: read, applied, and the round moved on. Undefined: the lease is lost. */
export function createPageTurning(
  deps: PageTurningDeps,
): (
  connection: Connection,
  claimed: ClaimedRound,
  round: Round,
  reads: ChangeReads,
  signal: AbortSignal,
) => Promise<Round | 'ended' | undefined> {
  const { forAccount, catalog, api, intervalMs, clock } = deps;
  const changesIn = createPageReader(deps);
  const now = () => new Date(clock.now());
  const inMs = (ms: number) => new Date(clock.now() + ms);
  /** A webhook may come after the poll that found its change: by so much. */
  const webhookPatienceMs = Math.min(300_000, 2 * intervalMs);

  return async (connection, claimed, round, reads, signal) => {
    const { accountId, resource, failures } = claimed;
    const patience = () => ({
      deadlineAtMs: clock.now() + pageWithinMs,
      priority: priorityOf(round),
      signal,
    });
    const page = await api.changes(connection, resource, round.position, patience());
    const isPatient = failures < patientFailures;
    const changes = await changesIn(connection, claimed, round, page, isPatient, patience());
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
        await tellOfRound(trx, connection, resource, round, kinds, clock);
        return true;
      });
    if (!kept) return undefined;
    return isLast ? 'ended' : moved;
  };
}
