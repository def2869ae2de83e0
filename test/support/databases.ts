/**
 * Fresh, migrated databases for tests.
 *
 *   describe.each(databaseKinds)('records on %s', (_kind, open) => {
 *     let database: Database;
 *     beforeEach(async () => { database = await open(); });
 *     afterEach(() => database.close());
 *     ...
 *   });
 *
 *   databaseKinds                        [['embedded', embeddedDatabase], ['postgres', postgresDatabase]];
 *                                        with TEST_DATABASE set only the one that it names
 *   embeddedDatabase(options?)           in memory, 0.3 s each
 *   postgresDatabase(options?)           its own database in the run's one PostgreSQL server; dropped by `close`
 *   emptyPostgresUrl()                   a database without tables, for tests of the migration itself
 *   migratedPostgresUrl()                one with them, for processes of the product
 *   options                              { poolSize?, onQuery?, onPoolError? } as for `openDatabase`
 *
 * Every call gives a database that nobody else has; close it, or the run ends with open handles.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase, type Database, type DatabaseOptions } from '../../src/db/database.ts';
import { migratedDump } from './migratedDump.ts';
import { templateDatabase } from './postgresServer.ts';

export type TestDatabaseOptions = Partial<Pick<DatabaseOptions, 'poolSize' | 'onQuery' | 'onPoolError'>>;
export type OpenTestDatabase = (options?: TestDatabaseOptions) => Promise<Database>;

const both: [kind: Database['kind'], open: OpenTestDatabase][] = [
  ['embedded', embeddedDatabase],
  ['postgres', postgresDatabase],
];
/** Mutants are judged on one of them. */
export const databaseKinds = both.filter(([kind]) =>
  [undefined, kind].includes(process.env.TEST_DATABASE as typeof kind),
);

export async function embeddedDatabase(options: TestDatabaseOptions = {}): Promise<Database> {
  return openDatabase({ dataDir: 'memory://', poolSize: 1, dump: await migratedDump(), ...options });
}

export async function postgresDatabase(options: TestDatabaseOptions = {}): Promise<Database> {
  const { url, drop } = await createDatabase(templateDatabase);
  const database = await openDatabase({ databaseUrl: url, dataDir: '', poolSize: 4, ...options });
  if (!(await database.raiseWall())) throw new Error('The second wall does not stand.');
  return {
    ...database,
    close: async () => {
      await database.close();
      await drop();
    },
  };
}

export async function emptyPostgresUrl(): Promise<{ url: string; drop(): Promise<void> }> {
  return createDatabase('template0');
}

/** For processes of the product. */
export async function migratedPostgresUrl(): Promise<{ url: string; drop(): Promise<void> }> {
  return createDatabase(templateDatabase);
}

async function createDatabase(template: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const url = new URL(inject('postgresUrl'));
  await onServer(url.href, `create database ${name} template ${template}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return { url: own.href, drop: () => onServer(url.href, `drop database if exists ${name} with (force)`) };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
