import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { systemClock } from '../../src/clock.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { applyChanges } from '../../src/sync/changes.ts';
import { redriveDeliveries } from '../../src/webhooks/deliveries.ts';
import { claimQueues, pruneDeliveries, releaseQueue, renewLease } from '../../src/webhooks/deliveryRows.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds, postgresDatabase } from '../support/databases.ts';
import { cloudEvents, openReceiver, type CloudEvent, type TestReceiver } from '../support/webhooks.ts';

const day = 24 * 3_600_000;
const tellOf = (connection: Connection, ...events: Partial<CloudEvent>[]) =>
  cloudEvents(
    events.map((event) => ({
      ...{ id: randomUUID(), realm: connection.externalId!, entity: 'invoice', externalId: '41' },
      ...event,
    })),
  );
const rowsOf = (product: TestCore, { id }: Connection) =>
  product.db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('connection_id', '=', id)
    .orderBy('received_at')
    .orderBy('arrival')
    .execute();
const countsOf = async (product: TestCore, connection: Connection) => {
  const counts: Record<string, number> = {};
  for (const { status } of await rowsOf(product, connection)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};
const recordEvents = (product: TestCore, { id }: Connection) =>
  product.db
    .selectFrom('sync_events')
    .select(['kind', 'external_id', 'sequence'])
    .where('connection_id', '=', id)
    .where('kind', 'like', 'RECORD_%')
    .orderBy('sequence')
    .execute();
/** Both times of day move, and whoever waits for something to do looks at once. */
const pass = async (product: TestCore, ms: number, realMs = 150) => {
  product.clock.shift(ms);
  product.deliveries.queued.notified('');
  await new Promise((resolve) => setTimeout(resolve, realMs));
};
const until = (check: () => Promise<void>, timeout = 20_000) => vi.waitFor(check, { timeout, interval: 25 });

describe.each(databaseKinds)('the working off of deliveries, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  let connection: Connection;
  let invoices: string[];
  beforeAll(async () => {
    product = await openCore(open);
    await product.admin('PUT', 'slack/settings', { rateLimits: false });
    product.deliveries.start();
    receiver = await openReceiver(product);
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });
  beforeEach(async () => {
    connection = await product.connected(`account-${randomUUID()}`);
    const some = Array.from({ length: 30 }, (_, i) => String(41 + i));
    const patience = { deadlineAtMs: product.clock.now() + 5_000 };
    invoices = [...(await product.api.records(connection, 'Invoice', some, patience)).keys()];
  });
  afterEach(async () => {
    await product.admin('DELETE', 'faults');
    const { rows } = await sql<{ account_id: string; id: string }>`
      select account_id, id from connections where status <> 'DISCONNECTED'`.execute(product.db);
    for (const { account_id: accountId, id } of rows)
      await product.connections.disconnect({ accountId, userId: null }, id);
  });
  const tell = async (...events: Partial<CloudEvent>[]) =>
    expect((await receiver.quickbooks(tellOf(connection, ...events))).status).toBe(200);
  /** Every request for the record is answered so, alone and with others. */
  const poison = async (externalId: string, status: number) => {
    for (const pathContains of [`invoice/${externalId}`, `%27${externalId}%27`, `'${externalId}'`])
      await product.admin('POST', 'faults', { count: 100_000, status, match: { pathContains } });
  };
  const known = () => countsOf(product, connection);

  it('applies 99 of 100, tries the poisoned one five times, and once more when it is redriven', async () => {
    const [bad, ...good] = invoices;
    await poison(bad!, 400);
    await tell(
      ...Array.from({ length: 100 }, (_, i) => ({
        externalId: i === 50 ? bad! : good[i % good.length]!,
      })),
    );
    await until(async () => expect(await known()).toEqual({ PROCESSED: 99, FAILED: 1 }));
    const ofBad = async () => (await rowsOf(product, connection))[50]!;
    expect(await ofBad()).toMatchObject({ status: 'FAILED', attempts: 1 });
    let pausedMs = 0;
    for (let attempts = 2; attempts <= 5; attempts++) {
      const { next_attempt_at: next } = await ofBad();
      const pauseMs = next!.getTime() - product.clock.now();
      pausedMs += pauseMs;
      await pass(product, pauseMs + 1);
      await until(async () => expect(await ofBad()).toMatchObject({ attempts }));
    }
    // What trying again cannot mend is given up soon.
    expect(pausedMs).toBeGreaterThan(10_000);
    expect(pausedMs).toBeLessThan(20_000);
    expect(await known()).toEqual({ PROCESSED: 99, DEAD: 1 });
    await pass(product, day, 1_500);
    expect(await ofBad()).toMatchObject({ status: 'DEAD', attempts: 5, next_attempt_at: null });

    // It keeps nobody waiting.
    await tell({ externalId: good[0]! });
    await until(async () => expect(await known()).toEqual({ PROCESSED: 100, DEAD: 1 }));
    const seen = await product.query(
      `query ($id: ID!) { connection(id: $id) { deliveries(status: DEAD) {
        nodes { id status attempts problem { code actor } } } } }`,
      { id: connection.id },
      connection.accountId,
    );
    const { id } = await ofBad();
    expect(seen.data?.connection).toMatchObject({
      deliveries: { nodes: [{ id, status: 'DEAD', attempts: 5, problem: { code: expect.any(String) } }] },
    });
    await product.admin('DELETE', 'faults');
    const redriven = await product.query(
      `mutation ($ids: [ID!]!) { redriveDeliveries(input: { deliveryIds: $ids }) {
        deliveries { status attempts } problem { code } } }`,
      { ids: [id] },
      connection.accountId,
    );
    expect(redriven.data?.redriveDeliveries).toMatchObject({
      deliveries: [{ status: 'RECEIVED' }],
      problem: null,
    });
    await until(async () => expect(await known()).toEqual({ PROCESSED: 101 }));
    const told = (await recordEvents(product, connection)).filter((event) => event.external_id === bad);
    expect(told.map(({ kind }) => kind)).toEqual(['RECORD_CREATED']);
  });

  it(
    'gives up on nothing while the provider is down, however few the calls are',
    { timeout: 60_000 },
    async () => {
      await product.admin('POST', 'faults', { count: 100_000, status: 503 });
      await tell({ externalId: invoices[0]! });
      for (let minute = 0; minute < 15; minute++) await pass(product, 60_000, 100);
      expect(Object.keys(await known())).toEqual(['FAILED']);
      await tell(...invoices.slice(0, 10).map((externalId) => ({ externalId })));
      for (let round = 0; round < 20; round++) await pass(product, 15_000, 100);
      expect((await known())['DEAD']).toBeUndefined();
      await product.admin('DELETE', 'faults');
      // Time enough between the jumps for what was begun: its deadline goes by the clock that jumps.
      await until(async () => {
        await pass(product, 120_000, 400);
        expect(await known()).toEqual({ PROCESSED: 11 });
      }, 40_000);
    },
  );

  it('comes back to what failed while new ones keep arriving, and keeps those not waiting', async () => {
    const [bad, good] = invoices;
    await poison(bad!, 400);
    await tell({ externalId: bad! });
    await until(async () => expect(await known()).toEqual({ FAILED: 1 }));
    await product.admin('DELETE', 'faults');
    product.clock.shift(10_000);
    const endsAt = Date.now() + 3_000;
    const stream = (async () => {
      for (; Date.now() < endsAt;) await tell({ externalId: good! });
    })();
    await until(
      async () => expect((await rowsOf(product, connection))[0]).toMatchObject({ status: 'PROCESSED' }),
      3_000,
    );
    expect(Date.now()).toBeLessThan(endsAt);
    await stream;
  });

  it('looks twice for a record that is announced and is not there, and then takes it for gone', async () => {
    await tell({ externalId: '999999' });
    await until(async () => expect(await known()).toEqual({ FAILED: 1 }));
    await until(async () => {
      await pass(product, 60_000, 50);
      expect(await known()).toEqual({ PROCESSED: 1 });
    });
    expect((await recordEvents(product, connection)).map(({ kind }) => kind)).toEqual(['RECORD_DELETED']);
    expect(await rowsOf(product, connection)).toMatchObject([{ attempts: 3 }]);
  });

  it('waits while the connection has to be authorized again, and goes on when it has been', async () => {
    const lock = product.db
      .updateTable('connections')
      .set({ status: 'NEEDS_REAUTHORIZATION' })
      .where('id', '=', connection.id);
    await product.admin('POST', 'faults', { count: 1, delayMs: 1_000 });
    await tell({ externalId: invoices[0]! });
    await lock.execute();
    await until(async () => expect(Object.keys(await known())).toHaveLength(1));
    const { accountId } = connection;
    for (let hour = 0; hour < 12; hour++) await pass(product, 3_600_000, 50);
    expect((await known())['DEAD']).toBeUndefined();
    connection = await product.connected(accountId);
    await until(async () => {
      await pass(product, 61_000, 50);
      expect(await known()).toEqual({ PROCESSED: 1 });
    });
  });

  it('ends with the connection', async () => {
    await poison(invoices[0]!, 400);
    await tell({ externalId: invoices[0]! });
    await until(async () => expect(await known()).toEqual({ FAILED: 1 }));
    await product.connections.disconnect({ accountId: connection.accountId, userId: null }, connection.id);
    await until(async () => {
      await pass(product, 61_000, 50);
      expect(await known()).toEqual({ PROCESSED: 1 });
    });
    expect(await recordEvents(product, connection)).toEqual([]);
  });

  it('forgets what nobody claimed after a day, and what is done after thirty', async () => {
    const realm = `realm-${randomUUID()}`;
    const event = { id: randomUUID(), externalId: invoices[0]! };
    await tell({ realm });
    await tell(event);
    await until(async () => expect(await known()).toEqual({ PROCESSED: 1 }));
    const unclaimed = async () =>
      (
        await product.db
          .selectFrom('webhook_deliveries')
          .select('id')
          .where('account_external_id', '=', realm)
          .execute()
      ).length;
    const prune = async (ms: number) => {
      for (let more = true; more;)
        more = await pruneDeliveries(product.db, new Date(product.clock.now() + ms));
    };
    await prune(day - 60_000);
    expect(await unclaimed()).toBe(1);
    await prune(day + 60_000);
    expect(await unclaimed()).toBe(0);
    await prune(29 * day);
    await tell(event);
    expect(await known()).toEqual({ PROCESSED: 1 });
    await prune(30 * day + 60_000);
    expect(await known()).toEqual({});
  });

  it('gives a queue to one at a time, and nothing to store to who has lost it, even to itself', async () => {
    await poison(invoices[0]!, 400);
    await tell({ externalId: invoices[0]! });
    await until(async () => expect(await known()).toEqual({ FAILED: 1 }));
    const queue = { account_id: connection.accountId, connection_id: connection.id };
    const expire = () =>
      sql`update delivery_queues set lease_until = now() - interval '1 second', due_at = now() - interval '1 day'
        where connection_id = ${connection.id}`.execute(product.db);
    await until(async () => {
      const row = await product.db
        .selectFrom('delivery_queues')
        .select('lease_owner')
        .where('connection_id', '=', queue.connection_id)
        .executeTakeFirstOrThrow();
      expect(row.lease_owner).toBeNull();
    });
    const claim = async () => {
      // The workers of this process look as well: whoever is first has it.
      const [own] = await product.db.transaction().execute(async (trx) => {
        await sql`update delivery_queues set due_at = now() - interval '2 days', lease_until = null
          where connection_id = ${connection.id}`.execute(trx);
        return claimQueues(trx, 1, new Date(product.clock.now()));
      });
      return own!;
    };
    const first = await claim();
    expect(first.connectionId).toBe(connection.id);
    expect(await renewLease(product.db, first)).toBe(true);
    await expire();
    expect(await renewLease(product.db, first)).toBe(false);
    const second = await claim();
    expect(await renewLease(product.db, first)).toBe(false);
    await releaseQueue(product.db, first, new Date(product.clock.now()));
    expect(await renewLease(product.db, second)).toBe(true);
    await releaseQueue(product.db, second, new Date(product.clock.now()));
  });

  describe('four changes of one record and three repetitions', () => {
    const permutations = <T>(items: readonly T[]): T[][] =>
      items.length < 2
        ? [[...items]]
        : items.flatMap((one, i) => permutations(items.toSpliced(i, 1)).map((rest) => [one, ...rest]));

    it('end in one state in all orders, and events that never go back', { timeout: 120_000 }, async () => {
      const at = (minute: number) => new Date(Date.UTC(2026, 0, 5, 12, minute));
      const changes = [1, 2, 4].map((minute) => ({ minute, deleted: false }));
      const all = [...changes, { minute: 3, deleted: true }];
      const finals = new Set<string>();
      let fetched = 0;
      for (const [i, order] of permutations(all).entries()) {
        const externalId = `order-${i}`;
        const repeated = [...order, ...order.slice(0, 3)].flatMap((one, k) =>
          k === 5 ? [one, order[3]!] : [one],
        );
        for (const { minute, deleted } of repeated)
          await product.db.transaction().execute((trx) =>
            applyChanges(
              trx,
              connection.accountId,
              [
                {
                  connection,
                  changes: [
                    {
                      ...{ resource: 'Invoice', externalId, announced: true },
                      snapshot: deleted ? null : { externalId, payload: { minute }, updatedAt: at(minute) },
                      deletedAt: deleted ? at(minute) : null,
                      fetchedAt: new Date(product.clock.now() + ++fetched),
                    },
                  ],
                },
              ],
              'WEBHOOK',
              product.clock,
            ),
          );
        const row = await product.db
          .selectFrom('external_records')
          .select(['payload', 'updated_at', 'deleted', 'deleted_at', 'account_external_id'])
          .where('connection_id', '=', connection.id)
          .where('external_id', '=', externalId)
          .executeTakeFirstOrThrow();
        finals.add(JSON.stringify(row));
        const told = (await recordEvents(product, connection)).filter(
          (one) => one.external_id === externalId,
        );
        expect(told.length).toBeLessThanOrEqual(4);
        expect(new Set(told.map(({ sequence }) => sequence)).size).toBe(told.length);
        // Each tells of what was news then: nothing is gone or made twice.
        const exists = told.map(({ kind }) => kind !== 'RECORD_DELETED');
        expect(told.map(({ kind }) => kind === 'RECORD_CREATED')).toEqual(
          exists.map((is, k) => is && !(exists[k - 1] ?? false)),
        );
        expect(exists.filter((is, k) => !is && exists[k - 1] === false)).toEqual([]);
      }
      expect([...finals]).toHaveLength(1);
      expect(JSON.parse([...finals][0]!)).toMatchObject({ payload: { minute: 4 }, deleted: false });
    });
  });

  describe('Slack', () => {
    let slack: Connection;
    let botUser: string;
    beforeEach(async () => {
      slack = await product.connected(connection.accountId, {}, 'slack');
      const { external_user_id: user } = await product.db
        .selectFrom('oauth_tokens')
        .select('external_user_id')
        .where('connection_id', '=', slack.id)
        .executeTakeFirstOrThrow();
      botUser = user!;
    });
    const say = async (event: object, at = product.clock.now() + 1_000) => {
      const seconds = Math.floor(at / 1_000);
      const body = {
        ...{ type: 'event_callback', team_id: slack.externalId, event_id: `Ev${randomUUID()}` },
        ...{ event_time: seconds, event: { ...event, event_ts: `${seconds}.000100` } },
      };
      expect((await receiver.slack(body)).status).toBe(200);
      await until(async () =>
        expect((await rowsOf(product, slack)).filter(({ status }) => status !== 'PROCESSED')).toEqual([]),
      );
    };
    const status = async () =>
      (await product.connections.find(slack.accountId, [slack.id])).get(slack.id)!.status;

    it('ends nobody’s connection by revoking another user’s token, an empty list or an older grant', async () => {
      await say({ type: 'tokens_revoked', tokens: { oauth: ['U0SOMEONE'], bot: [] } });
      await say({ type: 'tokens_revoked', tokens: { oauth: [], bot: [] } });
      await say({ type: 'tokens_revoked', tokens: { bot: ['U0SOMEONE'] } });
      await say(
        { type: 'tokens_revoked', tokens: { bot: [botUser] } },
        slack.connectedAt!.getTime() - 60_000,
      );
      await product.db
        .updateTable('oauth_tokens')
        .set({ external_user_id: null })
        .where('connection_id', '=', slack.id)
        .execute();
      await say({ type: 'tokens_revoked', tokens: { oauth: [], bot: [] } });
      expect(await status()).toBe('ACTIVE');
    });

    it('ends it by revoking its own, once, in whatever order it says so', async () => {
      await say({ type: 'tokens_revoked', tokens: { oauth: [], bot: [botUser] } });
      expect(await status()).toBe('NEEDS_REAUTHORIZATION');
      const ended = async () =>
        (
          await product.db
            .selectFrom('sync_events')
            .select('source')
            .where('connection_id', '=', slack.id)
            .where('change', '=', 'REAUTHORIZATION_REQUIRED')
            .execute()
        ).map(({ source }) => source);
      expect(await ended()).toEqual(['WEBHOOK']);
    });

    it('says nothing of an authorization that is newer than the word of its end', async () => {
      const endedAt = product.clock.now() + 1_000;
      await say({ type: 'app_uninstalled' }, endedAt);
      expect(await status()).toBe('NEEDS_REAUTHORIZATION');
      product.clock.shift(60_000);
      const again = await product.connected(slack.accountId, {}, 'slack');
      expect(again).toMatchObject({ id: slack.id, status: 'ACTIVE' });
      expect(again.generation).toBeGreaterThan(slack.generation);
      await say({ type: 'tokens_revoked', tokens: { bot: [botUser] } }, endedAt);
      await say({ type: 'app_uninstalled' }, endedAt);
      expect(await status()).toBe('ACTIVE');
    });
  });
});

