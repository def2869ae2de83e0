import { sql, type Kysely } from 'kysely';
import type { Clock } from '../clock.ts';
import type { Connection } from '../connections/connection.ts';
import { pageOf, type Page, type PageRequest } from '../db/pages.ts';
import { statement, type Value } from '../db/statements.ts';
import type { StoredProfile, Tables } from '../db/tables.ts';
import { IntegrationError, type ProblemCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ExternalProfile, RecordSnapshot } from '../providers/provider.ts';
import { applyChanges, unstorable, type ConnectionChanges } from './changes.ts';

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
   * All of one account; no record may be in two of the answers. One statement where nothing is news, else those of
   * `applyChanges`, whose rules hold: what is news becomes an event. A stored record that the provider no longer has
   * becomes `deleted`; one that was never stored leaves no trace. Payloads over 256 KiB are left out.
   */
  keep(reads: readonly RecordsRead[]): Promise<void>;
  /** By `recordKey`. One statement, whatever the keys. */
  find(accountId: string, keys: readonly RecordKey[]): Promise<Map<string, KnownRecord>>;
  /** All of one account, in one statement, which writes only what has changed or was last written more than ten minutes ago. */
  keepProfiles(reads: readonly ProfileRead[]): Promise<void>;
  /** By connection id. One statement. */
  findProfiles(accountId: string, connectionIds: readonly string[]): Promise<Map<string, KnownProfile>>;
}

export interface StoredRecord extends KnownRecord {
  externalId: string;
}

/** What a cursor of `listRecords` decodes to. PostgreSQL has no text with a NUL in it. */
export const recordPosition = /^\d{1,16} [^\0]{1,256}$/;

interface PagesWanted {
  accountId: string;
  connectionIds: readonly string[];
  resource: string;
  updatedAfter: Date | null;
  /** The position after which they begin; both null for the first. */
  micros: string | null;
  externalId: string | null;
  most: number;
}
type PagedRecord = StoredRecord & { connectionId: string; micros: string };

const changedAt = sql`coalesce(updated_at, fetched_at)`;
/** Bounds instead of conditions that a null switches off: those would keep a plan for all values from the index. */
const recordPages = statement(
  (_, value: Value<PagesWanted>) => sql<PagedRecord>`
    select r.* from unnest(${value('connectionIds')}::uuid[]) as asked (id)
    cross join lateral (
      select * from connections where account_id = ${value('accountId')} and id = asked.id limit 1
    ) c
    cross join lateral (
      select connection_id as "connectionId", external_id as "externalId", payload, updated_at as "updatedAt",
        fetched_at as "fetchedAt", deleted, (extract(epoch from ${changedAt}) * 1000000)::int8::text as micros
      from external_records
      where account_id = c.account_id and connection_id = c.id and resource = ${value('resource')}
        and account_external_id = c.external_id
        and (${value('updatedAfter')}::timestamptz is not null or not deleted)
        and ${changedAt} > coalesce(${value('updatedAfter')}::timestamptz, '-infinity')
        and (${changedAt}, external_id) > (
          coalesce(to_timestamp(${value('micros')}::int8 / 1000000)
            + (${value('micros')}::int8 % 1000000) * interval '1 microsecond', '-infinity'),
          coalesce(${value('externalId')}::text, ''))
      order by ${changedAt}, external_id limit ${value('most')}
    ) r`,
);

/**
 * A page of what is stored of each of several connections of one account, by the time of the change, the oldest first:
 * who reads on from the last cursor sees everything that has changed since. With `updatedAfter` the deleted are among
 * them, else only those that exist. One statement.
 */
