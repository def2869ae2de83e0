import { sql, type Kysely, type Transaction } from 'kysely';
import DataLoader from 'dataloader';
import type { Clock } from '../clock.ts';
import { toStored } from '../db/problems.ts';
import type { Tables } from '../db/tables.ts';
import { problem, type IntegrationProblem } from '../errors.ts';
import {
  appendEvents,
  type ConnectionChange,
  type NewEvent,
  type SyncEventSource,
} from '../events/events.ts';
import type { ConnectionRef } from '../oauth/accountKeys.ts';
import type { RefreshNews } from '../oauth/tokens.ts';
import type { Catalog } from '../providers/catalog.ts';
import type { Provider } from '../providers/provider.ts';
import type { Connection } from './connection.ts';

/**
 * The life of a connection, and the only code that moves it:
 *
 *   (none) --connect--> PENDING --callback--> ACTIVE --grant refused--> NEEDS_REAUTHORIZATION --callback--> ACTIVE
 *   NEEDS_REAUTHORIZATION for want of the operator's key --a call that succeeds--> ACTIVE
 *   any of these --disconnect--> DISCONNECTED, which is final: connecting again makes a new connection.
 *
 * A callback that fails leaves the status as it is and sets `problem`. Every move commits together with its event,
 * which says what happened, who did it and why: an account's events are the history of its connections.
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
  probe_at: Date | null;
}>;

/** Whose authorization it is about. */
type Lived = ConnectionRef & { generation: number };

/** What happened, and whose doing it was: undefined for nobody's. */
export interface Happening {
  change: ConnectionChange;
  userId?: string | null | undefined;
  /** How we learnt of it; default: from the person, or by ourselves. */
  source?: SyncEventSource;
}

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
  ref: Lived,
  columns: Columns,
  happening: Happening,
): Promise<void> {
  await trx
    .updateTable('connections')
    .set(columns)
    .where('account_id', '=', ref.accountId)
    .where('id', '=', ref.id)
    .execute();
  const generation = columns.generation ?? ref.generation;
  await announce(trx, clock, { ...ref, generation }, columns.problem, happening);
}

async function announce(
  trx: Transaction<Tables>,
  clock: Clock,
  ref: Lived,
  cause: string | null | undefined,
  { change: what, userId, source }: Happening,
): Promise<void> {
  const event: NewEvent = {
    connectionId: ref.id,
    integrationId: ref.integrationId,
    generation: ref.generation,
    kind: 'CONNECTION_CHANGED',
    source: source ?? (userId === undefined ? 'SYSTEM' : 'USER'),
    change: what,
    userId: userId ?? null,
    problem: cause ?? null,
  };
  await appendEvents(trx, ref.accountId, [event], clock);
}

/** The sync of each resource begins, or goes on where it was, at once: in the transaction that makes it ACTIVE. */
export async function followResources(
  trx: Transaction<Tables>,
  { accountId, id }: ConnectionRef,
  { resources, listed = resources }: Pick<Provider, 'resources' | 'listed'>,
): Promise<void> {
  await sql`
    with named as (
      select resource, resource = any(${listed}::text[]) as listed from unnest(${resources}::text[]) as r (resource)
    ), shown as (
      insert into sync_statuses (account_id, connection_id, resource)
      select ${accountId}, ${id}::uuid, resource from named on conflict do nothing
    )
    insert into sync_rounds as r (account_id, connection_id, resource, next_poll_at)
    select ${accountId}, ${id}::uuid, resource, now() from named where listed
    on conflict (account_id, connection_id, resource) do update set next_poll_at = excluded.next_poll_at`.execute(
    trx,
  );
}

/** What calls and refreshes on behalf of a connection have shown about it. */
export interface Health extends RefreshNews {
  /**
   * The provider, or a stored secret, proved that the grant is gone: ACTIVE becomes NEEDS_REAUTHORIZATION, unless the
   * connection was authorized anew since. One event, however many callers found out. `source`: who told us of it.
   */
  demote(connection: Connection, cause: IntegrationProblem, source?: SyncEventSource): Promise<void>;
  /** The provider answered: moves `checkedAt` (at most once a minute), and ends the want of a key. */
  proved(connection: Connection): Promise<void>;
}

const checkedEveryMs = 60_000;

