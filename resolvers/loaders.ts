import DataLoader from 'dataloader';
import type { BudgetView } from '../src/calls/caller.ts';
import type { Connection } from '../src/connections/connection.ts';
import type { Page, PageRequest } from '../src/db/pages.ts';
import { IntegrationError } from '../src/errors.ts';
import { listEvents, type SyncEvent } from '../src/events/events.ts';
import type { ExternalProfile, RecordSnapshot } from '../src/providers/provider.ts';
import { listSyncStatuses, type SyncStatus } from '../src/sync/status.ts';
import type { Core } from './context.ts';

/** `fetchedAt` is when the answer arrived here. */
export interface FetchedRecord extends RecordSnapshot {
  fetchedAt: Date;
}

interface RecordKey {
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
  profile: DataLoader<Connection, ExternalProfile | null, string>;
  /** Null where the provider has no such record. */
  record: DataLoader<RecordKey, FetchedRecord | null, string>;
  rateLimit: DataLoader<Connection, BudgetView | undefined, string>;
}

export function createLoaders(core: Core, accountId: string): Loaders {
  const { db, api, catalog, connections, clock } = core;
  const byConnection = { cacheKeyFn: (connection: Connection) => connection.id };
  const patience = () => ({ deadlineAtMs: clock.now() + core.interactiveDeadlineMs });
  const eventLoaders = new Map<string, DataLoader<Connection, Page<SyncEvent>, string>>();
  let all: Promise<Connection[]> | undefined;

  const records = async (keys: readonly RecordKey[]): Promise<(FetchedRecord | null | Error)[]> => {
    const answers = new Map<string, FetchedRecord | null | Error>();
    const groups = Map.groupBy(keys, (key) => JSON.stringify([key.connection.id, key.resource]));
    await Promise.all(
      [...groups.values()].flatMap((group) => {
        const { connection, resource } = group[0]!;
        const size = catalog.find(connection.integrationId)?.provider.records.batchSize ?? 1;
        return chunks(group, size).map(async (chunk) => {
          const found = await settle(
            api.records(
              connection,
              resource,
              chunk.map((key) => key.externalId),
              patience(),
            ),
          );
          const fetchedAt = new Date(clock.now());
          for (const key of chunk) {
            const snapshot = found instanceof Error ? found : found.get(key.externalId);
            answers.set(
              recordKey(key),
              snapshot === undefined
                ? null
                : snapshot instanceof Error
                  ? snapshot
                  : { ...snapshot, fetchedAt },
            );
          }
        });
      }),
    );
    return keys.map((key) => answers.get(recordKey(key))!);
  };

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
    events(request) {
      const key = JSON.stringify(request);
      const loader =
        eventLoaders.get(key) ??
        new DataLoader(async (of: readonly Connection[]) => {
          const ids = of.map((connection) => connection.id);
          const pages = await listEvents(db, accountId, ids, request);
          return ids.map((id) => pages.get(id)!);
        }, byConnection);
      eventLoaders.set(key, loader);
      return loader;
    },
    profile: new DataLoader<Connection, ExternalProfile | null, string>(
      (of) => Promise.all(of.map((connection) => settle(api.profile(connection, patience())))),
      byConnection,
    ),
    record: new DataLoader(records, { cacheKeyFn: recordKey }),
    rateLimit: new DataLoader((of) => api.rateLimits(of), byConnection),
  };
}

const recordKey = (key: RecordKey) => JSON.stringify([key.connection.id, key.resource, key.externalId]);

/** An expected failure becomes the key's own error; a bug fails the whole batch, loudly. */
function settle<T>(work: Promise<T>): Promise<T | IntegrationError> {
  return work.catch((error: unknown) => {
    if (error instanceof IntegrationError) return error;
    throw error;
  });
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}
