import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { Agent, request } from 'undici';
import { systemClock as clock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/database.ts';
import { createLog } from '../../src/log.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { createDeliveries } from '../../src/webhooks/deliver.ts';
import { insertDeliveries, type NewDelivery } from '../../src/webhooks/deliveryRows.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { cloudEvents } from '../support/webhooks.ts';
import type { Bench } from './benchmark.ts';
import { forkNode, inOwnProcess } from './process.ts';
import { median, type Report } from './report.ts';
import { alternate, medians } from './rounds.ts';
import { secret, ways, type Way } from './webhookServer.ts';

/** At one time; where the others have a processor's time left, more of them let batches overlap. */
const senders = 64;
const manySenders = 256;
/** Of which the webhooks tell, in turn: each is looked up, gets its row, and its queue is made due. */
const companies = 500;
const backlog = { deliveries: 20_000, connections: 500 };

export const webhooks: Bench = {
  name: 'webhooks',
  title: 'webhooks: stored one by one and together, received over HTTP, and a backlog of 20,000 worked off',
  usesDatabase: true,
  async run({ seconds, databaseUrl, report }) {
    await storing(databaseUrl, report);
    await receiving(seconds, databaseUrl, report);
    await draining(databaseUrl, report);
  },
};

const together = 100;

/** Without HTTP. Both keep two statements under way. */
export async function storeInBothWays({ databaseUrl }: { databaseUrl: string }) {
  const { db } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 2 });
  const delivery = (): NewDelivery => ({
    ...{ integrationId: 'quickbooks', accountExternalId: '9341452881001001', recipient: null },
    ...{ eventId: randomUUID(), receivedAt: new Date() },
    notice: {
      ...{ kind: 'record', occurredAt: null, resource: 'Invoice', externalId: '41', change: 'UPSERTED' },
    },
  });
  const store = async (count: number) => {
    const startedAt = performance.now();
    let stored = 0;
    const worker = async () => {
      for (; performance.now() - startedAt < 1_000; stored += count)
        await insertDeliveries(db, Array.from({ length: count }, delivery));
    };
    await Promise.all([worker(), worker()]);
    return { perSecond: stored / ((performance.now() - startedAt) / 1_000) };
  };
  const found = await alternate({ each: () => store(1), batch: () => store(together) }, { rounds: 5 });
  await db.destroy();
  return found;
}

async function storing(databaseUrl: string, report: Report): Promise<void> {
  const { each, batch } = await inOwnProcess(import.meta.url, storeInBothWays, { databaseUrl });
  const reference = { name: 'one insert for each', value: each.perSecond };
  report({ metric: `stored, ${together} in a statement`, value: batch.perSecond, unit: '/s', reference });
}

type Figures = { perSecond: number; p99Ms: number; idleMs: number; cpuMs: number };
type Measure = (forMs: number, senders: number) => Promise<Figures>;

/** Sends from a process of its own. */
export async function sendToAll({ seconds, databaseUrl }: { seconds: number; databaseUrl: string }) {
  const { db } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 1 });
  const run = randomUUID();
  await sql`insert into connections (account_id, id, integration_id, status, external_id, generation)
    select ${run} || i, gen_random_uuid(), 'quickbooks', 'ACTIVE', ${run} || i, 1
    from generate_series(0, ${companies - 1}::int) i`.execute(db);
  await sql`analyze connections`.execute(db);
  await db.destroy();
  const servers = await Promise.all(ways.map((way) => openServer(way, databaseUrl, run)));
  const [ours, each, hmac] = servers.map((server) => server.measure) as [Measure, Measure, Measure];
  const forMs = Math.min(seconds, 4) * 1_000;
  const found = await alternate(
    {
      ...{
        ours: () => ours(forMs, senders),
        each: () => each(forMs, senders),
        hmac: () => hmac(forMs, senders),
      },
      ...{ oursOfMany: () => ours(forMs, manySenders), hmacOfMany: () => hmac(forMs, manySenders) },
    },
    { rounds: 5 },
  );
  for (const server of servers) server.close();
  return found;
}

