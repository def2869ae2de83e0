import { sql, type Kysely, type KyselyPlugin, type Selectable, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { decodeCursor, encodeCursor, pageOf, type Page, type PageRequest } from '../db/pages.ts';
import { fromStored } from '../db/problems.ts';
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
type SyncEventRow = Selectable<Tables['sync_events']>;

export interface NewEvent {
  accountId: string;
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
}

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
 * seen n never misses a smaller one that commits later.
 */
export async function appendEvent(trx: Transaction<Tables>, event: NewEvent, clock: Clock): Promise<void> {
  const { last_sequence } = await trx
    .insertInto('event_sequences')
    .values({ account_id: event.accountId, last_sequence: 1 })
    .onConflict((conflict) =>
      conflict.column('account_id').doUpdateSet({ last_sequence: sql`event_sequences.last_sequence + 1` }),
    )
    .returning('last_sequence')
    .executeTakeFirstOrThrow();
  await trx
    .insertInto('sync_events')
    .values({
      account_id: event.accountId,
      sequence: BigInt(last_sequence),
      id: clock.randomUUID(),
      kind: event.kind,
      source: event.source,
      connection_id: event.connectionId,
      integration_id: event.integrationId,
      generation: event.generation,
      problem: event.problem,
      change: event.change,
      user_id: event.userId,
      occurred_at: new Date(clock.now()),
    })
    .execute();
  for (const plugin of trx.getExecutor().plugins)
    if (plugin instanceof AppendHook) plugin.onAppended(event.kind, 1);
}

export interface SyncEvent {
  id: string;
  cursor: string;
  kind: SyncEventKind;
  source: SyncEventSource;
  occurredAt: Date;
  connectionId: string;
  resource: string | null;
  externalId: string | null;
  problem: IntegrationProblem | null;
  change: ConnectionChange | null;
  userId: string | null;
}

/** A page of the events of each of several connections of one account, oldest first, in one statement. */
export async function listEvents(
  db: Kysely<Tables>,
  accountId: string,
  connectionIds: readonly string[],
  request: PageRequest,
): Promise<Map<string, Page<SyncEvent>>> {
  const after = request.after === null ? 0n : BigInt(request.after);
  const { rows } = await sql<SyncEventRow>`
    select e.* from unnest(${connectionIds}::uuid[]) as c (id)
    cross join lateral (
      select * from sync_events
      where account_id = ${accountId} and connection_id = c.id and sequence > ${after}
      order by sequence limit ${request.first + 1}
    ) e
    order by e.sequence`.execute(db);
  const byConnection = Map.groupBy(rows.map(eventOf), (event) => event.connectionId);
  const page = (id: string) =>
    pageOf(byConnection.get(id) ?? [], request, (event) => decodeCursor(event.cursor)!);
  return new Map(connectionIds.map((id) => [id, page(id)]));
}

function eventOf(row: SyncEventRow): SyncEvent {
  return {
    id: row.id,
    cursor: encodeCursor(String(row.sequence)),
    kind: row.kind as SyncEventKind,
    source: row.source as SyncEventSource,
    occurredAt: row.occurred_at,
    connectionId: row.connection_id,
    resource: row.resource,
    externalId: row.external_id,
    problem: fromStored(row.problem),
    change: row.change as ConnectionChange | null,
    userId: row.user_id,
  };
}
