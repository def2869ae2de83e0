import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { openDatabase } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import startPostgresServer from '../support/postgresServer.ts';

/** Of rate-limiter-flexible. */
export const flexibleTable = 'flexible';

/** What is committed is on disk, as PostgreSQL does it by itself, and its memory is of a small server's size. */
const asInUse = ['-c', 'shared_buffers=1GB'];

/** A migrated database that nobody else uses, on the server that `DATABASE_URL` names or on one of our own. */
export async function openBenchDatabase(): Promise<{ url: string; close(): Promise<void> }> {
  const { DATABASE_URL } = process.env;
  let serverUrl = DATABASE_URL ?? '';
  const stop =
    DATABASE_URL === undefined
      ? await startPostgresServer({ provide: (_name, value) => (serverUrl = String(value)) }, asInUse)
      : () => Promise.resolve();
  const name = `bench_${randomUUID().replaceAll('-', '')}`;
  await onServer(serverUrl, `create database ${name}`);
  const own = new URL(serverUrl);
  own.pathname = `/${name}`;
  const database = await openDatabase({ databaseUrl: own.href, dataDir: '', poolSize: 1 });
  await migrate(database);
  await database.close();
  // Its own way of making it fails where several processes start together.
  await onServer(
    own.href,
    `create table ${flexibleTable} (key varchar(255) primary key, points integer not null default 0, expire bigint)`,
  );
  return {
    url: own.href,
    async close() {
      await onServer(serverUrl, `drop database if exists ${name} with (force)`);
      await stop();
    },
  };
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
