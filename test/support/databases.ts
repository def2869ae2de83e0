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
 *   embeddedDatabase(options?)           in memory; what was closed is emptied and used again
 *   postgresDatabase(options?)           its own database in the run's one PostgreSQL server; likewise
 *   emptyPostgresUrl()                   a database without tables, for tests of the migration itself
 *   migratedPostgresUrl()                one with them, for processes of the product
 *   options                              { poolSize?, onQuery?, onPoolError? } as for `openDatabase`
 *
 * Every call gives an empty database that nobody else has; close it, or the run ends with open handles.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase, type Database, type DatabaseOptions } from '../../src/db/database.ts';
import { createShelf, isEmptied, pristineOf, type Pristine, type Run } from './emptying.ts';
import { takePGlite } from './pglites.ts';
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
  const pglite = await takePGlite();
  return openDatabase({ dataDir: '', poolSize: 1, pglite, ...options });
}

export async function postgresDatabase(options: TestDatabaseOptions = {}): Promise<Database> {
  const used = await shelf.take();
  const { url } = used;
  const database = await openDatabase({ databaseUrl: url, dataDir: '', poolSize: 4, ...options });
  if (!(await database.raiseWall())) throw new Error('The second wall does not stand.');
  let closed: Promise<void> | undefined;
  const close = async () => {
    await database.close();
    await shelf.putBack(used);
  };
  return { ...database, close: () => (closed ??= close()) };
}

interface Used {
  url: string;
  drop(): Promise<void>;
  /** One session for as long as there is the database: to open another takes longer than to empty it. */
  run: Run;
  pristine: Pristine;
}

/** What it keeps goes with the server. */
const shelf = createShelf<Used>({
  async make() {
    const { url, drop } = await createDatabase(templateDatabase);
    const client = await connect(url);
    const run: Run = async (statements) => {
      const results: unknown = await client.query(statements);
      return ([results].flat().at(-1) as pg.QueryResult<object>).rows[0];
    };
    const dropIt = () => client.end().then(drop);
    return { url, drop: dropIt, run, pristine: await pristineOf(run) };
  },
  // Whoever is still connected, as a process that was left running, is cut off first: they would see the next test.
  async isEmptied({ run, pristine }) {
    try {
      await run(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      return await isEmptied(run, pristine);
    } catch {
      return false;
    }
  },
  drop: ({ drop }) => drop(),
});

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
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
  // Without it each page of the template goes through the log as well, which takes twice the time.
  await onServer(url.href, `create database ${name} template ${template} strategy file_copy`);
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
