import type { Clock } from '../clock.ts';
import { findConnections, type Connection } from '../connections/connection.ts';
import { toStoredProblem } from '../db/problems.ts';
import { IntegrationError, problem, type IntegrationProblem } from '../errors.ts';
import type { ChangeReads } from '../providers/changes.ts';
import { applyChanges, type StatusColumns } from './changes.ts';
import { isShown, stateOf, tellOfRound } from './roundEvents.ts';
import { stepRound, type ClaimedRound, type Round, type RoundStep } from './rounds.ts';
import { retryDelayMs } from './schedule.ts';
import { createPageTurning, type PageTurningDeps } from './turnPage.ts';

/** Then others get their turn. */
const pagesInARow = 20;

/** With a time: it has to wait, and nothing is wrong. */
const pauses: ReadonlySet<string> = new Set(['RATE_LIMITED', 'QUEUE_FULL', 'DEADLINE_EXCEEDED']);

/** A new round from what its row says. */
const beginning = (
  claimed: ClaimedRound,
  connection: Connection,
  reads: ChangeReads,
  clock: Clock,
): Round => {
  const startedAt = new Date(clock.now());
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

/** Works a claimed round off, or up to where others have their turn, and gives its lease up. */
export function createRoundWork(
  deps: PageTurningDeps,
): (claimed: ClaimedRound, signal: AbortSignal) => Promise<void> {
  const { forAccount, catalog, intervalMs, clock, log } = deps;
  const turnPage = createPageTurning(deps);
  const now = () => new Date(clock.now());
  const inMs = (ms: number) => new Date(clock.now() + ms);

  const readsOf = (connection: Connection, resource: string): ChangeReads | undefined => {
    const provider = catalog.find(connection.integrationId)?.provider;
    if (!provider?.resources.includes(resource)) return undefined;
    return !provider.listed || provider.listed.includes(resource) ? provider.changes(resource) : undefined;
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
        if (round.source !== 'USER')
          await tellOfRound(trx, connection, claimed.resource, round, ['SYNC_STARTED'], clock);
        return true;
      });

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
          await tellOfRound(trx, connection, resource, round, ['SYNC_FAILED'], clock, cause);
      });
  };

  return async (claimed, signal) => {
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
        round = beginning(claimed, connection, reads, clock);
        if (isShown(round) && !(await begin(connection, claimed, round))) return;
      }
      for (let pages = 0; pages < pagesInARow && !signal.aborted; pages++) {
        const next = await turnPage(connection, claimed, round, reads, signal);
        if (next === undefined || next === 'ended') return;
        round = next;
      }
      await stepRound(account, claimed, { release: true });
    } catch (error) {
      if (signal.aborted) {
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
}
