import { readdir } from 'node:fs/promises';
import { sql, type Kysely } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import { ConfigurationError } from '../errors.ts';
import type { Database } from './database.ts';
import { installJobs } from './jobs.ts';
import type { Tables } from './tables.ts';

const folder = new URL('../../migrations/', import.meta.url);
const migrationFile = /^(\d{4}_\w+)\.ts$/;
/** PostgreSQL's advisory lock that a migration holds: any number that nobody else uses in our database. */
export const lockId = 7_205_759_403_792_794n;
/** A table that is read all the time would queue its readers behind a migration that waits for it. */
const tableLockTimeoutMs = 30_000;
const [undefinedTable, lockNotAvailable] = ['42P01', '55P03'];

/**
 * Brings the schema, and that of the job queue, up to this code. Forward only, all pending files in one transaction:
 * a failure or a killed process leaves the schema as it was. Any number of processes may call it at once: one works,
 * the others wait up to `lockTimeoutMs` and find nothing left to do. The lock ends with the transaction, so it is free
 * as soon as the server notices that its holder died, and a transaction-mode PgBouncer does no harm.
 *
 * @param log called with the name of each applied migration, after the commit
 * @throws {ConfigurationError} when another process holds the lock for too long, or the schema is newer than this code
 */
export async function migrate(
  database: Database,
  log: (name: string) => void = () => {},
  lockTimeoutMs = 120_000,
): Promise<{ applied: string[] }> {
  const migrations = await readMigrations();
  const applied = await database.db.transaction().execute(async (trx) => {
    if (database.kind === 'postgres') await lock(trx, lockTimeoutMs);
    const done = await appliedMigrations(trx);
    refuseNewer(done, migrations);
    if (done.length === Object.keys(migrations).length) return [];
    const migrator = new Migrator({ db: trx, provider: { getMigrations: async () => migrations } });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error !== undefined) throw asError(error);
    return results.map((result) => result.migrationName);
  });
  await installJobs(database);
  for (const name of applied) log(name);
  return { applied };
}

/**
 * Whether every migration of this code has run; one statement. A newer schema counts as migrated: during a rolling
 * deployment the older processes go on serving on it.
 */
export async function isMigrated({ db }: Database): Promise<boolean> {
  try {
    const { rows } = await sql<{ name: string }>`
      select name from kysely_migration where to_regclass('pgboss.version') is not null`.execute(db);
    const applied = new Set(rows.map((row) => row.name));
    return Object.keys(await readMigrations()).every((name) => applied.has(name));
  } catch (error) {
    if (codeOf(error) === undefinedTable) return false;
    throw error;
  }
}

async function lock(trx: Kysely<Tables>, lockTimeoutMs: number): Promise<void> {
  // Waiting for the lock counts as running the statement.
  await sql`set local statement_timeout = 0`.execute(trx);
  await sql`set local lock_timeout = ${sql.lit(lockTimeoutMs)}`.execute(trx);
  try {
    await sql`select pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(trx);
  } catch (error) {
    if (codeOf(error) !== lockNotAvailable) throw error;
    throw new ConfigurationError(
      `Another process has been migrating the database for more than ${lockTimeoutMs / 1000} s: wait for it, or end it, and start again`,
    );
  }
  await sql`set local lock_timeout = ${sql.lit(tableLockTimeoutMs)}`.execute(trx);
}

async function appliedMigrations(trx: Kysely<Tables>): Promise<string[]> {
  const table = await sql<{
    there: boolean;
  }>`select to_regclass('kysely_migration') is not null as there`.execute(trx);
  if (!table.rows[0]?.there) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(trx);
  return rows.map((row) => row.name);
}

function refuseNewer(applied: string[], migrations: Record<string, Migration>): void {
  const unknown = applied.filter((name) => !(name in migrations));
  if (unknown.length > 0)
    throw new ConfigurationError(
      `The database is newer than this program: it has the migration ${unknown.join(', ')}; start the version that brought it`,
    );
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const migrations: Record<string, Migration> = {};
  for (const file of (await readdir(folder)).toSorted()) {
    const name = migrationFile.exec(file)?.[1];
    if (name !== undefined) migrations[name] = (await import(new URL(file, folder).href)) as Migration;
  }
  return migrations;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
