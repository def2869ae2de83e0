import { sql, type Kysely } from 'kysely';

/**
 * The budgets that processes share: one row for each limit and whom the provider counts by. Half of each page stays
 * free, so that the frequent updates, which touch no index, stay on it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table rate_budgets (
    key text primary key,
    version bigint not null default 1,
    state jsonb not null,
    used_at timestamptz not null default now()
  ) with (fillfactor = 50)`.execute(db);
}
