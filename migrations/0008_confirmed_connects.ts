import { sql, type Kysely } from 'kysely';

/**
 * A grant that waits for the person who asked for it to confirm it: sealed, under the hash of a code that their
 * browser brings back to the product.
 */
const statements = [
  sql`alter table oauth_authorizations
    add column completion_hash bytea,
    add column complete_by timestamptz,
    -- Null once it is confirmed or dropped.
    add column grant_encrypted bytea`,
  sql`create unique index oauth_authorizations_completion on oauth_authorizations (account_id, completion_hash)
    where completion_hash is not null`,
  sql`create index oauth_authorizations_unconfirmed on oauth_authorizations (complete_by)
    where grant_encrypted is not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
