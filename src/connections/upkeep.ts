import { sql, type Kysely } from 'kysely';
import { createBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import { IntegrationError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Authorizations } from '../oauth/authorization.ts';
import type { PendingGrants } from '../oauth/pendingGrants.ts';
import type { Tokens } from '../oauth/tokens.ts';
import type { ConnectionApi } from './api.ts';
import { findConnections } from './connection.ts';

/**
 * What keeps connections alive while nobody looks: tokens are renewed before anybody has to wait for that, and each
 * connection is proved every now and then by a cheap call, so that one which died shows it. Any number of processes
 * may do it: each row is taken by one.
 */
export interface Upkeep {
  start(): void;
  stop(): Promise<void>;
  /** One round of each; answers whether there is more to do at once. */
  refreshDue(): Promise<boolean>;
  probeDue(): Promise<boolean>;
  dropUnconfirmed(): Promise<boolean>;
  prune(): Promise<boolean>;
}

/** Most at one time: the token endpoints' own limits pace them. */
const batch = 20;
const refreshLookMs = 5_000;
const probeLookMs = 15_000;
const unconfirmedLookMs = 30_000;
const pruneLookMs = 3_600_000;
const pruneBatch = 1_000;
const probePatienceMs = 30_000;

export function createUpkeep(deps: {
  /** Looks for what is due in all accounts. */
  db: Kysely<Tables>;
  forAccount: (accountId: string) => Kysely<Tables>;
  tokens: Tokens;
  authorizations: Authorizations;
  pendingGrants: PendingGrants;
  api: ConnectionApi;
  /** Between two proofs of one connection. */
  probeIntervalMs: number;
  clock: Clock;
  log: Log;
}): Upkeep {
  const { db, forAccount, tokens, authorizations, pendingGrants, api, probeIntervalMs, clock, log } = deps;

  const refreshDue = async () => (await tokens.refreshDue(batch)) === batch;

  /** Takes due ones by moving their next time: one that is lost in a crash waits for that. */
  const takeDue = () =>
    db
      // Read again by some plan, its limit would count anew, past the rows that are locked already.
      .with(
        (cte) => cte('due').materialized(),
        (own) =>
          own
            .selectFrom('connections')
            .select(['account_id', 'id'])
            .where('status', '=', 'ACTIVE')
            .where('probe_at', '<=', new Date(clock.now()))
            .orderBy('probe_at')
            .limit(batch)
            .forUpdate()
            .skipLocked(),
      )
      .updateTable('connections')
      .set({
        probe_at: sql<Date>`${new Date(clock.now())}::timestamptz
          + (0.75 + random() / 2) * ${probeIntervalMs} * interval '1 millisecond'`,
      })
      .where(({ eb, refTuple, selectFrom }) =>
        eb(
          refTuple('account_id', 'id'),
          'in',
          selectFrom('due').select(['account_id', 'id']).$asTuple('account_id', 'id'),
        ),
      )
      .returning(['account_id', 'id', 'checked_at'])
      .execute();

  const probe = async (accountId: string, id: string): Promise<void> => {
    const connection = (await findConnections(forAccount(accountId), clock, accountId, [id])).get(id);
    if (connection?.status !== 'ACTIVE') return;
    try {
      await api.profile(connection, { deadlineAtMs: clock.now() + probePatienceMs, priority: 'poll' });
    } catch (error) {
      // What it proves is written down by the call itself.
      if (!(error instanceof IntegrationError)) throw error;
    }
  };

  const probeDue = async () => {
    const due = await takeDue();
    const recently = clock.now() - probeIntervalMs / 2;
    const unproved = due.filter((row) => (row.checked_at?.getTime() ?? 0) < recently);
    const ends = await Promise.allSettled(unproved.map((row) => probe(row.account_id, row.id)));
    const bug = ends.find((end) => end.status === 'rejected');
    if (bug) throw bug.reason;
    return due.length === batch;
  };

  const dropUnconfirmed = async () => (await pendingGrants.dropExpired(batch)) === batch;

  const prune = async () => (await authorizations.prune(pruneBatch)) === pruneBatch;

  const trouble = (error: unknown) => log.warn({ err: error }, 'upkeep of connections');
  const loops = [
    createBackground(clock, refreshLookMs, refreshDue, trouble),
    createBackground(clock, probeLookMs, probeDue, trouble),
    createBackground(clock, unconfirmedLookMs, dropUnconfirmed, trouble),
    createBackground(clock, pruneLookMs, prune, trouble),
  ];
  return {
    refreshDue,
    probeDue,
    dropUnconfirmed,
    prune,
    start() {
      for (const loop of loops) loop.start();
    },
    async stop() {
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}
