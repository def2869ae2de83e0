import { readdir } from 'node:fs/promises';
import { sql, type Kysely } from 'kysely';
import type { Tables } from '../db/tables.ts';
import { ConfigurationError } from '../errors.ts';

const folder = new URL('../../migrations/', import.meta.url);
const migrationFile = /^(\d{4}_\w+)\.ts$/;

export interface SchemaState {
  applied: string[];
  /** Of this program, and not applied yet. */
  missing: string[];
  /** Applied by a newer program. */
  unknown: string[];
}

export async function readSchemaState(db: Kysely<Tables>): Promise<SchemaState> {
  const files = (await readdir(folder)).toSorted();
  const ours = files.flatMap((file) => migrationFile.exec(file)?.[1] ?? []);
  const table = await sql<{ there: boolean }>`
    select to_regclass('kysely_migration') is not null as there`.execute(db);
  const { rows } = table.rows[0]!.there
    ? await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
    : { rows: [] };
  const applied = rows.map(({ name }) => name);
  return {
    applied,
    missing: ours.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !ours.includes(name)),
  };
}

/** For what changes or deletes rows: a newer database may have sealed columns and tables that this program does not know. */
export async function requireSameSchema(db: Kysely<Tables>): Promise<void> {
  const { missing, unknown } = await readSchemaState(db);
  if (unknown.length > 0)
    throw new ConfigurationError(
      `The database is newer than this program: it has the migration ${unknown.join(', ')}; use the version that brought it`,
    );
  if (missing.length > 0)
    throw new ConfigurationError(
      `The database is older than this program: ${missing.join(', ')} is missing; run npm run ops -- migrate`,
    );
}
