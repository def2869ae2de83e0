import DataLoader from 'dataloader';
import type { BudgetView } from '../src/calls/caller.ts';
import type { Connection } from '../src/connections/connection.ts';
import type { Page, PageRequest } from '../src/db/pages.ts';
import { listEvents, type SyncEvent } from '../src/events/events.ts';
import { batchesOf } from '../src/providers/batches.ts';
import {
  listRecords,
  recordKey,
  type StoredRecord,
  type KnownProfile,
  type KnownRecord,
  type ProfileRead,
  type RecordKey,
  type RecordsRead,
} from '../src/sync/records.ts';
import { listSyncStatuses, type SyncStatus } from '../src/sync/status.ts';
import type { WebhookDeliveryStatus } from '../src/db/tables.ts';
import { listDeliveries, type WebhookDelivery } from '../src/webhooks/deliveries.ts';
import type { Core } from './context.ts';
import { createLastKnown, readTogether, type Stale } from './liveReads.ts';

export type FetchedRecord = Stale<KnownRecord>;
export type FetchedProfile = Stale<KnownProfile>;

interface RecordOf {
  connection: Connection;
  resource: string;
  externalId: string;
}

/**
 * What one request reads, each thing once: the keys of a tick become one statement, or as few provider calls as the
 * provider's batch size allows. A key that fails rejects alone.
 */
export interface Loaders {
  /** By id; null for unknown, malformed and foreign ones alike. */
  connection: DataLoader<string, Connection | null>;
  /** All of the account's, the newest first. */
  connections(): Promise<Connection[]>;
  syncStatuses: DataLoader<Connection, SyncStatus[], string>;
  events(request: PageRequest): DataLoader<Connection, Page<SyncEvent>, string>;
  records(
    wanted: { resource: string; updatedAfter: Date | null },
    request: PageRequest,
  ): DataLoader<Connection, Page<StoredRecord>, string>;
  deliveries(
    status: WebhookDeliveryStatus | null,
    request: PageRequest,
  ): DataLoader<Connection, Page<WebhookDelivery>, string>;
  /** Live, else the last known one. Null where the provider has no identity call. */
  profile(connection: Connection): Promise<FetchedProfile | null>;
  /** Stored when young enough, else live, else the last known one. Null where the provider has no such record. */
  record(of: RecordOf, patience?: RecordPatience): Promise<FetchedRecord | null>;
  /** As it is stored; the provider is not asked. */
  storedRecord(of: RecordOf): Promise<KnownRecord | undefined>;
  rateLimit: DataLoader<Connection, BudgetView | undefined, string>;
}

export interface RecordPatience {
  /** Default: the server's setting. */
  maxAgeSeconds?: number | null | undefined;
  /** Default: the interactive deadline. */
  maxWaitMs?: number | null | undefined;
}

/** Of one request: reads that had to ask a provider, and the requests that were sent for them. */
export interface ProviderCalls {
  asked: number;
  made: number;
}

