import { sql, type Kysely } from 'kysely';

/**
 * The second wall between accounts: whoever is not the owner of these tables sees and writes the rows of the account
 * that the transaction names, and none where it names none. See docs/decisions/0011-second-wall.md.
 */
const tables = [
  'connections',
  'account_keys',
  'oauth_authorizations',
  'oauth_tokens',
  'token_revocations',
  'webhook_secrets',
  'sync_statuses',
  'external_records',
  'event_sequences',
  'sync_events',
  'webhook_deliveries',
];

export async function up(db: Kysely<unknown>): Promise<void> {
  // Once set in a session, a setting that is unset again reads as the empty text.
  const own = sql`account_id = nullif(current_setting('integrations.account_id', true), '')`;
  for (const table of tables) {
    await sql`alter table ${sql.table(table)} enable row level security`.execute(db);
    await sql`create policy own_account on ${sql.table(table)} using (${own}) with check (${own})`.execute(
      db,
    );
  }
}
