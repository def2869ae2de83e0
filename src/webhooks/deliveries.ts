import { sql, type Kysely } from 'kysely';
import { pageOf, type Page, type PageRequest } from '../db/pages.ts';
import { fromStored } from '../db/problems.ts';
import type { Tables, WebhookDeliveryStatus } from '../db/tables.ts';
import type { IntegrationProblem } from '../errors.ts';
import { deliveryChannel } from './deliveryRows.ts';

/** One thing that a provider told one connection, as operators see it. */
export interface WebhookDelivery {
  id: string;
  integrationId: string;
  connectionId: string | null;
  eventId: string;
  status: WebhookDeliveryStatus;
  receivedAt: Date;
  attempts: number;
  problem: IntegrationProblem | null;
}

const columns = sql`id, integration_id as "integrationId", connection_id as "connectionId", event_id as "eventId",
  status, received_at as "receivedAt", attempts, problem`;

type Row = Omit<WebhookDelivery, 'problem'> & { problem: Parameters<typeof fromStored>[0] };
const deliveryOf = (row: Row): WebhookDelivery => ({
  id: row.id,
  integrationId: row.integrationId,
  connectionId: row.connectionId,
  eventId: row.eventId,
  status: row.status,
  receivedAt: row.receivedAt,
  attempts: row.attempts,
  problem: fromStored(row.problem),
});

/** What a cursor of `listDeliveries` decodes to. */
export const deliveryPosition = /^\d{1,16} [\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** A page of each of several connections of one account, the newest first, in one statement. */
export async function listDeliveries(
  db: Kysely<Tables>,
  accountId: string,
  connectionIds: readonly string[],
  status: WebhookDeliveryStatus | null,
  request: PageRequest,
): Promise<Map<string, Page<WebhookDelivery>>> {
  const [afterMs, afterId] = request.after?.split(' ') ?? [];
  const { rows } = await sql<Row & { micros: string }>`
    select d.* from unnest(${connectionIds}::uuid[]) as c (id)
    cross join lateral (
      select ${columns}, (extract(epoch from received_at) * 1000000)::int8::text as micros from webhook_deliveries
      where account_id = ${accountId} and connection_id = c.id
        and (${status}::text is null or status = ${status})
        and (${afterMs ?? null}::int8 is null or (received_at, id)
          < (to_timestamp(${afterMs ?? null}::int8 / 1000000) + (${afterMs ?? null}::int8 % 1000000)
            * interval '1 microsecond', ${afterId ?? null}::uuid))
      order by received_at desc, id desc limit ${request.first + 1}
    ) d order by d."receivedAt" desc, d.id desc`.execute(db);
  const byConnection = Map.groupBy(rows, (row) => row.connectionId!);
  return new Map(
    connectionIds.map((id) => {
      const { nodes, pageInfo } = pageOf(
        byConnection.get(id) ?? [],
        request,
        (row) => `${row.micros} ${row.id}`,
      );
      return [id, { nodes: nodes.map(deliveryOf), pageInfo }];
    }),
  );
}

/**
 * Works off anew what is DEAD, or waits for its next try, from its first attempt on; what is done, or has not been tried
 * yet, stays as it is. Answers those of `ids` that are the account's.
 */
export async function redriveDeliveries(
  db: Kysely<Tables>,
  accountId: string,
  ids: readonly string[],
  now: Date,
): Promise<WebhookDelivery[]> {
  await redrive(db, now, sql`account_id = ${accountId} and id = any(${ids}::uuid[])`);
  const { rows } = await sql<Row>`
    select ${columns} from webhook_deliveries where account_id = ${accountId} and id = any(${ids}::uuid[])
    order by received_at, id`.execute(db);
  return rows.map(deliveryOf);
}

const redriveBatch = 1_000;

/** All DEAD ones, of all accounts, a thousand at a time; answers how many. */
export async function redriveDead(db: Kysely<Tables>, now: Date): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await redrive(
      db,
      now,
      sql`id in (select id from webhook_deliveries where status = 'DEAD' order by received_at limit ${redriveBatch})`,
    );
    total += count;
    if (count < redriveBatch) return total;
  }
}

async function redrive(db: Kysely<Tables>, now: Date, which: ReturnType<typeof sql>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    with held as (
      -- Queues before deliveries, as workers lock them; and never one that is not there.
      select q.account_id, q.connection_id from delivery_queues q
      where (q.account_id, q.connection_id) in (
        select account_id, connection_id from webhook_deliveries where ${which} and status in ('DEAD', 'FAILED'))
      order by 1, 2 for update
    ), revived as (
      update webhook_deliveries set status = 'RECEIVED', attempts = 0, next_attempt_at = null, problem = null
      where ${which} and status in ('DEAD', 'FAILED') and connection_id is not null
        and (select count(*) from held) >= 0
      returning account_id, connection_id
    ), queued as (
      insert into delivery_queues as q (account_id, connection_id, due_at)
      select distinct account_id, connection_id, ${now}::timestamptz from revived order by 1, 2
      on conflict (account_id, connection_id) do update
        set due_at = least(q.due_at, excluded.due_at), version = q.version + 1
      returning 1
    ), woken as (
      select pg_notify(${deliveryChannel}, '') from (select from queued limit 1) one
    )
    select count(*)::int as count from revived where (select count(*) from woken) >= 0`.execute(db);
  return rows[0]!.count;
}
