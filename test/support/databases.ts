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
 *   databaseKinds                        [['embedded', embeddedDatabase], ['postgres', postgresDatabase]]
 *   embeddedDatabase(options?)           in memory, 0.3 s each
 *   postgresDatabase(options?)           its own database in the run's one PostgreSQL server; dropped by `close`
 *   emptyPostgresUrl()                   a database without tables, for tests of the migration itself
 *   options                              { poolSize?, onQuery?, onPoolError? } as for `openDatabase`
 *
 * Every call gives a database that nobody else has; close it, or the run ends with open handles.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase, type Database, type DatabaseOptions } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import { templateDatabase } from './postgresServer.ts';

export type TestDatabaseOptions = Partial<Pick<DatabaseOptions, 'poolSize' | 'onQuery' | 'onPoolError'>>;
export type OpenTestDatabase = (options?: TestDatabaseOptions) => Promise<Database>;

export const databaseKinds: [kind: Database['kind'], open: OpenTestDatabase][] = [
  ['embedded', embeddedDatabase],
  ['postgres', postgresDatabase],
];

let dump: Promise<Blob> | undefined;

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

/**
 * A migrated data directory, for `openDatabase({ dump })`. Making one takes four seconds and loading it 0.3, so it is
 * kept from run to run, under a name that changes with everything that decides its content.
 */
export function migratedDump(): Promise<Blob> {
  return (dump ??= findOrMakeDump());
}

async function findOrMakeDump(): Promise<Blob> {
  const root = new URL('../../', import.meta.url);
  const hash = createHash('sha256');
  for (const file of [
    'package-lock.json',
    ...(await readdir(new URL('migrations/', root))).map((name) => `migrations/${name}`),
  ])
    hash.update(file).update(await readFile(new URL(file, root)));
  const cache = new URL('node_modules/.cache/test-databases/', root);
  const path = fileURLToPath(new URL(`${hash.digest('hex')}.tar`, cache));
  try {
    return new Blob([await readFile(path)]);
  } catch {
    await mkdir(cache, { recursive: true });
    const draft = `${path}.${randomUUID()}`;
    await writeFile(draft, Buffer.from(await (await dumpMigrated()).arrayBuffer()));
    await rename(draft, path);
    return new Blob([await readFile(path)]);
  }
}

async function dumpMigrated(): Promise<Blob> {
  const database = await openDatabase({ dataDir: 'memory://', poolSize: 1 });
  if (database.kind !== 'embedded') throw new Error('Not embedded');
  await migrate(database);
  const blob = await database.pglite.dumpDataDir('none');
  await database.close();
  return blob;
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
