import {
  sql,
  type Kysely,
  type KyselyPlugin,
  type RawBuilder,
  type Selectable,
  type Transaction,
} from 'kysely';
import type { Clock } from '../clock.ts';
import { decodeCursor, encodeCursor, pageOf, type Page, type PageRequest } from '../db/pages.ts';
import { fromStored } from '../db/problems.ts';
import { statement, type Value } from '../db/statements.ts';
import type { Tables } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';

export type SyncEventKind =
  | 'CONNECTION_CHANGED'
  | 'SYNC_STARTED'
  | 'SYNC_PROGRESSED'
  | 'SYNC_COMPLETED'
  | 'SYNC_FAILED'
  | 'RECORD_CREATED'
  | 'RECORD_UPDATED'
  | 'RECORD_DELETED';
export type SyncEventSource = 'USER' | 'WEBHOOK' | 'POLL' | 'BACKFILL' | 'SYSTEM';
/** What a CONNECTION_CHANGED is about. */
export type ConnectionChange =
  | 'AUTHORIZATION_STARTED'
  | 'AUTHORIZATION_FAILED'
  | 'CONNECTED'
  | 'REFRESHED'
  | 'REFRESH_FAILED'
  | 'RECOVERED'
  | 'REAUTHORIZATION_REQUIRED'
  | 'DISCONNECTED';
export type SyncEventRow = Selectable<Tables['sync_events']>;

export interface NewEvent {
  connectionId: string;
  integrationId: string;
  /** The connection's, at the time of the change. */
  generation: number;
  kind: SyncEventKind;
  source: SyncEventSource;
  change: ConnectionChange | null;
  /** The person who did it; null where nobody did. */
  userId: string | null;
  /** As stored: JSON text or null. */
  problem: string | null;
  /** The record that it is about, or with no `externalId` the sync of a resource. */
  resource?: string;
  externalId?: string;
  /** A UUID; default: a new one. */
  id?: string;
}

/** Tells processes whose account has something new, by its id. */
export const eventChannel = 'sync_events';

/** Carried by a database and its transactions; leaves their statements as they are. */
class AppendHook implements KyselyPlugin {
  readonly onAppended: (kind: SyncEventKind, count: number) => void;
  constructor(onAppended: AppendHook['onAppended']) {
    this.onAppended = onAppended;
  }
  readonly transformQuery: KyselyPlugin['transformQuery'] = ({ node }) => node;
  readonly transformResult: KyselyPlugin['transformResult'] = ({ result }) => Promise.resolve(result);
}

/**
 * The same database, with `onAppended` called for what is appended in its transactions, before they commit: what is
 * rolled back is reported too. It must not throw.
 */
export function withAppendHook(db: Kysely<Tables>, onAppended: AppendHook['onAppended']): Kysely<Tables> {
  return db.withPlugin(new AppendHook(onAppended));
}

/**
 * Appends within the transaction that makes the change, so that both are seen or neither. The account's counter row
 * stays locked until the commit: sequences are gap-free and become visible in their order, and a reader that has
 * seen n never misses a smaller one that commits later. So it comes last in its transaction: whoever holds the counter
 * must wait for nothing. One statement, however many events, all of one account; one wake-up at the commit.
 */
export async function appendEvents(
  trx: Transaction<Tables>,
  accountId: string,
  events: readonly NewEvent[],
  clock: Clock,
): Promise<void> {
  if (events.length === 0) return;
  const column = <T>(of: (event: NewEvent) => T) => events.map(of);
  await sql`
    with told as (
      select * from unnest(${column((event) => event.id ?? clock.randomUUID())}::uuid[],
        ${column((event) => event.kind)}::text[], ${column((event) => event.source)}::text[],
        ${column((event) => event.connectionId)}::uuid[], ${column((event) => event.integrationId)}::text[],
        ${column((event) => event.generation)}::int[], ${column((event) => event.resource ?? null)}::text[],
        ${column((event) => event.externalId ?? null)}::text[], ${column((event) => event.problem)}::text[],
        ${column((event) => event.change)}::text[], ${column((event) => event.userId)}::text[])
        with ordinality as e (event_id, kind, source, connection_id, integration_id, generation, resource,
          external_id, problem, change, user_id, place)
    ), ${appendingTold(accountId, clock)}
    select count(*) from woken`.execute(trx);
  reportAppended(
    trx,
    events.map((event) => event.kind),
  );
}

