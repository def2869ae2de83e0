import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Connection } from '../connections/connection.ts';
import type { StoredProfile, Tables } from '../db/tables.ts';
import { IntegrationError, type ProblemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ExternalProfile, RecordSnapshot } from '../providers/provider.ts';

export interface RecordKey {
  connectionId: string;
  resource: string;
  externalId: string;
}

/** A record as the provider last gave it. Of a deleted one there is no payload. */
export interface KnownRecord {
  payload: Record<string, unknown> | null;
  /** By the provider's clock; null where it gives none. */
  updatedAt: Date | null;
  /** When the provider's answer arrived here. */
  fetchedAt: Date;
  deleted: boolean;
}

export interface KnownProfile extends ExternalProfile {
  fetchedAt: Date;
}

/** One answer of a provider: of `askedIds`, those that are not `found` do not exist there. */
export interface RecordsRead {
  connection: Connection;
  resource: string;
  askedIds: readonly string[];
  found: ReadonlyMap<string, RecordSnapshot>;
  fetchedAt: Date;
}

export interface ProfileRead {
  connection: Connection;
  profile: ExternalProfile;
  fetchedAt: Date;
}

/**
 * What providers last said, for when they cannot be asked. It serves reads and must never be why one fails: where the
 * database fails, that is logged, nothing is stored, and nothing is found.
 *
 * Only what was read from the external account that a connection has now is found, and only while it is ACTIVE.
 */
export interface RecordStore {
  /**
   * One statement (one more for every 8 MiB), however many answers, all of one account; no record may be in two of them. The provider's
   * newer version wins, whatever arrives last; of equal versions, and where either has no time, the one fetched last. A
   * stored record that the provider no longer has becomes `deleted`; one that was never stored leaves no trace. Payloads
   * over 256 KiB are left out.
   */
  keep(reads: readonly RecordsRead[]): Promise<void>;
  /** By `recordKey`. One statement, whatever the keys. */
  find(accountId: string, keys: readonly RecordKey[]): Promise<Map<string, KnownRecord>>;
  /** All of one account, in one statement, which writes only what has changed or was last written more than ten minutes ago. */
  keepProfiles(reads: readonly ProfileRead[]): Promise<void>;
  /** By connection id. One statement. */
  findProfiles(accountId: string, connectionIds: readonly string[]): Promise<Map<string, KnownProfile>>;
}

export const recordKey = (key: RecordKey): string =>
  JSON.stringify([key.connectionId, key.resource, key.externalId]);

/** Trouble in which the last known answer is better than none: it passes, and says nothing against the connection. */
const passing: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  'DEADLINE_EXCEEDED',
  'TIMEOUT',
  'RATE_LIMITED',
  'QUEUE_FULL',
  'CIRCUIT_OPEN',
  'NETWORK_ERROR',
  'PROVIDER_ERROR',
]);

/** Whether what was last known may be answered instead of this failure. */
export function mayBeStale(error: unknown): boolean {
  return error instanceof IntegrationError && error.retryable && passing.has(error.code);
}

const longestPayloadBytes = 256 * 1024;
const longestStatementBytes = 8 * 1024 * 1024;
/** What JSON can say and `jsonb` cannot hold: U+0000 and halves of surrogate pairs. It would fail all other rows too. */
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

