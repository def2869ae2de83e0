import { sql, type Kysely } from 'kysely';
import type { Connection } from '../connections/connection.ts';
import type { Tables } from '../db/tables.ts';
import type { SyncEventSource } from '../events/events.ts';
import type { Position } from '../providers/changes.ts';

/**
 * Rounds: one reading of a resource's changes, from its first page to its last. Each (connection, resource) has one row,
 * which says when the next is due, who is at it, and how far it has come: a round goes on where a crash cut it off.
 */

/** Wakes who polls; the payload is empty. */
export const roundChannel = 'sync_rounds';

/** A round under way. Times are ISO 8601. */
export interface Round {
  /** Null: everything there is. */
  since: string | null;
  position: Position;
  /** Of the authorization that it was begun for. */
  generation: number;
  /** By our clock, before the first request. */
  startedAt: string;
  /** By the provider's clock, of the first page: what changes after it may not be in the others. */
  at: string | null;
  /** Who wanted it. */
  source: Extract<SyncEventSource, 'POLL' | 'BACKFILL' | 'USER'>;
  /** Records that its pages had, and changes that were news. */
  done: number;
  news: number;
  /** When its progress was last an event. */
  toldAt: string | null;
}

export interface ClaimedRound {
  accountId: string;
  connectionId: string;
  resource: string;
  cursor: Date | null;
  round: Round | null;
  requested: 'FULL' | 'CHANGES' | null;
  quietPolls: number;
  /** As the status was when it was claimed. */
  failures: number;
  delivery: 'WEBHOOK' | 'POLL';
  distrust: number;
  /** Since the last poll. */
  webhookSince: boolean;
  /** Of this claim alone: the same process may lose a round and take it again while it is still at work on it. */
  lease: string;
}

/** Who does not renew it in time has lost it: another process may be at work. */
const leaseSeconds = 30;
/** Well before that. */
export const renewEveryMs = 8_000;
const lease = sql`now() + ${leaseSeconds} * interval '1 second'`;
const own = (claimed: ClaimedRound) => sql`
  account_id = ${claimed.accountId} and connection_id = ${claimed.connectionId}::uuid and resource = ${claimed.resource}`;

/**
 * Takes up to `count` that are due, the longest waiting first. One statement, and flat whatever is due. Materialized:
 * in a plan that reads a subquery again, its limit would count anew, past the rows that are locked already.
 */
export async function claimRounds(db: Kysely<Tables>, count: number, now: Date): Promise<ClaimedRound[]> {
  const { rows } = await sql<ClaimedRound>`
    with due as materialized (
      select account_id, connection_id, resource from sync_rounds
      where next_poll_at <= ${now} and coalesce(lease_until, '-infinity') < now()
      order by next_poll_at limit ${count} for update skip locked
    )
    update sync_rounds r set lease_owner = gen_random_uuid(), lease_until = ${lease}
    from due left join sync_statuses s
      on s.account_id = due.account_id and s.connection_id = due.connection_id and s.resource = due.resource
    where r.account_id = due.account_id and r.connection_id = due.connection_id and r.resource = due.resource
    returning r.account_id as "accountId", r.connection_id as "connectionId", r.resource, r.cursor, r.round,
      r.requested, r.quiet_polls as "quietPolls", r.lease_owner as lease, coalesce(s.consecutive_failures, 0) as failures, coalesce(s.delivery, 'POLL') as delivery,
      coalesce(s.distrust, 0) as distrust,
      coalesce(s.last_webhook_at > coalesce(s.last_polled_at, '-infinity'), false) as "webhookSince"`.execute(
    db,
  );
  return rows;
}

/** What becomes of a row; what is absent stays. */
export interface RoundStep {
  round?: Round | null;
  /** Moves only in the transaction that applied the last page. Null: the next round reads everything. */
  cursor?: Date | null;
  nextPollAt?: Date | null;
  quietPolls?: number;
  /** The request is met. */
  met?: boolean;
  /** Lets others take it. */
  release?: boolean;
}

/**
 * Within the transaction that stores what was read, before all else. Undefined: the lease is lost, and nothing may be
 * stored. What was asked for meanwhile stays due, and its state is the one to show.
 */
