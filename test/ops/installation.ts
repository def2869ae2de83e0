import { rm } from 'node:fs/promises';
import type { Kysely } from 'kysely';
import { afterEach, beforeEach } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { postgresDatabase } from '../support/databases.ts';
import { migratedDataDir } from '../support/migratedDump.ts';
import { runOps, type Ended } from './runOps.ts';

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

/** One for each test of a `describe`, and the operator's command on it. */
export function eachWith(make: () => Promise<Installation>): {
  settings(): Installation['settings'];
  within: Installation['within'];
  ops(encryptionKeys: string, ...args: string[]): Promise<Ended>;
} {
  let installation: Installation;
  beforeEach(async () => {
    installation = await make();
  });
  afterEach(() => installation.remove());
  return {
    settings: () => installation.settings,
    within: (work) => installation.within(work),
    ops: (encryptionKeys, ...args) =>
      runOps({ ...installation.settings, ENCRYPTION_KEYS: encryptionKeys }, ...args),
  };
}

/** One process at a time: it is opened for each look. */
export async function embeddedInstallation(): Promise<Installation> {
  const dataDir = await migratedDataDir();
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
