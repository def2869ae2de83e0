import { sql, type Kysely } from 'kysely';
import { statement, type Value } from '../db/statements.ts';
import type { StoredNotice, Tables } from '../db/tables.ts';

/** Tells workers that there is work; the payload is empty. */
export const deliveryChannel = 'webhook_deliveries';

/** One thing that a provider told, as it is received. Of whom it is, the address or the provider's account tells. */
export interface NewDelivery {
  integrationId: string;
  /** The provider's account; null where the address named the connection. */
  accountExternalId: string | null;
  /** Whose address it came to. */
  recipient: { accountId: string; connectionId: string; generation: number } | null;
  eventId: string;
  notice: StoredNotice;
  receivedAt: Date;
}

interface Columns {
  integrationIds: string[];
  accountExternalIds: (string | null)[];
  accountIds: (string | null)[];
  connectionIds: (string | null)[];
  generations: (number | null)[];
  eventIds: string[];
  notices: string[];
  receivedAt: string[];
}

/**
 * Stores deliveries and queues their connections, all or nothing, in one statement and with one wake-up. Every ACTIVE
 * connection to the provider's account gets its own; where there is none, the delivery is kept unclaimed. Doubles are
 * left out, those of this batch included. Answers how many rows each integration got.
 */
export async function insertDeliveries(
  db: Kysely<Tables>,
  rows: readonly NewDelivery[],
): Promise<Map<string, number>> {
  const column = <T>(of: (row: NewDelivery) => T) => rows.map(of);
  const stored = await insert(db, {
    integrationIds: column((row) => row.integrationId),
    accountExternalIds: column((row) => row.accountExternalId),
    accountIds: column((row) => row.recipient?.accountId ?? null),
    connectionIds: column((row) => row.recipient?.connectionId ?? null),
    generations: column((row) => row.recipient?.generation ?? null),
    eventIds: column((row) => row.eventId),
    notices: column((row) => JSON.stringify(row.notice)),
    receivedAt: column((row) => row.receivedAt.toISOString()),
  });
  return new Map(stored.map((row) => [row.integration_id, row.stored]));
}

/** CTEs that queue the connections of the CTE `name`'s rows, always in the same order, and wake a worker. */
const queueing = (name: string) => sql`
  queued as (
    insert into delivery_queues as q (account_id, connection_id, due_at)
    select account_id, connection_id, min(received_at) from ${sql.raw(name)}
    where connection_id is not null group by 1, 2 order by 1, 2
    on conflict (account_id, connection_id) do update
      set due_at = least(q.due_at, excluded.due_at), version = q.version + 1
    returning 1
  ), woken as (
    select pg_notify(${deliveryChannel}, '') from (select from queued limit 1) one
  )`;

/** Kept planned: what a sender waits for is mostly its planning, and a hundred rows are looked up one by one in any plan. */
const insert = statement(
  (_, value: Value<Columns>) => sql<{ integration_id: string; stored: number }>`
    with given as (
      select * from unnest(${value('integrationIds')}::text[], ${value('accountExternalIds')}::text[],
        ${value('accountIds')}::text[], ${value('connectionIds')}::uuid[], ${value('generations')}::int[],
        ${value('eventIds')}::text[], ${value('notices')}::text[], ${value('receivedAt')}::timestamptz[])
        with ordinality as g (integration_id, account_external_id, account_id, connection_id, generation, event_id,
          notice, received_at, arrival)
    ), aimed as (
      select g.integration_id, g.account_external_id, coalesce(g.account_id, c.account_id) as account_id,
        coalesce(g.connection_id, c.id) as connection_id, coalesce(g.generation, c.generation, 0) as generation,
        g.event_id, g.notice, g.received_at, g.arrival
      from given g left join connections c on g.connection_id is null and c.status = 'ACTIVE'
        and c.integration_id = g.integration_id and c.external_id = g.account_external_id
    ), inserted as (
      insert into webhook_deliveries (id, account_id, integration_id, connection_id, account_external_id, generation,
        event_id, notice, received_at, arrival)
      select gen_random_uuid(), account_id, integration_id, connection_id, account_external_id, generation, event_id,
        notice::jsonb, received_at, arrival
      from aimed
      -- Two that store the same ones wait for each other in the same order.
      order by account_id, connection_id, integration_id, account_external_id, event_id
      on conflict do nothing
      returning account_id, connection_id, integration_id, received_at
    ), ${queueing('inserted')}
    select integration_id, count(*)::int as stored from inserted
    where (select count(*) from woken) >= 0 group by integration_id`,
);

