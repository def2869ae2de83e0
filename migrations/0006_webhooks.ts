import { sql, type Kysely } from 'kysely';

/**
 * Deliveries are one row for each thing that a provider told one connection: what the sender signs together may be
 * of several accounts, and each of them gets its part alone. The queue of a connection is one row, which says when
 * there is work and who is at it.
 */
const statements = [
  // Nothing wrote it before this version.
  sql`drop index webhook_deliveries_connection`,
  sql`alter table webhook_deliveries
    drop column body,
    -- The provider's name of the account, while no connection of ours is known for it.
    add column account_external_id text,
    add column generation integer not null default 0,
    add column notice jsonb not null,
    -- Among those that arrived at the same time.
    add column arrival integer not null default 0,
    add column next_attempt_at timestamptz,
    add column processed_at timestamptz`,
  // Against doubles: for each who is told, and while nobody is known.
  sql`create unique index webhook_deliveries_event on webhook_deliveries (account_id, connection_id, event_id)
    where connection_id is not null`,
  sql`create unique index webhook_deliveries_unclaimed
    on webhook_deliveries (integration_id, account_external_id, event_id) where connection_id is null`,
  sql`create index webhook_deliveries_waiting
    on webhook_deliveries (account_id, connection_id, received_at, arrival) where status in ('RECEIVED', 'FAILED')`,
  sql`create index webhook_deliveries_page on webhook_deliveries (account_id, connection_id, received_at, id)`,
  sql`create index webhook_deliveries_dead on webhook_deliveries (received_at) where status = 'DEAD'`,
  sql`create index webhook_deliveries_old on webhook_deliveries (received_at)`,

  sql`create table delivery_queues (
    account_id text not null,
    connection_id uuid not null,
    -- When there is something to do; 'infinity' when there is not.
    due_at timestamptz not null,
    -- Moves with everything that is added, so that who finds the queue empty can tell whether it still is.
    version integer not null default 0,
    lease_owner uuid,
    lease_until timestamptz,
    primary key (account_id, connection_id),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,
  sql`create index delivery_queues_due on delivery_queues (due_at) where due_at <> 'infinity'`,
  sql`create index delivery_queues_leased on delivery_queues (lease_owner) where lease_owner is not null`,
  sql`alter table delivery_queues enable row level security`,
  sql`create policy own_account on delivery_queues
    using (account_id = nullif(current_setting('integrations.account_id', true), ''))
    with check (account_id = nullif(current_setting('integrations.account_id', true), ''))`,

  // The address of a webhook names a connection and no account.
  sql`create index connections_id on connections (id)`,
  sql`create index sync_events_old on sync_events (occurred_at)`,
  // The event that told of the record's last change.
  sql`alter table external_records
    add column event_id uuid,
    -- By the provider's clock; null where it does not say.
    add column deleted_at timestamptz,
    -- Before it: what tells a record that came back from one that only changed.
    add column was_deleted boolean not null default false`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
