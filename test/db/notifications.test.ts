import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock as clock } from '../../src/clock.ts';
import { openNotifications, type Notifications } from '../../src/db/notifications.ts';
import { emptyPostgresUrl } from '../support/databases.ts';

describe('notifications', () => {
  let database: { url: string; drop(): Promise<void> };
  let client: pg.Client;
  let open: Notifications[];
  beforeEach(async () => {
    open = [];
    database = await emptyPostgresUrl();
    client = new pg.Client(database.url);
    await client.connect();
  });
  afterEach(async () => {
    await Promise.all(open.map((one) => one.close()));
    await client.end();
    await database.drop();
  });

  const listening = async (onError: (error: Error) => void = () => {}) => {
    const heard: string[] = [];
    const notifications = openNotifications({ databaseUrl: database.url, clock, onError });
    open.push(notifications);
    notifications.listen('news', {
      notified: (payload) => heard.push(payload),
      connected: () => heard.push('connected'),
    });
    await expect.poll(() => heard).toContain('connected');
    return { heard, notifications };
  };
  const tell = (payload: string) => client.query('select pg_notify($1, $2)', ['news', payload]);

  it('reach every listener of their channel, and no other', async () => {
    const [one, two] = await Promise.all([listening(), listening()]);
    await client.query(`select pg_notify('other', 'x')`);
    await tell('first');
    for (const { heard } of [one, two]) await expect.poll(() => heard).toEqual(['connected', 'first']);
  });

  it('reach a channel that is listened to later', async () => {
    const { notifications } = await listening();
    const heard: string[] = [];
    notifications.listen('Late "channel"', { notified: (payload) => heard.push(payload) });
    await expect
      .poll(async () => {
        await client.query('select pg_notify($1, $2)', ['Late "channel"', 'x']);
        return heard.length;
      })
      .toBeGreaterThan(0);
  });

  it('say that the line is up again after it was cut, ten times over, and go on', async () => {
    const lost: Error[] = [];
    const { heard } = await listening((error) => lost.push(error));
    for (let round = 1; round <= 10; round++) {
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and query like 'listen%' or query = 'select 1'`,
      );
      await expect
        .poll(() => heard.filter((what) => what === 'connected').length, { timeout: 10_000 })
        .toBe(round + 1);
      await tell(`round ${round}`);
      await expect.poll(() => heard).toContain(`round ${round}`);
    }
    expect(lost.length).toBeGreaterThanOrEqual(10);
  });

  it('close at once, also while the database cannot be reached', async () => {
    const errors: Error[] = [];
    const nowhere = openNotifications({
      databaseUrl: 'postgres://nobody@127.0.0.1:1/none',
      clock,
      onError: (error) => errors.push(error),
    });
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    const started = performance.now();
    await nowhere.close();
    const { notifications } = await listening();
    await notifications.close();
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