describe('deliveries on PostgreSQL', () => {
  it('lose no attempt to calls that our own limits hold back', { timeout: 90_000 }, async () => {
    const sandbox = await startSandbox({ port: 0, clock: systemClock });
    const { clientId, clientSecret, ...endpoints } = sandbox.quickbooks;
    const narrow = { ...quickbooks, id: 'narrow', records: { ...quickbooks.records, batchSize: 1 } };
    const secret = 'the-verifier-of-narrow';
    const limits = [{ name: 'second', limit: 5, windowMs: 1_000 }];
    const product = await openCore(postgresDatabase, {
      others: [
        {
          provider: narrow,
          endpoints,
          credentials: { clientId, clientSecret },
          webhookSecrets: [secret],
          limits,
        },
      ],
    });
    const receiver = await openReceiver(product);
    const connection = await product.connected('acme', {}, 'narrow');
    const ids = Array.from({ length: 200 }, (_, i) => String(1_000 + i));
    const body = Buffer.from(
      JSON.stringify(tellOf(connection, ...ids.map((externalId) => ({ externalId })))),
    );
    expect((await receiver.post('narrow', body, sign(intuitScheme, secret, body))).status).toBe(200);
    product.deliveries.start();
    await until(async () => expect(await countsOf(product, connection)).toEqual({ FAILED: 200 }), 60_000);
    const rows = await rowsOf(product, connection);
    // They do not exist there, which counts; the others had no turn, which does not.
    const codes = new Set(rows.map(({ attempts, problem }) => `${attempts} ${problem!.code}`));
    expect(codes).toEqual(new Set(['1 NOT_FOUND', '0 DEADLINE_EXCEEDED']));
    await receiver.close();
    await product.close();
    await sandbox.close();
  });

  it('count no attempt and are free at once where the process stops in the middle', async () => {
    const product = await openCore(postgresDatabase);
    const receiver = await openReceiver(product);
    const connection = await product.connected('acme');
    await product.admin('DELETE', 'requests');
    await product.admin('POST', 'faults', { count: 10, delayMs: 1_500, match: { pathContains: 'invoice/' } });
    product.deliveries.start();
    await receiver.quickbooks(tellOf(connection, { externalId: '41' }));
    await until(async () =>
      expect(
        (await product.db.selectFrom('delivery_queues').select('lease_owner').execute())[0]?.lease_owner,
      ).toEqual(expect.any(String)),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    await product.deliveries.stop();
    expect(await rowsOf(product, connection)).toMatchObject([{ status: 'RECEIVED', attempts: 0 }]);
    const queues = await product.db.selectFrom('delivery_queues').selectAll().execute();
    expect(queues).toMatchObject([{ lease_owner: null, lease_until: null }]);
    expect(queues[0]!.due_at.getTime()).toBeLessThanOrEqual(product.clock.now());
    await receiver.close();
    await product.close();
  });

  it('are redriven without a deadlock while a worker is at them', async () => {
    const product = await openCore(postgresDatabase);
    const receiver = await openReceiver(product);
    const connection = await product.connected('acme');
    await receiver.quickbooks(tellOf(connection, { externalId: '41' }));
    await product.db.updateTable('webhook_deliveries').set({ status: 'FAILED', attempts: 1 }).execute();
    const [row] = await rowsOf(product, connection);
    const now = new Date(product.clock.now());
    const [queue] = await claimQueues(product.db, 1, now);
    let redriven: Promise<unknown> | undefined;
    await product.db.transaction().execute(async (trx) => {
      expect(await renewLease(trx, queue!)).toBe(true);
      redriven = redriveDeliveries(product.db, connection.accountId, [row!.id], now);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await trx.updateTable('webhook_deliveries').set({ attempts: 2 }).where('id', '=', row!.id).execute();
    });
    await expect(redriven).resolves.toMatchObject([{ id: row!.id, status: 'RECEIVED', attempts: 0 }]);
    await receiver.close();
    await product.close();
  });

  it('are each worked off once by processes that look at the same time', async () => {
    const product = await openCore(postgresDatabase);
    const receiver = await openReceiver(product);
    const connection = await product.connected('acme');
    await receiver.quickbooks(tellOf(connection, { externalId: '41' }));
    const claims = await Promise.all(
      Array.from({ length: 20 }, () => claimQueues(product.db, 16, new Date(product.clock.now()))),
    );
    expect(claims.flat()).toHaveLength(1);
    await receiver.close();
    await product.close();
  });
});
