import { sql, type Kysely, type Transaction } from 'kysely';
import DataLoader from 'dataloader';
import type { Clock } from '../clock.ts';
import type { Tables } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';
import { appendEvent, type SyncEventSource } from '../events/events.ts';
import type { ConnectionRef } from '../oauth/accountKeys.ts';
import { toStored, type Connection } from './connection.ts';

/**
 * The life of a connection, and the only code that moves it:
 *
 *   (none) --connect--> PENDING --callback--> ACTIVE --grant refused--> NEEDS_REAUTHORIZATION --callback--> ACTIVE
 *   NEEDS_REAUTHORIZATION for want of the operator's key --a call that succeeds--> ACTIVE
 *   any of these --disconnect--> DISCONNECTED, which is final: connecting again makes a new connection.
 *
 * A callback that fails leaves the status as it is and sets `problem`. Every move commits together with its event.
 */

type Columns = Partial<{
  status: Connection['status'];
  external_id: string | null;
  scopes: string[];
  problem: string | null;
  generation: number;
  created_by: string | null;
  authorize_by: Date | null;
  connected_at: Date;
  disconnected_at: Date;
  checked_at: Date;
}>;

/** The row as it is once no other transaction is changing it. Held until the transaction ends. */
export function lockConnection(trx: Transaction<Tables>, accountId: string, id: string) {
  return trx
    .selectFrom('connections')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
}

/** Writes a connection whose row the transaction has locked, and its event. */
export async function change(
  trx: Transaction<Tables>,
  clock: Clock,
  ref: ConnectionRef & { generation: number },
  columns: Columns,
  source: SyncEventSource,
): Promise<void> {
  await trx
    .updateTable('connections')
    .set(columns)
    .where('account_id', '=', ref.accountId)
    .where('id', '=', ref.id)
    .execute();
  await announce(
    trx,
    clock,
    { ...ref, generation: columns.generation ?? ref.generation },
    columns.problem,
    source,
  );
}

async function announce(
  trx: Transaction<Tables>,
  clock: Clock,
  ref: ConnectionRef & { generation: number },
  problem: string | null | undefined,
  source: SyncEventSource,
): Promise<void> {
  await appendEvent(
    trx,
    {
      accountId: ref.accountId,
      connectionId: ref.id,
      integrationId: ref.integrationId,
      generation: ref.generation,
      kind: 'CONNECTION_CHANGED',
      source,
      problem: problem ?? null,
    },
    clock,
  );
}

/** What calls on behalf of a connection have shown about it. */
export interface Health {
  /**
   * The provider, or a stored secret, proved that the grant is gone: ACTIVE becomes NEEDS_REAUTHORIZATION, unless the
   * connection was authorized anew since. One event, however many callers found out.
   */
  demote(connection: Connection, cause: IntegrationProblem): Promise<void>;
  /** Trouble that does not end the grant: shown as `problem` while the connection stays ACTIVE. */
  troubled(connection: Connection, cause: IntegrationProblem): Promise<void>;
  /** A person had the token renewed: clears a problem and announces the new times. */
  refreshed(connection: Connection): Promise<void>;
  /** The provider answered: moves `checkedAt` (at most once a minute) and clears a problem. */
  proved(connection: Connection): Promise<void>;
}

const checkedEveryMs = 60_000;

export function createHealth(db: Kysely<Tables>, clock: Clock): Health {
  /** Guarded by the status and generation that were read, so that late news about an earlier life changes nothing. */
  const guarded = (connection: Connection, columns: Columns, where: 'any' | 'with problem') =>
    db.transaction().execute(async (trx) => {
      let update = trx
        .updateTable('connections')
        .set(columns)
        .where('account_id', '=', connection.accountId)
        .where('id', '=', connection.id)
        .where('status', '=', connection.status)
        .where('generation', '=', connection.generation);
      if (where === 'with problem') update = update.where('problem', 'is not', null);
      const moved = await update.returning('id').executeTakeFirst();
      if (moved) await announce(trx, clock, connection, columns.problem, 'SYSTEM');
    });

  /** The connections that one tick proved, in one statement for each account. */
  const checked = new DataLoader<Connection, void>(
    async (connections) => {
      const now = new Date(clock.now());
      for (const [accountId, own] of Map.groupBy(connections, (connection) => connection.accountId))
        await db
          .updateTable('connections')
          .set({ checked_at: now })
          .where('account_id', '=', accountId)
          .where('id', '=', sql<string>`any(${own.map((connection) => connection.id)}::uuid[])`)
          .where('status', '=', 'ACTIVE')
          .execute();
      return connections.map(() => undefined);
    },
    { cache: false },
  );

  return {
    async demote(connection, cause) {
      // One that waits for a missing key has been demoted; the grant's end is news, the key's absence is not.
      if (connection.status !== 'ACTIVE' && cause.actor === 'OPERATOR') return;
      await guarded(
        connection,
        { status: 'NEEDS_REAUTHORIZATION', problem: toStored(cause), checked_at: new Date(clock.now()) },
        'any',
      );
    },
    troubled: (connection, cause) => guarded(connection, { problem: toStored(cause) }, 'any'),
    refreshed: (connection) =>
      guarded(connection, { problem: null, checked_at: new Date(clock.now()) }, 'any'),
    async proved(connection) {
      const columns = { status: 'ACTIVE', problem: null, checked_at: new Date(clock.now()) } as const;
      if (connection.problem) await guarded(connection, columns, 'with problem');
      else if ((connection.checkedAt?.getTime() ?? 0) < clock.now() - checkedEveryMs)
        await checked.load(connection);
    },
  };
}