/**
 * Hands unclaimed deliveries to connections that have been made since. What was said of an earlier authorization is
 * nothing to a new one. Answers how many there were.
 */
export async function claimUnclaimed(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with found as materialized (
      select u.* from webhook_deliveries u where u.connection_id is null and exists (
        select from connections k where k.status = 'ACTIVE' and k.integration_id = u.integration_id
          and k.external_id = u.account_external_id)
      order by u.received_at limit 1000 for update skip locked
    ), ready as (
      select d.id as old_id, d.*, c.account_id as owner, c.id as own_connection, c.generation as own_generation
      from found d join connections c on c.status = 'ACTIVE' and c.integration_id = d.integration_id
        and c.external_id = d.account_external_id
    ), claimed as (
      insert into webhook_deliveries (id, account_id, integration_id, connection_id, account_external_id, generation,
        event_id, notice, received_at, arrival)
      select gen_random_uuid(), owner, integration_id, own_connection, account_external_id, own_generation, event_id,
        notice, received_at, arrival
      from ready where notice->>'kind' <> 'revoked'
      order by owner, own_connection, event_id
      on conflict do nothing
      returning account_id, connection_id, received_at
    ), removed as (
      delete from webhook_deliveries w using ready where w.id = ready.old_id returning 1
    ), ${queueing('claimed')}
    select count(*)::int as count from removed where (select count(*) from woken) >= 0`.execute(db);
  return rows[0]!.count;
}

/** Doubles are known for so long; nobody sends again after that. */
export const keptDays = 30;
const unclaimedHours = 24;
const pruneBatch = 1_000;

/**
 * Removes what is old, up to a thousand at one time; answers whether there may be more. What still waits by then is of a
 * connection that nobody could use for all that time: its next round reads what it missed.
 */
export async function pruneDeliveries(db: Kysely<Tables>, now: Date): Promise<boolean> {
  const before = (hours: number) => new Date(now.getTime() - hours * 3_600_000);
  const { numAffectedRows = 0n } = await sql`
    with old as materialized (
      select id from webhook_deliveries
      where received_at < ${before(keptDays * 24)}
        or received_at < ${before(unclaimedHours)} and connection_id is null
      order by received_at limit ${pruneBatch} for update skip locked
    )
    delete from webhook_deliveries where id in (select id from old)`.execute(db);
  return numAffectedRows === BigInt(pruneBatch);
}

export interface ClaimedQueue {
  accountId: string;
  connectionId: string;
  /** Moves with what is added. */
  version: number;
  /** Of this claim alone: the same process may lose a queue and take it again while it is still at work on it. */
  lease: string;
}

/** Who does not renew it in time has lost it: another process may be at work. */
const leaseSeconds = 30;
/** Well before that. */
export const renewEveryMs = 8_000;

/**
 * Takes up to `count` connections that have work, the longest waiting first. Materialized: in a plan that reads a subquery
 * again, its limit would count anew, past the rows that are locked already.
 */
export async function claimQueues(db: Kysely<Tables>, count: number, now: Date): Promise<ClaimedQueue[]> {
  const { rows } = await sql<ClaimedQueue>`
    with due as materialized (
      select account_id, connection_id from delivery_queues
      where due_at <= ${now} and due_at <> 'infinity' and coalesce(lease_until, '-infinity') < now()
      order by due_at limit ${count} for update skip locked
    )
    update delivery_queues q
    set lease_owner = gen_random_uuid(), lease_until = now() + ${leaseSeconds} * interval '1 second'
    from due
    where q.account_id = due.account_id and q.connection_id = due.connection_id
    returning q.account_id as "accountId", q.connection_id as "connectionId", q.version,
      q.lease_owner as lease`.execute(db);
  return rows;
}

/** Within the transaction that stores what was done. False: the lease is lost, and nothing may be stored. */
export async function renewLease(db: Kysely<Tables>, queue: ClaimedQueue): Promise<boolean> {
  const { rows } = await sql`
    update delivery_queues set lease_until = now() + ${leaseSeconds} * interval '1 second'
    where account_id = ${queue.accountId} and connection_id = ${queue.connectionId} and lease_owner = ${queue.lease}
      and lease_until > now()
    returning 1`.execute(db);
  return rows.length === 1;
}

/** Those that are still held. */
export async function renewLeases(db: Kysely<Tables>, leases: readonly string[]): Promise<void> {
  await sql`
    update delivery_queues set lease_until = now() + ${leaseSeconds} * interval '1 second'
    where lease_owner = any(${leases}::uuid[]) and lease_until > now()`.execute(db);
}

/** Due again at once when something was added meanwhile, else with its next retry, else never. */
export async function releaseQueue(db: Kysely<Tables>, queue: ClaimedQueue, now: Date): Promise<void> {
  await sql`
    update delivery_queues q set lease_owner = null, lease_until = null,
      due_at = case when q.version <> ${queue.version} then least(q.due_at, ${now}) else coalesce((
        select min(coalesce(next_attempt_at, received_at)) from webhook_deliveries
        where account_id = q.account_id and connection_id = q.connection_id and status in ('RECEIVED', 'FAILED')),
        'infinity') end
    where q.account_id = ${queue.accountId} and q.connection_id = ${queue.connectionId}
      and q.lease_owner = ${queue.lease}`.execute(db);
}

/** For the only process of a database, when it starts: whoever holds a lease is gone. */
export async function endAllQueueLeases(db: Kysely<Tables>): Promise<void> {
  await sql`
    update delivery_queues set lease_owner = null, lease_until = null where lease_owner is not null`.execute(
    db,
  );
}

export interface WaitingDelivery {
  id: string;
  notice: StoredNotice;
  attempts: number;
  generation: number;
  received_at: Date;
}

/** In the order in which they arrived; those whose retry is not due are left out. */
export async function listWaiting(
  db: Kysely<Tables>,
  queue: ClaimedQueue,
  now: Date,
  count: number,
): Promise<WaitingDelivery[]> {
  return db
    .selectFrom('webhook_deliveries')
    .select(['id', 'notice', 'attempts', 'generation', 'received_at'])
    .where('account_id', '=', queue.accountId)
    .where('connection_id', '=', queue.connectionId)
    .where('status', 'in', ['RECEIVED', 'FAILED'])
    .where(sql<boolean>`coalesce(next_attempt_at, '-infinity') <= ${now}`)
    .orderBy('received_at')
    .orderBy('arrival')
    .limit(count)
    .execute();
}

export interface Outcome {
  id: string;
  status: 'RECEIVED' | 'PROCESSED' | 'FAILED' | 'DEAD';
  attempts: number;
  nextAttemptAt: Date | null;
  /** As stored. */
  problem: string | null;
}

export async function storeOutcomes(
  db: Kysely<Tables>,
  accountId: string,
  outcomes: readonly Outcome[],
  now: Date,
): Promise<void> {
  const column = <T>(of: (outcome: Outcome) => T) => outcomes.map(of);
  await sql`
    update webhook_deliveries d
    set status = o.status, attempts = o.attempts, next_attempt_at = o.next_attempt_at, problem = o.problem::jsonb,
      processed_at = case when o.status = 'PROCESSED' then ${now}::timestamptz end
    from unnest(${column(({ id }) => id)}::uuid[], ${column(({ status }) => status)}::text[],
      ${column(({ attempts }) => attempts)}::int[],
      ${column(({ nextAttemptAt }) => nextAttemptAt?.toISOString() ?? null)}::timestamptz[],
      ${column((outcome) => outcome.problem)}::text[]) as o (id, status, attempts, next_attempt_at, problem)
    where d.account_id = ${accountId} and d.id = o.id`.execute(db);
}