export function createRecordStore(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  log: Log;
}): RecordStore {
  const { forAccount, log } = deps;
  /** The payload stays out of the line: an error of the driver carries the statement's parameters. */
  const rowsUnless = async <T>(accountId: string, failed: string, query: RawBuilder<T>): Promise<T[]> => {
    try {
      return (await query.execute(forAccount(accountId))).rows;
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown };
      log.warn({ sqlState: code, reason: message }, failed);
      return [];
    }
  };

  const insert = (rows: readonly Row[]) => {
    const column = <K extends keyof Row>(name: K) => rows.map((row) => row[name]);
    return sql`
      insert into external_records as known (account_id, connection_id, resource, external_id,
        payload, updated_at, fetched_at, deleted, account_external_id)
      select c.account_id, c.id, r.resource, r.external_id,
        r.payload::jsonb, r.updated_at, r.fetched_at, r.payload is null, c.external_id
      from unnest(${column('accountId')}::text[], ${column('connectionId')}::uuid[],
        ${column('accountExternalId')}::text[], ${column('resource')}::text[], ${column('externalId')}::text[],
        ${column('payload')}::text[], ${column('updatedAt')}::timestamptz[], ${column('fetchedAt')}::timestamptz[])
        as r (account_id, connection_id, account_external_id, resource, external_id,
          payload, updated_at, fetched_at)
      join connections c on c.account_id = r.account_id and c.id = r.connection_id
        and c.external_id = r.account_external_id and c.status <> 'DISCONNECTED'
      where r.payload is not null or exists (
        select from external_records e
        where e.account_id = c.account_id and e.connection_id = c.id and e.resource = r.resource
          and e.external_id = r.external_id and e.account_external_id = c.external_id)
      -- Two that store the same rows lock them in the same order.
      order by 1, 2, 3, 4
      on conflict (account_id, connection_id, resource, external_id) do update set
        payload = excluded.payload,
        updated_at = case when excluded.deleted then known.updated_at else excluded.updated_at end,
        fetched_at = excluded.fetched_at,
        deleted = excluded.deleted,
        account_external_id = excluded.account_external_id
      where known.account_external_id is distinct from excluded.account_external_id or
        case when known.deleted or excluded.deleted
            or coalesce(known.updated_at = excluded.updated_at, true)
          then known.fetched_at < excluded.fetched_at
          else known.updated_at < excluded.updated_at
        end`;
  };

  return {
    async keep(reads) {
      for (const rows of statementsOf(reads.flatMap(rowsOf)))
        await rowsUnless(rows[0]!.accountId, 'records that were read could not be stored', insert(rows));
    },

    async find(accountId, keys) {
      if (keys.length === 0) return new Map();
      const query = sql<RecordKey & KnownRecord>`
        select r.connection_id as "connectionId", r.resource, r.external_id as "externalId",
          r.payload, r.updated_at as "updatedAt", r.fetched_at as "fetchedAt", r.deleted
        from unnest(${keys.map((key) => key.connectionId)}::uuid[], ${keys.map((key) => key.resource)}::text[],
          ${keys.map((key) => key.externalId)}::text[]) as k (connection_id, resource, external_id)
        join connections c on c.account_id = ${accountId} and c.id = k.connection_id and c.status = 'ACTIVE'
        join external_records r on r.account_id = c.account_id and r.connection_id = c.id
          and r.resource = k.resource and r.external_id = k.external_id
          and r.account_external_id = c.external_id`;
      const rows = await rowsUnless(accountId, 'stored records could not be read', query);
      return new Map(rows.map((row) => [recordKey(row), row]));
    },

    async keepProfiles(reads) {
      const storable = reads.filter(({ profile }) => !unstorable.test(profileText(profile)));
      if (storable.length === 0) return;
      const of = storable.map(({ connection }) => connection);
      // Waits for nobody, so that it cannot be part of a deadlock: a row that is being changed is left to the next read.
      const query = sql`
        with due as (
          select c.account_id, c.id, r.profile::jsonb, r.fetched_at
          from unnest(${of.map((one) => one.accountId)}::text[], ${of.map((one) => one.id)}::uuid[],
            ${of.map((one) => one.generation)}::int[], ${of.map((one) => one.externalId)}::text[],
            ${storable.map((read) => profileText(read.profile))}::text[],
            ${storable.map((read) => read.fetchedAt.toISOString())}::timestamptz[])
            as r (account_id, id, generation, external_id, profile, fetched_at)
          join connections c on c.account_id = r.account_id and c.id = r.id and c.generation = r.generation
            and c.external_id = r.external_id and c.status <> 'DISCONNECTED'
          where c.profile_external_id is distinct from c.external_id
            or c.profile_at < r.fetched_at - interval '10 minutes'
            or c.profile_at < r.fetched_at and c.profile <> r.profile::jsonb
          for no key update of c skip locked
        )
        update connections c
        set profile = due.profile, profile_at = due.fetched_at, profile_external_id = c.external_id
        from due where c.account_id = due.account_id and c.id = due.id`;
      await rowsUnless(of[0]!.accountId, 'profiles that were read could not be stored', query);
    },

    async findProfiles(accountId, connectionIds) {
      const query = sql<{ id: string; profile: StoredProfile; profile_at: Date }>`
        select id, profile, profile_at from connections
        where account_id = ${accountId} and id = any(${connectionIds}::uuid[]) and status = 'ACTIVE'
          and profile_external_id = external_id`;
      const rows = await rowsUnless(accountId, 'stored profiles could not be read', query);
      return new Map(rows.map((row) => [row.id, { ...row.profile, fetchedAt: row.profile_at }]));
    },
  };
}

/** `payload` is JSON text; null for a record that does not exist. Times are ISO 8601. */
interface Row {
  accountId: string;
  connectionId: string;
  accountExternalId: string | null;
  resource: string;
  externalId: string;
  payload: string | null;
  updatedAt: string | null;
  fetchedAt: string;
}

function rowsOf({ connection, resource, askedIds, found, fetchedAt }: RecordsRead): Row[] {
  return askedIds.flatMap((externalId) => {
    const snapshot = found.get(externalId);
    const payload = snapshot ? JSON.stringify(snapshot.payload) : null;
    if (payload !== null && (Buffer.byteLength(payload) > longestPayloadBytes || unstorable.test(payload)))
      return [];
    return {
      accountId: connection.accountId,
      connectionId: connection.id,
      accountExternalId: connection.externalId,
      resource,
      externalId,
      payload,
      updatedAt: snapshot?.updatedAt?.toISOString() ?? null,
      fetchedAt: fetchedAt.toISOString(),
    };
  });
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

const profileText = ({ id, name, url }: ExternalProfile) => JSON.stringify({ id, name, url });
