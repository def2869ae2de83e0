import { sql, type Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Connection } from '../connections/connection.ts';
import type { StoredProblem, SyncState, Tables } from '../db/tables.ts';
import { appendingTold, reportAppended, type SyncEventKind, type SyncEventSource } from '../events/events.ts';
import type { RecordSnapshot } from '../providers/provider.ts';

/**
 * The single way into the store of records, for webhooks, polls and live reads alike. The provider's newer version of
 * a record wins, whatever arrives last: what is older, or known already, changes nothing and is no event.
 */

export interface RecordChange {
  resource: string;
  externalId: string;
  /** Null: it does not exist at the provider. */
  snapshot: RecordSnapshot | null;
  /** When a record that is gone went, by the provider's clock; null where it does not say. */
  deletedAt?: Date | null;
  /** When the provider's answer, or its word that the record is gone, arrived here. */
  fetchedAt: Date;
  /** The provider spoke of it: it is remembered as gone even if it was never seen here. */
  announced?: boolean;
  /** A webhook announced this version; or a poll found it, and one should have. */
  webhook?: 'announced' | 'awaited';
}

/** What changes are applied to: the external account, so that nothing of one is taken for another's. */
export type ChangedConnection = Pick<
  Connection,
  'accountId' | 'id' | 'integrationId' | 'externalId' | 'generation'
>;

export interface ConnectionChanges {
  connection: ChangedConnection;
  changes: readonly RecordChange[];
}

/** What is said of a connection's resources beside their records, by name. Whatever is absent stays as it is. */
export interface StatusUpdate {
  connectionId: string;
  columns: Readonly<Record<string, StatusColumns>>;
}

/** Columns of `sync_statuses`; times are ISO 8601, a problem is as stored. */
export interface StatusColumns {
  state?: SyncState;
  /** A webhook moves it to WEBHOOK only where webhooks are trusted. */
  delivery?: 'WEBHOOK' | 'POLL';
  last_synced_at?: string;
  last_webhook_at?: string;
  last_polled_at?: string;
  consecutive_failures?: number;
  progress_done?: number | null;
  progress_total?: number | null;
  problem?: StoredProblem | null;
  distrust?: number;
}

export interface Applied {
  /** What was news, by connection and resource. */
  news: AppliedChange[];
  /** What cannot be stored: over 256 KiB, or text that the database cannot hold. */
  unstorable: { connectionId: string; resource: string; externalId: string }[];
}

export interface AppliedChange {
  connectionId: string;
  resource: string;
  externalId: string;
  kind: RecordEventKind;
  /** From the provider's time of the change until now; null where it gives none. */
  lagSeconds: number | null;
}

type RecordEventKind = Extract<SyncEventKind, `RECORD_${string}`>;

const longestPayloadBytes = 256 * 1024;
const longestStatementBytes = 8 * 1024 * 1024;
/** What JSON can say and `jsonb` cannot hold: U+0000 and halves of surrogate pairs. It would fail all other rows too. */
export const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/**
 * Records, counts and events commit together, with the rest of `trx`. All of one account; no record twice. One
 * statement (one more for every 8 MiB), however many changes. Last in its transaction: see `appendEvents`. Records are
 * locked before sync statuses, and these before the account's counter: who locks several keeps to that order.
 *
 * Of two versions the later wins by the provider's time; of equal ones, and where either has none, the one fetched
 * last.
 */
export async function applyChanges(
  trx: Transaction<Tables>,
  accountId: string,
  changed: readonly ConnectionChanges[],
  source: SyncEventSource,
  clock: Clock,
  status?: StatusUpdate,
): Promise<Applied> {
  const applied: Applied = { news: [], unstorable: [] };
  const rows: Row[] = [];
  for (const { connection, changes } of changed)
    for (const change of changes) {
      const row = rowOf(connection, change, clock);
      if (row) rows.push(row);
      else {
        const { resource, externalId } = change;
        applied.unstorable.push({ connectionId: connection.id, resource, externalId });
      }
    }
  const statements = statementsOf(rows);
  if (status && statements.length === 0) statements.push([]);
  for (const statement of statements)
    applied.news.push(...(await write(trx, accountId, statement, source, clock, status)));
  return applied;
}