export async function stepRound(
  db: Kysely<Tables>,
  claimed: ClaimedRound,
  step: RoundStep,
): Promise<{ askedMeanwhile: boolean } | undefined> {
  const { round, cursor, nextPollAt, quietPolls, met = false, release = false } = step;
  const { rows } = await sql<{ askedMeanwhile: boolean }>`
    update sync_rounds set
      lease_until = case when ${release} then null else ${lease} end,
      lease_owner = case when ${release} then null else lease_owner end,
      round = case when ${round !== undefined} then ${round ? JSON.stringify(round) : null}::jsonb else round end,
      cursor = case when ${cursor !== undefined} then ${cursor ?? null}::timestamptz else cursor end,
      quiet_polls = coalesce(${quietPolls ?? null}::int, quiet_polls),
      requested = case when ${met} and requested is not distinct from ${claimed.requested}::text then null
        else requested end,
      next_poll_at = case
        when ${nextPollAt === undefined} then next_poll_at
        when requested is distinct from ${claimed.requested}::text then '-infinity'
        else ${nextPollAt ?? null}::timestamptz end
    where ${own(claimed)} and lease_owner = ${claimed.lease} and lease_until > now()
    returning requested is distinct from (case when ${met} then null else ${claimed.requested}::text end)
      as "askedMeanwhile"`.execute(db);
  return rows[0];
}

/** Those that are still held: a page may take longer than a lease. */
export async function renewRounds(db: Kysely<Tables>, leases: readonly string[]): Promise<void> {
  await sql`
    update sync_rounds set lease_until = ${lease}
    where lease_owner = any(${leases}::uuid[]) and lease_until > now()`.execute(db);
}

/** For the only process of a database, when it starts: whoever holds a lease is gone. */
export async function endAllRoundLeases(db: Kysely<Tables>): Promise<void> {
  await sql`
    update sync_rounds set lease_owner = null, lease_until = null where lease_owner is not null`.execute(db);
}

/** These are due now: something says that they have changed. */
export async function hastenRounds(
  db: Kysely<Tables>,
  { accountId, id }: Pick<Connection, 'accountId' | 'id'>,
  resources: readonly string[],
  now: Date,
): Promise<void> {
  await sql`
    with hastened as (
      update sync_rounds set next_poll_at = least(next_poll_at, ${now})
      where account_id = ${accountId} and connection_id = ${id} and resource = any(${resources}::text[])
      returning 1
    )
    select pg_notify(${roundChannel}, '') from (select from hastened limit 1) one`.execute(db);
}

/** Somebody waits for these: before all that is due. A request for everything is not weakened by a later one. */
export async function requestRounds(
  db: Kysely<Tables>,
  { accountId, id }: Pick<Connection, 'accountId' | 'id'>,
  resources: readonly string[],
  full: boolean,
): Promise<void> {
  await sql`
    with wanted as (
      update sync_rounds set next_poll_at = '-infinity',
        requested = case when ${full} or requested = 'FULL' then 'FULL' else 'CHANGES' end
      where account_id = ${accountId} and connection_id = ${id} and resource = any(${resources}::text[])
      returning 1
    )
    select pg_notify(${roundChannel}, '') from (select from wanted limit 1) one`.execute(db);
}

/**
 * Counts the changes that a poll found before `before`, and that no webhook has announced since: those got lost. Then
 * webhooks are not trusted until they have proved themselves for `distrust` polls. One statement, which looks at those
 * changes only.
 */
export async function countMissed(
  db: Kysely<Tables>,
  claimed: ClaimedRound,
  before: Date,
  distrust: number,
): Promise<number> {
  const { rows } = await sql<{ missed: number }>`
    with lost as (
      update external_records r set unannounced_at = null
      where ${own(claimed)} and unannounced_at > '-infinity' and unannounced_at < ${before}
        -- One that is waiting to be worked off may be about it.
        and not exists (
          select from webhook_deliveries d
          where d.account_id = r.account_id and d.connection_id = r.connection_id and d.status in ('RECEIVED', 'FAILED')
            and d.notice->>'resource' = r.resource and d.notice->>'externalId' = r.external_id)
        -- A record that cannot be read by itself is found by the poll that its webhook brought forward.
        and not exists (
          select from webhook_deliveries d
          where d.account_id = r.account_id and d.connection_id = r.connection_id and d.status = 'PROCESSED'
            and d.received_at > coalesce(r.updated_at, r.unannounced_at) - interval '1 day'
            and d.notice->>'resource' = r.resource and d.notice->>'externalId' = r.external_id
            and (r.updated_at is null
              or coalesce((d.notice->>'occurredAt')::timestamptz, d.received_at) >= r.updated_at - interval '2 seconds'))
      returning 1
    ), total as (
      select count(*)::int as missed from lost
    ), counted as (
      update sync_statuses set missed_by_webhook = missed_by_webhook + missed, delivery = 'POLL', distrust = ${distrust}
      from total where ${own(claimed)} and missed > 0
      returning 1
    )
    select missed from total where (select count(*) from counted) >= 0`.execute(db);
  return rows[0]!.missed;
}
