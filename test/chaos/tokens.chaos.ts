import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tcpProxy } from '../support/tcpProxy.ts';
import { openTokenProcesses, type TokenProcesses } from '../support/tokenProcesses.ts';

/** The same delays in every run. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

/** A provider that rotates, and ends the grant when a token is used twice. */
describe('eight processes with one token', () => {
  let processes: TokenProcesses;
  beforeEach(async () => {
    processes = await openTokenProcesses();
  });
  afterEach(() => processes.close());

  it(
    'make one request for a thousand callers of an endpoint that takes twelve seconds',
    { timeout: 600_000 },
    async () => {
      const many = await processes.startMany(8);
      await processes.expire();
      await processes.slow(12_000);
      const done = await Promise.all(many.map((child) => processes.calls(child, 125)));
      expect(done).toEqual(many.map(() => ({ outcomes: { ok: 125 } })));
      expect(await processes.tokenRequests()).toMatchObject([{ status: 200 }]);
      expect(await processes.status()).toBe('ACTIVE');
      process.stdout.write(
        `${JSON.stringify({ processes: 8, callers: 1_000, tokenRequests: 1, delayMs: 12_000 })}\n`,
      );
    },
  );

  it('lose no rotation in a hundred rounds with random delays', { timeout: 600_000 }, async () => {
    const many = await processes.startMany(8);
    const random = sequence(20_261_123);
    let requests = 0;
    for (let round = 1; round <= 100; round++) {
      await processes.expire();
      await processes.slow(Math.floor(random() * 1_500));
      const done = await Promise.all(many.map((child) => processes.calls(child, Math.ceil(random() * 20))));
      expect(done.flatMap((one) => ('outcomes' in one ? Object.keys(one.outcomes) : []))).toEqual(
        many.map(() => 'ok'),
      );
      requests += (await processes.tokenRequests()).length;
    }
    expect(requests).toBe(100);
    expect(await processes.row()).toMatchObject({ version: 101, refresh_failures: 0 });
    expect(await processes.status()).toBe('ACTIVE');
    process.stdout.write(
      `${JSON.stringify({ processes: 8, rounds: 100, tokenRequests: requests, lostRotations: 0 })}\n`,
    );
  });

  it('store what came while the database was away for thirty seconds', { timeout: 600_000 }, async () => {
    const { database } = processes.product;
    if (database.kind !== 'postgres') throw new Error('not PostgreSQL');
    const url = new URL(database.databaseUrl);
    const proxy = await tcpProxy(Number(url.port));
    url.host = `127.0.0.1:${proxy.port}`;
    const many = await processes.startMany(3, { databaseUrl: url.href });
    await processes.expire();
    await processes.slow(5_000);
    const done = Promise.all(many.map((child) => processes.calls(child, 5)));
    await expect.poll(async () => (await processes.row()).attempt_at, { timeout: 10_000 }).not.toBeNull();
    proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    proxy.restore();
    const outcomes = await done;
    const { version } = await processes.row();
    const requests = (await processes.tokenRequests()).length;
    process.stdout.write(
      `${JSON.stringify({ databaseAwaySeconds: 30, version, tokenRequests: requests, outcomes })}\n`,
    );
    expect([version, requests, await processes.status()]).toEqual([2, 1, 'ACTIVE']);
    await proxy.close();
  });

  it('renew a thousand tokens once each', { timeout: 600_000 }, async () => {
    for (let i = 0; i < 999; i++) await processes.product.connected(`account ${i}`);
    const many = await processes.startMany(4);
    await processes.expire();
    const done = await Promise.all(many.map((child) => processes.ask(child, { due: true })));
    const refreshed = done.map((one) => ('refreshed' in one ? one.refreshed : 0));
    const requests = await processes.tokenRequests();
    console.log(
      JSON.stringify({ connections: 1_000, processes: 4, refreshed, tokenRequests: requests.length }),
    );
    expect(refreshed.reduce((sum, n) => sum + n)).toBe(1_000);
    expect(requests.filter((one) => one.status !== 200)).toEqual([]);
  });
});