/**
 * The rest of a statement whose CTE `told` has the events as rows, in the order of `place`: for what is only known
 * within it. The statement must read from the CTE `woken`, and then call `reportAppended`.
 */
export const appendingTold = (accountId: string, clock: Clock): RawBuilder<unknown> => sql`
  counter as (
    insert into event_sequences as own (account_id, last_sequence)
    select ${accountId}, count(*) from told having count(*) > 0
    on conflict (account_id) do update set last_sequence = own.last_sequence + excluded.last_sequence
    returning last_sequence
  ), appended as (
    insert into sync_events (account_id, sequence, id, kind, source, connection_id, integration_id, generation,
      resource, external_id, problem, change, user_id, occurred_at)
    select ${accountId}, counter.last_sequence + 1 - row_number() over (order by t.place desc), t.event_id, t.kind,
      t.source, t.connection_id, t.integration_id, t.generation, t.resource, t.external_id, t.problem::jsonb,
      t.change, t.user_id, ${new Date(clock.now())}::timestamptz
    from counter, told t
    returning 1
  ), woken as (
    select pg_notify(${eventChannel}, ${accountId}) from (select from appended limit 1) one
  )`;

export function reportAppended(trx: Kysely<Tables>, kinds: readonly SyncEventKind[]): void {
  const hooks = trx.getExecutor().plugins.filter((plugin) => plugin instanceof AppendHook);
  for (const [kind, own] of Map.groupBy(kinds, (one) => one))
    for (const hook of hooks) hook.onAppended(kind, own.length);
}

export interface SyncEvent {
  id: string;
  cursor: string;
  kind: SyncEventKind;
  source: SyncEventSource;
  occurredAt: Date;
  connectionId: string;
  integrationId: string;
  resource: string | null;
  externalId: string | null;
  problem: IntegrationProblem | null;
  change: ConnectionChange | null;
  userId: string | null;
}

type Wanted = { accountId: string; connectionIds: readonly string[]; after: bigint; most: number };
const eventsOf = statement(
  (_, value: Value<Wanted>) => sql<SyncEventRow>`
    select e.* from unnest(${value('connectionIds')}::uuid[]) as c (id)
    cross join lateral (
      select * from sync_events
      where account_id = ${value('accountId')} and connection_id = c.id and sequence > ${value('after')}
      order by sequence limit ${value('most')}
    ) e
    order by e.sequence`,
);

/** A page of the events of each of several connections of one account, oldest first, in one statement. */
export async function listEvents(
  db: Kysely<Tables>,
  accountId: string,
  connectionIds: readonly string[],
  request: PageRequest,
): Promise<Map<string, Page<SyncEvent>>> {
  const after = request.after === null ? 0n : BigInt(request.after);
  const rows = await eventsOf(db, { accountId, connectionIds, after, most: request.first + 1 });
  const byConnection = Map.groupBy(rows.map(eventOf), (event) => event.connectionId);
  const page = (id: string) =>
    pageOf(byConnection.get(id) ?? [], request, (event) => decodeCursor(event.cursor)!);
  return new Map(connectionIds.map((id) => [id, page(id)]));
}

/** Their place in the account's history. */
export const sequenceOf = (cursor: string): number => Number(decodeCursor(cursor));

export function eventOf(row: SyncEventRow): SyncEvent {
  return {
    id: row.id,
    cursor: encodeCursor(String(row.sequence)),
    kind: row.kind as SyncEventKind,
    source: row.source as SyncEventSource,
    occurredAt: row.occurred_at,
    connectionId: row.connection_id,
    integrationId: row.integration_id,
    resource: row.resource,
    externalId: row.external_id,
    problem: fromStored(row.problem),
    change: row.change as ConnectionChange | null,
    userId: row.user_id,
  };
}