export function createLoaders(core: Core, accountId: string, calls: ProviderCalls): Loaders {
  const { api, catalog, connections, records, clock } = core;
  const db = core.forAccount(accountId);
  const byConnection = { cacheKeyFn: (connection: Connection) => connection.id };
  const onRequest = () => void calls.made++;
  const patience = () => ({ deadlineAtMs: clock.now() + core.interactiveDeadlineMs, onRequest });
  const asked = <T>(read: T): T => {
    calls.asked++;
    return read;
  };
  const eventPages = pageLoaders<SyncEvent>();
  const recordPages = pageLoaders<StoredRecord>();
  const deliveryPages = pageLoaders<WebhookDelivery>();
  let all: Promise<Connection[]> | undefined;

  const batches = (group: readonly RecordOf[]): RecordOf[][] => {
    const { connection, resource } = group[0]!;
    const reads = catalog.find(connection.integrationId)?.provider.records;
    return reads ? batchesOf(reads, resource, group) : [[...group]];
  };
  const readRecords = async (chunk: readonly RecordOf[]): Promise<RecordsRead> => {
    const { connection, resource } = chunk[0]!;
    const askedIds = chunk.map((key) => key.externalId);
    const found = await api.records(connection, resource, askedIds, patience());
    return { connection, resource, askedIds, found, fetchedAt: new Date(clock.now()) };
  };
  const liveRecords = new DataLoader<RecordOf, Promise<FetchedRecord | null>, string>(
    (keys) => {
      const groups = Map.groupBy(keys, (key) => JSON.stringify([key.connection.id, key.resource]));
      const requests = [...groups.values()].flatMap(batches);
      const reads = readTogether(requests, readRecords, records.keep);
      const answers = new Map(requests.flatMap((chunk, i) => chunk.map((key) => [keyOf(key), reads[i]!])));
      return Promise.resolve(
        keys.map(async (key) => {
          const { found, fetchedAt } = await answers.get(keyOf(key))!;
          const snapshot = found.get(key.externalId);
          return snapshot ? { ...snapshot, fetchedAt, deleted: false, stale: false } : null;
        }),
      );
    },
    { cacheKeyFn: keyOf },
  );
  const lastRecords = createLastKnown<RecordOf, KnownRecord>(clock, keyOf, (keys) =>
    records.find(accountId, keys.map(storedKey)),
  );

  const readProfile = async (connection: Connection) => {
    const profile = await api.profile(connection, patience());
    return { connection, profile, fetchedAt: new Date(clock.now()) };
  };
  const liveProfiles = new DataLoader<Connection, Promise<FetchedProfile | null>, string>((of) => {
    const reads = readTogether(of, readProfile, (answers) =>
      records.keepProfiles(answers.filter((read): read is ProfileRead => read.profile !== null)),
    );
    return Promise.resolve(
      reads.map(async (read) => {
        const { profile, fetchedAt } = await read;
        return profile && { ...profile, fetchedAt, stale: false };
      }),
    );
  }, byConnection);
  const lastProfiles = createLastKnown<Connection, KnownProfile>(clock, byConnection.cacheKeyFn, (of) =>
    records.findProfiles(
      accountId,
      of.map((connection) => connection.id),
    ),
  );

  return {
    connection: new DataLoader(
      async (ids) => {
        const found = await connections.find(accountId, ids);
        return ids.map((id) => found.get(id.toLowerCase()) ?? null);
      },
      { maxBatchSize: 1_000 },
    ),
    connections: () => (all ??= connections.list(accountId)),
    syncStatuses: new DataLoader(async (of) => {
      const found = await listSyncStatuses(db, accountId, of);
      return of.map((connection) => found.get(connection.id) ?? []);
    }, byConnection),
    events: (request) => eventPages(request, (ids) => listEvents(db, accountId, ids, request)),
    records: (wanted, request) =>
      recordPages([wanted, request], (ids) => listRecords(db, accountId, ids, wanted, request)),
    deliveries: (status, request) =>
      deliveryPages([status, request], (ids) => listDeliveries(db, accountId, ids, status, request)),
    profile(connection) {
      const { identity } = catalog.find(connection.integrationId)?.provider ?? {};
      const live = flat(liveProfiles.load(connection));
      return lastProfiles.orLive(connection, identity ? asked(live) : live);
    },
    async record(key, { maxAgeSeconds, maxWaitMs } = {}) {
      const { only } = catalog.find(key.connection.integrationId)?.provider.records ?? {};
      // The provider tells of these only by its changes: what they brought is all that can be known.
      if (only && !only.includes(key.resource)) {
        const stored = await lastRecords.find(key);
        return stored ? { ...stored, stale: false } : null;
      }
      const maxAgeMs = (maxAgeSeconds ?? core.recordMaxAgeSeconds) * 1_000;
      if (maxAgeMs > 0) {
        const stored = await lastRecords.find(key);
        if (stored && clock.now() - stored.fetchedAt.getTime() <= maxAgeMs)
          return { ...stored, stale: false };
      }
      return lastRecords.orLive(key, asked(flat(liveRecords.load(key))), maxWaitMs);
    },
    storedRecord: lastRecords.find,
    rateLimit: new DataLoader((of) => api.rateLimits(of), byConnection),
  };
}

/** One loader for each page that is asked for, whatever the connections. */
function pageLoaders<Node>() {
  const loaders = new Map<string, DataLoader<Connection, Page<Node>, string>>();
  return (asked: unknown, read: (ids: readonly string[]) => Promise<Map<string, Page<Node>>>) => {
    const key = JSON.stringify(asked);
    const loader =
      loaders.get(key) ??
      new DataLoader<Connection, Page<Node>, string>(
        async (of) => {
          const ids = of.map((connection) => connection.id);
          const pages = await read(ids);
          return ids.map((id) => pages.get(id)!);
        },
        { cacheKeyFn: (connection) => connection.id },
      );
    loaders.set(key, loader);
    return loader;
  };
}

const storedKey = ({ connection, resource, externalId }: RecordOf): RecordKey => ({
  connectionId: connection.id,
  resource,
  externalId,
});
const keyOf = (key: RecordOf) => recordKey(storedKey(key));

/** A loader that answers a promise for each key lets each settle when it can, instead of all with the slowest. */
async function flat<T>(nested: Promise<Promise<T>>): Promise<T> {
  return nested;
}