/** `payload` is JSON text; null for a record that does not exist. Times are ISO 8601. */
interface Row {
  connectionId: string;
  integrationId: string;
  generation: number;
  accountExternalId: string | null;
  resource: string;
  externalId: string;
  payload: string | null;
  updatedAt: string | null;
  fetchedAt: string;
  announced: boolean;
  /** Of `unannounced_at`; null leaves it. */
  unannouncedAt: string | null;
  eventId: string;
}

/** Undefined for one that cannot be stored. */
function rowOf(connection: ChangedConnection, change: RecordChange, clock: Clock): Row | undefined {
  const { resource, externalId, snapshot, deletedAt = null, fetchedAt, announced = false, webhook } = change;
  const payload = snapshot ? JSON.stringify(snapshot.payload) : null;
  if (payload !== null && (Buffer.byteLength(payload) > longestPayloadBytes || unstorable.test(payload)))
    return undefined;
  return {
    connectionId: connection.id,
    integrationId: connection.integrationId,
    generation: connection.generation,
    accountExternalId: connection.externalId,
    resource,
    externalId,
    payload,
    updatedAt: (snapshot ? snapshot.updatedAt : deletedAt)?.toISOString() ?? null,
    fetchedAt: fetchedAt.toISOString(),
    announced,
    unannouncedAt:
      webhook === 'announced' ? '-infinity' : webhook === 'awaited' ? fetchedAt.toISOString() : null,
    eventId: clock.randomUUID(),
  };
}

/**
 * What was news. A row remembers the event that told of its last change: if that is ours, we changed it. The CTEs run
 * in the order in which they need each other: records, then counts, then the account's counter of events.
 */
