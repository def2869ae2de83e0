import { sql, type Kysely } from 'kysely';
import type { Connection } from '../connections/connection.ts';
import { fromStored } from '../db/problems.ts';
import type { SyncState, Tables } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';

/** What the sync of one resource of one connection is doing. */
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

/**
 * The statuses of connections that were loaded for their account, in one statement; by resource name. A connection
 * that is not ACTIVE does not sync, whatever its row says: PAUSED, with the connection's own problem.
 */
export async function listSyncStatuses(
  db: Kysely<Tables>,
  accountId: string,
  connections: readonly Connection[],
): Promise<Map<string, SyncStatus[]>> {
  const rows = await db
    .selectFrom('sync_statuses')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('connection_id', '=', sql<string>`any(${connections.map((connection) => connection.id)}::uuid[])`)
    .orderBy('resource')
    .execute();
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
      nextPollAt: paused ? null : row.next_poll_at,
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
