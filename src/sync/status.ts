import { sql, type Kysely, type Selectable } from 'kysely';
import type { Connection } from '../connections/connection.ts';
import { fromStored } from '../db/problems.ts';
import { statement, type Value } from '../db/statements.ts';
import type { SyncState, Tables } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';

/**
 * What the sync of one resource of one connection is doing. Of several states that hold, the first of these is shown:
 *
 *   PAUSED         the connection is not ACTIVE; `problem` is the connection's. At once on again when it is.
 *   RATE_LIMITED   the provider, or our own queue, made the last round wait. Goes on by itself at `nextPollAt`.
 *   FAILING        the last round failed, and so did `consecutiveFailures` in a row; `problem` says who must act.
 *   BACKFILLING    everything is being read: for the first time, by request, or because too much time has passed.
 *   RUNNING        changes are being read that somebody asked for.
 *   IDLE           none of these; the next round is due at `nextPollAt`.
 *
 *   IDLE --round of everything--> BACKFILLING --last page--> IDLE
 *   IDLE --syncConnection--> RUNNING --last page--> IDLE
 *   any --a page fails--> FAILING or RATE_LIMITED --a round succeeds--> IDLE
 *
 * A poll of its own accord is over before anybody looks, and shows only by what it changes. `lastSyncedAt` moves when a
 * round has read its last page, never before. `lagSeconds` is measured: from the provider's time of the newest change to
 * the moment when it was applied.
 */
export interface SyncStatus {
  connectionId: string;
  resource: string;
  state: SyncState;
  lastSyncedAt: Date | null;
  lastWebhookAt: Date | null;
  lastPolledAt: Date | null;
  nextPollAt: Date | null;
  delivery: 'WEBHOOK' | 'POLL';
  missedByWebhook: number;
  recordCount: number;
  lagSeconds: number | null;
  consecutiveFailures: number;
  progress: { done: number; total: number | null } | null;
  problem: IntegrationProblem | null;
}

type Row = Selectable<Tables['sync_statuses']> & { next_poll_at: Date | null; due_at: Date | null };

const statusesOf = statement(
  (_, value: Value<{ accountId: string; ids: readonly string[] }>) => sql<Row>`
    select s.*, greatest(r.next_poll_at, s.last_polled_at, '1970-01-01') as next_poll_at, r.next_poll_at as due_at
    from unnest(${value('ids')}::uuid[]) as asked (id)
    cross join lateral (
      select * from sync_statuses where account_id = ${value('accountId')} and connection_id = asked.id
      order by resource offset 0
    ) s
    left join lateral (
      select next_poll_at from sync_rounds
      where account_id = s.account_id and connection_id = s.connection_id and resource = s.resource limit 1
    ) r on true`,
);

/**
 * The statuses of connections that were loaded for their account, in one statement; by resource name. A connection
 * that is not ACTIVE does not sync, whatever its row says: PAUSED, with the connection's own problem.
 */
export async function listSyncStatuses(
  db: Kysely<Tables>,
  accountId: string,
  connections: readonly Connection[],
): Promise<Map<string, SyncStatus[]>> {
  const rows = await statusesOf(db, { accountId, ids: connections.map((connection) => connection.id) });
  const byId = new Map(connections.map((connection) => [connection.id, connection]));
  const statuses = rows.map((row): SyncStatus => {
    const connection = byId.get(row.connection_id)!;
    const paused = connection.status !== 'ACTIVE';
    return {
      connectionId: row.connection_id,
      resource: row.resource,
      state: paused ? 'PAUSED' : row.state,
      lastSyncedAt: row.last_synced_at,
      lastWebhookAt: row.last_webhook_at,
      lastPolledAt: row.last_polled_at,
      nextPollAt: paused || row.due_at === null ? null : row.next_poll_at,
      delivery: row.delivery,
      missedByWebhook: row.missed_by_webhook,
      recordCount: row.record_count,
      lagSeconds: row.lag_seconds,
      consecutiveFailures: row.consecutive_failures,
      progress: row.progress_done === null ? null : { done: row.progress_done, total: row.progress_total },
      problem: paused ? connection.problem : fromStored(row.problem),
    };
  });
  return Map.groupBy(statuses, (status) => status.connectionId);
}
