import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openWebhookProcesses, type WebhookProcesses } from '../support/webhookProcesses.ts';

/** Lists that show changes late, by another clock, many of one time, and while they change; and a process that dies. */
describe('what only polling finds', { timeout: 120_000 }, () => {
  let processes: WebhookProcesses;
  beforeEach(async () => {
    processes = await openWebhookProcesses('postgres');
  });
  afterEach(() => processes.close());

  it.each([300_000, -300_000])('is found once each, with the provider’s clock off by %i ms', async (skew) => {
    const settings = { POLL_INTERVAL_SECONDS: '1' };
    const [first, second] = [await processes.start(settings), await processes.start(settings)];
    await processes.admin('PUT', 'settings', { visibilityLagMs: 5_000, clockSkewMs: skew });
    const { realm } = await processes.connect(first, 'acme');
    const { db } = await processes.look();
    const stored = () =>
      db.selectFrom('external_records').select(['external_id', 'payload']).where('resource', '=', 'Customer');
    await vi.waitFor(async () => expect((await stored().execute()).length).toBeGreaterThan(10), 20_000);

    // More than a page, most of one second, and changed while they are read.
    const made = new Set<string>();
    const change = async (operation: string, record: object) => {
      const body = { realmId: realm, operation, entity: 'Customer', record };
      const answer = await processes.admin('POST', 'records', body);
      return ((await answer.json()) as { Customer: { Id: string } }).Customer.Id;
    };
    const names = Array.from({ length: 1_150 }, (_, i) => `Shipper ${i}`);
    for (let i = 0; i < names.length; i += 50)
      for (const id of await Promise.all(
        names.slice(i, i + 50).map((DisplayName) => change('create', { DisplayName })),
      ))
        made.add(id);
    const touched = [...made].filter((_, i) => i % 50 === 0);
    let isOver = false;
    const changing = (async () => {
      for (const [i, Id] of touched.entries()) {
        if (!isOver) await new Promise((resolve) => setTimeout(resolve, 150));
        await change('update', { Id, DisplayName: `Renamed ${i}` });
      }
    })();
    // Whoever is reading it dies in the middle.
    const leased = () =>
      db
        .selectFrom('sync_rounds')
        .select('lease_owner')
        .where('resource', '=', 'Customer')
        .where('lease_owner', 'is not', null)
        .execute();
    await vi.waitFor(async () => expect(await leased()).toHaveLength(1), { timeout: 20_000, interval: 2 });
    await first.stop('SIGKILL');
    await changing;
    isOver = true;

    await vi.waitFor(
      async () => {
        const names = new Map(
          (await stored().execute()).map((row) => [
            row.external_id,
            (row.payload as unknown as { DisplayName: string }).DisplayName,
          ]),
        );
        for (const id of made) expect(names.has(id)).toBe(true);
        for (const [i, id] of touched.entries()) expect(names.get(id)).toBe(`Renamed ${i}`);
      },
      { timeout: 60_000, interval: 200 },
    );
    const told = await db
      .selectFrom('sync_events')
      .select(['external_id', (eb) => eb.fn.countAll<number>().as('count')])
      .where('kind', '=', 'RECORD_CREATED')
      .where('resource', '=', 'Customer')
      .groupBy('external_id')
      .execute();
    expect(told.filter(({ count }) => Number(count) !== 1)).toEqual([]);
    expect(told.length).toBeGreaterThan(1_150);
    await second.stop();
  });
});
