import { sql, type Kysely } from 'kysely';

/**
 * What a provider last said, for when it cannot be asked. Each copy names the external account that it was read from:
 * it is served for no other. Nullable and without defaults: no table is rewritten, and processes of the version before
 * go on working.
 */
const statements = [
  sql`alter table connections
    add column profile jsonb,
    add column profile_at timestamptz,
    add column profile_external_id text`,
  sql`alter table external_records add column account_external_id text`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