async function write(
  trx: Transaction<Tables>,
  accountId: string,
  rows: readonly Row[],
  source: SyncEventSource,
  clock: Clock,
  status: StatusUpdate | undefined,
): Promise<AppliedChange[]> {
  const column = <K extends keyof Row>(name: K) => rows.map((row) => row[name]);
  const connectionIds = [...new Set([...column('connectionId'), ...(status ? [status.connectionId] : [])])];
  // What a backfill or a person's read brings may have changed years ago.
  const isLive = source === 'WEBHOOK' || source === 'POLL';
  const query = sql<AppliedChange>`
    with incoming as (
      select * from unnest(${column('connectionId')}::uuid[], ${column('integrationId')}::text[],
        ${column('generation')}::int[], ${column('accountExternalId')}::text[], ${column('resource')}::text[],
        ${column('externalId')}::text[], ${column('payload')}::text[], ${column('updatedAt')}::timestamptz[],
        ${column('fetchedAt')}::timestamptz[], ${column('announced')}::boolean[],
        ${column('unannouncedAt')}::timestamptz[], ${column('eventId')}::uuid[])
        with ordinality as r (connection_id, integration_id, generation, account_external_id, resource, external_id,
          payload, updated_at, fetched_at, announced, unannounced_at,
          event_id, place)
    ), written as (
      insert into external_records as known (account_id, connection_id, resource, external_id, payload, updated_at,
        fetched_at, deleted, deleted_at, account_external_id, event_id, was_deleted,
        unannounced_at)
      select c.account_id, c.id, r.resource, r.external_id, r.payload::jsonb, r.updated_at, r.fetched_at,
        r.payload is null, case when r.payload is null then r.updated_at end, c.external_id, r.event_id, true,
        r.unannounced_at
      from incoming r
      join connections c on c.account_id = ${accountId} and c.id = r.connection_id
        and c.external_id = r.account_external_id and c.status <> 'DISCONNECTED'
      where r.payload is not null or r.announced or exists (
        select from external_records e
        where e.account_id = c.account_id and e.connection_id = c.id and e.resource = r.resource
          and e.external_id = r.external_id and e.account_external_id = c.external_id)
      -- Two that store the same rows lock them in the same order. The connection's row comes first: the check of the
      -- foreign key would lock it when the counter of events is held, which who ends a connection takes after that row.
      order by 1, 2, 3, 4
      for key share of c
      on conflict (account_id, connection_id, resource, external_id) do update set
        payload = excluded.payload,
        updated_at = case when excluded.deleted then coalesce(excluded.deleted_at, known.updated_at)
          else excluded.updated_at end,
        deleted_at = excluded.deleted_at,
        fetched_at = excluded.fetched_at,
        deleted = excluded.deleted,
        was_deleted = known.deleted,
        account_external_id = excluded.account_external_id,
        event_id = case when known.deleted = excluded.deleted
            and known.payload is not distinct from excluded.payload
            and known.account_external_id is not distinct from excluded.account_external_id
          then known.event_id else excluded.event_id end,
        unannounced_at = case
          when excluded.unannounced_at = '-infinity' then excluded.unannounced_at
          when known.deleted = excluded.deleted and known.payload is not distinct from excluded.payload
            then known.unannounced_at
          else coalesce(excluded.unannounced_at, known.unannounced_at) end
      where known.account_external_id is distinct from excluded.account_external_id or
        case when coalesce(
            (case when known.deleted then known.deleted_at else known.updated_at end)
              = (case when excluded.deleted then excluded.deleted_at else excluded.updated_at end), true)
          then known.fetched_at < excluded.fetched_at
          -- Of a record that is gone, both are the time when it went.
          else known.updated_at < excluded.updated_at
        end
      returning resource, external_id, deleted, was_deleted, event_id
    ), news as (
      select r.*, case when w.deleted then 'RECORD_DELETED' when w.was_deleted then 'RECORD_CREATED'
          else 'RECORD_UPDATED' end as kind,
        w.was_deleted::int - w.deleted::int as counts
      from written w join incoming r on r.event_id = w.event_id
    ), due as (
      select s.account_id, s.connection_id, s.resource, coalesce(n.counts, 0) as counts, n.lag,
        coalesce(w.patch, '{}') as patch
      from sync_statuses s
      left join (
        select connection_id, resource, sum(counts) as counts,
          extract(epoch from ${new Date(clock.now())}::timestamptz - max(updated_at)) as lag
        from news group by 1, 2
      ) n on n.connection_id = s.connection_id and n.resource = s.resource
      left join jsonb_each(${JSON.stringify(status?.columns ?? {})}::jsonb) as w (resource, patch)
        on w.resource = s.resource and s.connection_id = ${status?.connectionId ?? null}::uuid
      where s.account_id = ${accountId} and s.connection_id = any(${connectionIds}::uuid[])
        and (n.resource is not null or w.resource is not null)
      order by s.connection_id, s.resource
      for no key update of s
    ), counted as (
      update sync_statuses s set
        record_count = s.record_count + due.counts,
        lag_seconds = case when ${isLive}::boolean and due.lag is not null
          then greatest(0, least(due.lag, 2000000000))::int else s.lag_seconds end,
        (state, delivery, last_synced_at, last_webhook_at, last_polled_at, consecutive_failures, progress_done,
          progress_total, problem, distrust)
        = (select p.state, case when ${source} = 'WEBHOOK' and s.distrust > 0 then s.delivery else p.delivery end,
            p.last_synced_at, p.last_webhook_at, p.last_polled_at, p.consecutive_failures, p.progress_done,
            p.progress_total, nullif(p.problem, 'null'), p.distrust
          from jsonb_populate_record(s, due.patch) p)
      from due where s.account_id = due.account_id and s.connection_id = due.connection_id
        and s.resource = due.resource
      returning 1
    ), told as (
      select n.event_id, n.place, n.kind, ${source}::text as source, n.connection_id, n.integration_id,
        n.generation, n.resource, n.external_id, null as problem, null as change, null as user_id, n.updated_at
      from news n where (select count(*) from counted) >= 0
    ), ${appendingTold(accountId, clock)}
    select connection_id as "connectionId", resource, external_id as "externalId", kind,
      extract(epoch from ${new Date(clock.now())}::timestamptz - updated_at)::float8 as "lagSeconds"
    from told where (select count(*) from woken) >= 0 order by place`;
  const { rows: news } = await query.execute(trx);
  reportAppended(
    trx,
    news.map(({ kind }) => kind),
  );
  return news;
}

function statementsOf(rows: readonly Row[]): Row[][] {
  const statements: Row[][] = [];
  let bytes = Infinity;
  for (const row of rows) {
    const own = Buffer.byteLength(row.payload ?? '');
    if (bytes + own > longestStatementBytes) {
      statements.push([]);
      bytes = 0;
    }
    statements.at(-1)!.push(row);
    bytes += own;
  }
  return statements;
}
