import { sql, type Kysely } from 'kysely';

/**
 * What a sync needs to go on where it stopped, beside what people see of it (`sync_statuses`): in a table of its own, so
 * that who works on a resource and who counts its records wait for each other nowhere.
 */
const statements = [
  sql`create table sync_rounds (
    account_id text not null,
    connection_id uuid not null,
    resource text not null,
    -- '-infinity': somebody waits for it. Null: it is not followed.
    next_poll_at timestamptz,
    lease_owner uuid,
    lease_until timestamptz,
    -- The provider's time from which changes are asked for next. Null: everything is read.
    cursor timestamptz,
    -- The round under way: what is asked for next, and what for.
    round jsonb,
    -- Asked for by somebody: everything is read again, or what has changed.
    requested text check (requested in ('FULL', 'CHANGES')),
    -- Polls in a row that found nothing.
    quiet_polls integer not null default 0,
    primary key (account_id, connection_id, resource),
    foreign key (account_id, connection_id) references connections (account_id, id) on delete cascade
  )`,
  sql`create index sync_rounds_due on sync_rounds (next_poll_at) where next_poll_at is not null`,
  sql`create index sync_rounds_leased on sync_rounds (lease_owner) where lease_owner is not null`,
  sql`alter table sync_rounds enable row level security`,
  sql`create policy own_account on sync_rounds
    using (account_id = nullif(current_setting('integrations.account_id', true), ''))
    with check (account_id = nullif(current_setting('integrations.account_id', true), ''))`,
  // Those that were connected before anything was synced, over an hour.
  sql`insert into sync_rounds (account_id, connection_id, resource, next_poll_at)
    select s.account_id, s.connection_id, s.resource, now() + random() * interval '1 hour'
    from sync_statuses s join connections c on c.account_id = s.account_id and c.id = s.connection_id
    where c.status <> 'DISCONNECTED'`,
  sql`alter table sync_statuses
    drop column next_poll_at,
    drop column cursor,
    -- Polls that webhooks have to prove themselves for, after one was lost.
    add column distrust integer not null default 0`,

  sql`alter table external_records
    -- A poll found the change, and no webhook has announced it yet; '-infinity' once one has.
    add column unannounced_at timestamptz`,
  sql`create index external_records_unannounced on external_records (account_id, connection_id, resource)
    where unannounced_at > '-infinity'`,
  sql`create index external_records_page
    on external_records (account_id, connection_id, resource, (coalesce(updated_at, fetched_at)), external_id)`,

  sql`alter table connections add column records_erased_at timestamptz`,
  sql`create index connections_ended on connections (disconnected_at)
    where status = 'DISCONNECTED' and records_erased_at is null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await statement.execute(db);
}