export async function listRecords(
  db: Kysely<Tables>,
  accountId: string,
  connectionIds: readonly string[],
  { resource, updatedAfter }: { resource: string; updatedAfter: Date | null },
  request: PageRequest,
): Promise<Map<string, Page<StoredRecord>>> {
  const space = request.after?.indexOf(' ') ?? -1;
  const [micros, externalId] = [
    request.after?.slice(0, space) ?? null,
    request.after?.slice(space + 1) ?? null,
  ];
  const wanted = { accountId, connectionIds, resource, updatedAfter, micros, externalId };
  const rows = await recordPages(db, { ...wanted, most: request.first + 1 });
  const byConnection = Map.groupBy(rows, (row) => row.connectionId);
  const position = (row: PagedRecord) => `${row.micros} ${row.externalId}`;
  return new Map(connectionIds.map((id) => [id, pageOf(byConnection.get(id) ?? [], request, position)]));
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

type KeyedRecord = RecordKey & KnownRecord;
interface KeysWanted {
  accountId: string;
  connectionIds: readonly string[];
  resources: readonly string[];
  externalIds: readonly string[];
}

/** By order, for the primary key alone has it: by equality the index of pages would do as well, all of it. */
const recordsByKey = statement(
  (_, value: Value<KeysWanted>) => sql<KeyedRecord>`
    select r.connection_id as "connectionId", r.resource, r.external_id as "externalId",
      r.payload, r.updated_at as "updatedAt", r.fetched_at as "fetchedAt", r.deleted
    from unnest(${value('connectionIds')}::uuid[], ${value('resources')}::text[], ${value('externalIds')}::text[])
      as k (connection_id, resource, external_id)
    cross join lateral (
      select * from connections where account_id = ${value('accountId')} and id = k.connection_id limit 1
    ) c
    cross join lateral (
      select * from external_records where account_id = c.account_id and connection_id = c.id
        and resource = k.resource and external_id >= k.external_id order by external_id limit 1
    ) r
    where c.status = 'ACTIVE' and r.account_external_id = c.external_id and r.external_id = k.external_id`,
);

interface StoredProfileRow {
  id: string;
  profile: StoredProfile;
  profile_at: Date;
}

const profilesOf = statement(
  (_, value: Value<{ accountId: string; connectionIds: readonly string[] }>) => sql<StoredProfileRow>`
    select c.id, c.profile, c.profile_at from unnest(${value('connectionIds')}::uuid[]) as asked (id)
    cross join lateral (
      select * from connections where account_id = ${value('accountId')} and id = asked.id limit 1
    ) c
    where c.status = 'ACTIVE' and c.profile_external_id = c.external_id`,
);

export function createRecordStore(deps: {
  forAccount: (accountId: string) => Kysely<Tables>;
  clock: Clock;
  log: Log;
}): RecordStore {
  const { forAccount, clock, log } = deps;
  /** The payload stays out of the line: an error of the driver carries the statement's parameters. */
  const unless = async <T>(failed: string, otherwise: T, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown };
      log.warn({ sqlState: code, reason: message }, failed);
      return otherwise;
    }
  };

  return {
    async keep(reads) {
      const accountId = reads[0]?.connection.accountId;
      if (accountId === undefined) return;
      await unless('records that were read could not be stored', undefined, () =>
        forAccount(accountId)
          .transaction()
          .execute(async (trx) => {
            await applyChanges(trx, accountId, reads.map(changesOf), 'USER', clock);
          }),
      );
    },

    async find(accountId, keys) {
      if (keys.length === 0) return new Map();
      const rows = await unless<KeyedRecord[]>('stored records could not be read', [], () =>
        recordsByKey(forAccount(accountId), {
          accountId,
          connectionIds: keys.map((key) => key.connectionId),
          resources: keys.map((key) => key.resource),
          externalIds: keys.map((key) => key.externalId),
        }),
      );
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
      await unless('profiles that were read could not be stored', undefined, async () => {
        await query.execute(forAccount(of[0]!.accountId));
      });
    },

    async findProfiles(accountId, connectionIds) {
      const rows = await unless<StoredProfileRow[]>('stored profiles could not be read', [], () =>
        profilesOf(forAccount(accountId), { accountId, connectionIds }),
      );
      return new Map(rows.map((row) => [row.id, { ...row.profile, fetchedAt: row.profile_at }]));
    },
  };
}

const changesOf = ({ connection, resource, askedIds, found, fetchedAt }: RecordsRead): ConnectionChanges => ({
  connection,
  changes: askedIds.map((externalId) => ({
    resource,
    externalId,
    snapshot: found.get(externalId) ?? null,
    fetchedAt,
  })),
});

const profileText = ({ id, name, url }: ExternalProfile) => JSON.stringify({ id, name, url });
