import { sql, type Kysely } from 'kysely';

/**
 * What several processes need to keep one token alive together: who refreshes (a lease, by the database's time), what
 * was begun (a journal, written before the request leaves), and how it went. Constant defaults and nullable columns:
 * no table is rewritten, and processes of the version before go on working.
 */
const statements = [
  sql`alter table oauth_tokens
    add column generation integer not null default 0,
    add column credentials_encrypted bytea,
    -- The end that refreshing does not move; refresh_token_expires_at is the earlier of it and the rolling one.
    add column hard_expires_at timestamptz,
    add column lease_owner uuid,
    add column lease_until timestamptz,
    -- A refresh with this row's token may have been sent. Without an outcome: it is under way, or its process died.
    add column attempt_at timestamptz,
    add column attempt_outcome text check (attempt_outcome in ('UNCERTAIN')),
    add column refresh_failures integer not null default 0,
    add column refresh_retry_at timestamptz,
    add column refresh_problem jsonb`,
  sql`update oauth_tokens t set generation = c.generation from connections c
    where c.account_id = t.account_id and c.id = t.connection_id`,
  // Both null for a token that is not refreshed: one without an end, or of a grant that is gone.
  sql`create index oauth_tokens_due on oauth_tokens (greatest(refresh_due_at, refresh_retry_at))
    where refresh_due_at is not null`,

  sql`alter table connections add column probe_at timestamptz`,
  sql`update connections set probe_at = now() + random() * interval '1 hour' where status = 'ACTIVE'`,
  sql`create index connections_probe on connections (probe_at) where status = 'ACTIVE'`,
  // Whose grants a revocation at the provider would end.
  sql`create index connections_external on connections (integration_id, external_id) where status = 'ACTIVE'`,

  sql`alter table token_revocations
    add column external_id text,
    add column sending_until timestamptz,
    add column held_until timestamptz`,
  sql`create index token_revocations_connection on token_revocations (account_id, integration_id)`,
  sql`create index oauth_authorizations_ended on oauth_authorizations (expires_at)`,

  sql`create table webhook_secrets (
    account_id text not null,
    connection_id uuid not null,
    id uuid not null,
    secret_encrypted bytea not null,
    -- Null for the present one; those before it are accepted a while longer.
    accepted_until timestamptz,
    created_at timestamptz not null default now(),
    primary key (account_id, connection_id, id),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,

  sql`alter table sync_events
    add column change text,
    add column user_id text`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