async function receiving(seconds: number, databaseUrl: string, report: Report): Promise<void> {
  const found = await inOwnProcess(import.meta.url, sendToAll, { seconds, databaseUrl });
  const compare = (metric: string, unit: string, member: keyof Figures) => ({
    withEach: {
      ...{ metric, unit, value: found.ours[member] },
      reference: { name: 'one insert for each', value: found.each[member] },
    },
    withHmac: {
      ...{ metric, unit, value: found.ours[member] },
      reference: { name: 'HMAC only', value: found.hmac[member] },
    },
  });
  const share = (metric: string, value: number, atLeast?: number) =>
    report({ metric, value, unit: 'ratio', ...(atLeast !== undefined && { goal: { atLeast } }) });
  const rate = compare(`received, ${senders} senders`, '/s', 'perSecond');
  report(rate.withHmac);
  report(rate.withEach);
  share('received, ours by HMAC only', found.ours.perSecond / found.hmac.perSecond, 0.5);
  report({
    ...{ metric: `received, ${manySenders} senders`, value: found.oursOfMany.perSecond, unit: '/s' },
    reference: { name: 'HMAC only', value: found.hmacOfMany.perSecond },
  });
  const ofMany = found.oursOfMany.perSecond / found.hmacOfMany.perSecond;
  share(`received, ${manySenders} senders, ours by HMAC only`, ofMany, 0.5);
  share('received, ours by one insert for each', found.ours.perSecond / found.each.perSecond, 1.7);
  share('received, one insert for each by HMAC only', found.each.perSecond / found.hmac.perSecond);
  report(compare('received, processor time of a thousand', 'ms', 'cpuMs').withEach);
  const late = compare('received, p99', 'ms', 'p99Ms');
  report(late.withHmac);
  report(late.withEach);
  report(compare('one at a time, median', 'ms', 'idleMs').withEach);
  const idle = found.ours.idleMs / found.each.idleMs;
  report({ metric: 'one at a time, ours by one insert', value: idle, unit: 'ratio', goal: { atMost: 1.2 } });
}