export function createHealth(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  clock: Clock;
}): Health {
  const { forAccount, catalog, clock } = deps;
  const now = () => new Date(clock.now());

  /** Guarded by what was read, so that late news about an earlier life changes nothing. */
  const move = async (
    trx: Transaction<Tables>,
    ref: Lived,
    from: Connection['status'],
    columns: Columns,
    happening: Happening,
  ): Promise<boolean> => {
    const moved = await trx
      .updateTable('connections')
      .set(columns)
      .where('account_id', '=', ref.accountId)
      .where('id', '=', ref.id)
      .where('status', '=', from)
      .where('generation', '=', ref.generation)
      .returning('id')
      .executeTakeFirst();
    if (moved) await announce(trx, clock, ref, columns.problem, happening);
    return moved !== undefined;
  };

  /** A token of a connection that is not ACTIVE is not renewed. */
  const renewAt = (trx: Transaction<Tables>, ref: Lived, at: Date | null) =>
    trx
      .updateTable('oauth_tokens')
      .set({ refresh_due_at: at, refresh_retry_at: null })
      .where('account_id', '=', ref.accountId)
      .where('provider', '=', ref.integrationId)
      .where('connection_id', '=', ref.id)
      .where('expires_at', 'is not', null)
      .execute();

  const end = async (
    trx: Transaction<Tables>,
    ref: Lived,
    from: Connection['status'],
    cause: IntegrationProblem,
    source?: SyncEventSource,
  ) => {
    const columns: Columns = {
      status: 'NEEDS_REAUTHORIZATION',
      problem: toStored(cause),
      checked_at: now(),
      probe_at: null,
    };
    if (
      await move(trx, ref, from, columns, { change: 'REAUTHORIZATION_REQUIRED', ...(source && { source }) })
    )
      await renewAt(trx, ref, null);
  };

  /** The connections that one tick proved, in one statement for each account. */
  const checked = new DataLoader<Connection, void>(
    async (connections) => {
      for (const [accountId, own] of Map.groupBy(connections, (connection) => connection.accountId))
        await forAccount(accountId)
          .updateTable('connections')
          .set({ checked_at: now() })
          .where('account_id', '=', accountId)
          .where('id', '=', sql<string>`any(${own.map((connection) => connection.id)}::uuid[])`)
          .where('status', '=', 'ACTIVE')
          .execute();
      return connections.map(() => undefined);
    },
    { cache: false },
  );

  return {
    async demote(connection, cause, source) {
      // One that waits for a missing key has been demoted; the grant's end is news, the key's absence is not.
      if (connection.status !== 'ACTIVE' && cause.actor === 'OPERATOR') return;
      await forAccount(connection.accountId)
        .transaction()
        .execute((trx) => end(trx, connection, connection.status, cause, source));
    },

    async proved(connection) {
      const columns = { status: 'ACTIVE', problem: null, checked_at: now(), probe_at: now() } as const;
      if (connection.status !== 'ACTIVE')
        await forAccount(connection.accountId)
          .transaction()
          .execute(async (trx) => {
            if (!(await move(trx, connection, connection.status, columns, { change: 'RECOVERED' }))) return;
            await renewAt(trx, connection, now());
            const provider = catalog.find(connection.integrationId)?.provider;
            if (provider) await followResources(trx, connection, provider);
          });
      else if ((connection.checkedAt?.getTime() ?? 0) < clock.now() - checkedEveryMs)
        await checked.load(connection);
    },

    async renewed(trx, ref, { scopes, recovered, asked }) {
      const required = catalog.find(ref.integrationId)?.provider.oauth.scopes ?? [];
      const missing = required.filter((scope) => !scopes.includes(scope));
      const cause =
        missing.length === 0
          ? null
          : problem(
              'SCOPES_INSUFFICIENT',
              `The authorization no longer includes ${missing.join(', ')}.`,
              now(),
            );
      return move(
        trx,
        ref,
        'ACTIVE',
        { scopes, problem: toStored(cause), checked_at: now() },
        { change: recovered ? 'RECOVERED' : 'REFRESHED', userId: asked.userId },
      );
    },

    troubled: (trx, ref, cause) => announce(trx, clock, ref, toStored(cause), { change: 'REFRESH_FAILED' }),

    refused: (trx, ref, cause) => end(trx, ref, 'ACTIVE', cause),
  };
}
