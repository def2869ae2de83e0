import { sql, type Kysely } from 'kysely';

/**
 * The account leads every primary and unique key that an account's own input can reach: a key without it would tell
 * one account, by its refusal, that another account's row exists. A delivery is stored before its account is known.
 */
const statements = [
  sql`create table connections (
    account_id text not null,
    id uuid not null,
    integration_id text not null,
    status text not null check (status in ('PENDING', 'ACTIVE', 'NEEDS_REAUTHORIZATION', 'DISCONNECTED')),
    external_id text,
    scopes text[] not null default '{}',
    problem jsonb,
    -- Counts authorizations, so that news of an earlier one is told from news of this one.
    generation integer not null default 0,
    created_by text,
    -- Until when the person can still complete the authorization under way.
    authorize_by timestamptz,
    created_at timestamptz not null default now(),
    connected_at timestamptz,
    disconnected_at timestamptz,
    checked_at timestamptz,
    primary key (account_id, id)
  )`,
  sql`create unique index connections_one_live on connections (account_id, integration_id)
    where status <> 'DISCONNECTED'`,

  // An account may have several: values name the one that sealed them, the newest seals.
  sql`create table account_keys (
    account_id text not null,
    id uuid not null,
    master_key_id text not null,
    sealed_key bytea not null,
    created_at timestamptz not null default now(),
    primary key (account_id, id)
  )`,

  sql`create table oauth_authorizations (
    state_hash bytea primary key,
    account_id text not null,
    user_id text,
    integration_id text not null,
    connection_id uuid not null,
    redirect_uri text not null,
    return_to text,
    code_verifier_encrypted bytea,
    scopes text[] not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    consumed_at timestamptz,
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,
  sql`create index oauth_authorizations_connection on oauth_authorizations (account_id, connection_id)`,

  sql`create table oauth_tokens (
    account_id text not null,
    provider text not null,
    connection_id uuid not null,
    access_token_encrypted bytea not null,
    refresh_token_encrypted bytea,
    issued_at timestamptz not null,
    expires_at timestamptz,
    refresh_due_at timestamptz,
    refresh_token_expires_at timestamptz,
    scopes text[] not null,
    external_id text,
    external_user_id text,
    -- Moves with every write, so that a late writer can tell that it is late.
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (account_id, provider),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,
  sql`create unique index oauth_tokens_connection on oauth_tokens (account_id, connection_id)`,

  sql`create table token_revocations (
    account_id text not null,
    id uuid not null,
    integration_id text not null,
    connection_id uuid not null,
    token_encrypted bytea not null,
    created_at timestamptz not null default now(),
    primary key (account_id, id)
  )`,

  sql`create table sync_statuses (
    account_id text not null,
    connection_id uuid not null,
    resource text not null,
    state text not null default 'IDLE'
      check (state in ('IDLE', 'RUNNING', 'BACKFILLING', 'RATE_LIMITED', 'FAILING', 'PAUSED')),
    delivery text not null default 'POLL' check (delivery in ('WEBHOOK', 'POLL')),
    last_synced_at timestamptz,
    last_webhook_at timestamptz,
    last_polled_at timestamptz,
    next_poll_at timestamptz,
    missed_by_webhook integer not null default 0,
    record_count integer not null default 0,
    lag_seconds integer,
    consecutive_failures integer not null default 0,
    progress_done integer,
    progress_total integer,
    cursor text,
    problem jsonb,
    primary key (account_id, connection_id, resource),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,

  sql`create table external_records (
    account_id text not null,
    connection_id uuid not null,
    resource text not null,
    external_id text not null,
    payload jsonb,
    updated_at timestamptz,
    fetched_at timestamptz not null,
    deleted boolean not null default false,
    primary key (account_id, connection_id, resource, external_id),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,

  sql`create table event_sequences (
    account_id text primary key,
    last_sequence bigint not null
  )`,
  sql`create table sync_events (
    account_id text not null,
    sequence bigint not null,
    id uuid not null,
    kind text not null,
    source text not null,
    connection_id uuid not null,
    integration_id text not null,
    generation integer not null,
    resource text,
    external_id text,
    problem jsonb,
    occurred_at timestamptz not null,
    primary key (account_id, sequence)
  )`,
  sql`create index sync_events_connection on sync_events (account_id, connection_id, sequence)`,

  sql`create table webhook_deliveries (
    id uuid primary key,
    account_id text,
    integration_id text not null,
    connection_id uuid,
    event_id text not null,
    status text not null default 'RECEIVED' check (status in ('RECEIVED', 'PROCESSED', 'FAILED', 'DEAD')),
    received_at timestamptz not null default now(),
    attempts integer not null default 0,
    problem jsonb,
    body bytea not null
  )`,
  sql`create index webhook_deliveries_connection on webhook_deliveries (account_id, connection_id, received_at)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
