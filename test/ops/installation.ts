import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import { openDatabase, type Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { migratedDump, postgresDatabase } from '../support/databases.ts';

/** A database that a command of its own can be run on, and that the test looks into before and after. */
export interface Installation {
  settings: Record<string, string>;
  within<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  remove(): Promise<void>;
}

export const installations: [kind: Database['kind'], make: () => Promise<Installation>][] = [
  ['embedded', embeddedInstallation],
  ['postgres', postgresInstallation],
];

/** One process at a time: it is opened for each look. */
export async function embeddedInstallation(): Promise<Installation> {
  const dataDir = await mkdtemp(join(tmpdir(), 'integrations-ops-'));
  const dump = await migratedDump();
  await (await openDatabase({ dataDir, poolSize: 1, dump })).close();
  return {
    settings: { DATA_DIR: dataDir },
    async within(work) {
      const database = await openDatabase({ dataDir, poolSize: 1 });
      try {
        return await work(database.db);
      } finally {
        await database.close();
      }
    },
    remove: () => rm(dataDir, { recursive: true }),
  };
}

export async function postgresInstallation(): Promise<Installation> {
  const database = await postgresDatabase();
  if (database.kind !== 'postgres') throw new Error('Not PostgreSQL');
  return {
    settings: { DATABASE_URL: database.databaseUrl, DATA_DIR: '/nonexistent' },
    within: (work) => work(database.db),
    remove: () => database.close(),
  };
}