async function openServer(way: Way, databaseUrl: string, run: string) {
  const child = forkNode(fileURLToPath(new URL('webhookServer.ts', import.meta.url)), [way, databaseUrl]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const processorMs = async () => {
    child.send('processor time');
    const [{ cpuMs }] = (await once(child, 'message')) as [{ cpuMs: number }];
    return cpuMs;
  };
  const dispatcher = new Agent({ connections: manySenders, pipelining: 1 });
  let sent = 0;
  const send = async () => {
    const realm = `${run}${sent++ % companies}`;
    const event = { id: randomUUID(), realm, entity: 'invoice', externalId: '41' };
    const body = Buffer.from(JSON.stringify(cloudEvents([event])));
    const startedAt = performance.now();
    const answer = await request(`http://127.0.0.1:${port}/webhooks/quickbooks`, {
      ...{ dispatcher, method: 'POST', body },
      headers: { 'content-type': 'application/json', ...sign(intuitScheme, secret, body) },
    });
    await answer.body.dump();
    if (answer.statusCode !== 200) throw new Error(`${way} answered ${answer.statusCode}`);
    return performance.now() - startedAt;
  };
  const measure: Measure = async (forMs, count) => {
    const idle: number[] = [];
    for (let i = 0; i < 200; i++) idle.push(await send());
    const times: number[] = [];
    const before = await processorMs();
    const startedAt = performance.now();
    const sender = async () => {
      while (performance.now() - startedAt < forMs) times.push(await send());
    };
    await Promise.all(Array.from({ length: count }, sender));
    const perSecond = times.length / ((performance.now() - startedAt) / 1_000);
    const cpuMs = (((await processorMs()) - before) / times.length) * 1_000;
    const p99Ms = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
    return { perSecond, p99Ms, idleMs: median(idle), cpuMs };
  };
  return { measure, close: () => child.disconnect() };
}

async function draining(databaseUrl: string, report: Report): Promise<void> {
  const rounds: { ours: number; boss: number }[] = [];
  for (let round = 0; round < 3; round++)
    rounds.push({
      ours: await inOwnProcess(import.meta.url, drainOurs, { databaseUrl }),
      boss: await inOwnProcess(import.meta.url, drainBoss, { databaseUrl }),
    });
  const found = medians(rounds);
  report({
    metric: 'a backlog of 20,000 over 500 connections; ours reads and stores, the reference does nothing',
    ...{ value: found.ours, unit: '/s' },
    reference: { name: 'pg-boss, FIFO by key', value: found.boss },
  });
}

/** With a provider that answers at once: the queue, and the storing of records and events, is what is measured. */
export async function drainOurs({ databaseUrl }: { databaseUrl: string }): Promise<number> {
  const { db } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 10 });
  const run = randomUUID();
  await sql`insert into connections (account_id, id, integration_id, status, external_id, generation)
    select ${run} || i, gen_random_uuid(), 'quickbooks', 'ACTIVE', ${run} || i, 1
    from generate_series(1, ${backlog.connections}::int) i`.execute(db);
  const each = backlog.deliveries / backlog.connections;
  await sql`insert into webhook_deliveries (id, account_id, integration_id, connection_id, generation, event_id, notice, arrival)
    select gen_random_uuid(), c.account_id, c.integration_id, c.id, 1, 'event ' || i, jsonb_build_object('kind', 'record',
      'resource', 'Invoice', 'externalId', i::text, 'change', 'UPSERTED', 'occurredAt', null), i
    from connections c, generate_series(1, ${each}::int) i where c.account_id like ${`${run}%`}`.execute(db);
  await sql`insert into delivery_queues (account_id, connection_id, due_at)
    select account_id, id, now() from connections where account_id like ${`${run}%`}`.execute(db);
  await sql`analyze webhook_deliveries`.execute(db);
  let done = 0;
  let finish = () => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const nobody = () => Promise.reject(new Error('not in this bench'));
  const deliveries = createDeliveries({
    ...{ db, forAccount: () => db, clock, log: createLog('silent') },
    catalog: createCatalog([
      { provider: quickbooks, endpoints: quickbooks.endpoints, limits: quickbooks.limits },
    ]),
    caller: { breakerState: () => 'closed' },
    api: {
      ...{
        profile: nobody,
        identify: nobody,
        changes: nobody,
        rateLimits: nobody,
        overBudget: nobody,
        pauseProblem: () => null,
      },
      records: (_connection, _resource, ids) =>
        Promise.resolve(
          new Map(
            ids.map((externalId) => [
              externalId,
              { externalId, payload: { Id: externalId }, updatedAt: new Date() },
            ]),
          ),
        ),
    },
    health: { demote: nobody },
    onProcessed: () => ++done === backlog.deliveries && finish(),
  });
  const startedAt = performance.now();
  deliveries.start();
  await finished;
  const perSecond = backlog.deliveries / ((performance.now() - startedAt) / 1_000);
  await deliveries.stop();
  await db.destroy();
  return perSecond;
}

/** A job for each delivery, in order within its connection, as pg-boss has it. */
export async function drainBoss({ databaseUrl }: { databaseUrl: string }): Promise<number> {
  const schema = `boss_${randomUUID().replaceAll('-', '')}`;
  const boss = new PgBoss({ connectionString: databaseUrl, schema, max: 10 });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue('deliveries', { policy: 'key_strict_fifo' });
  const keys = Array.from({ length: backlog.connections }, (_, i) => `connection ${i}`);
  for (let n = 0; n < backlog.deliveries / backlog.connections; n++)
    await boss.insert(
      'deliveries',
      keys.map((singletonKey) => ({ singletonKey, data: { n } })),
    );
  let done = 0;
  let finish = () => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  // Long enough to know its pace.
  const patience = setTimeout(() => finish(), 60_000);
  const startedAt = performance.now();
  const options = { batchSize: 100, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true };
  for (let i = 0; i < 4; i++)
    await boss.work('deliveries', options, (jobs) => {
      done += jobs.length;
      if (done >= backlog.deliveries) finish();
      return Promise.resolve();
    });
  await finished;
  clearTimeout(patience);
  const perSecond = done / ((performance.now() - startedAt) / 1_000);
  await boss.stop({ graceful: false });
  return perSecond;
}
