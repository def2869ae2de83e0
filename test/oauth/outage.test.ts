import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refreshDueAt } from '../../src/oauth/protocol.ts';
import { mainRealmId } from '../support/sandbox.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { slack } from '../../src/providers/slack.ts';
import { databaseKinds, postgresDatabase } from '../support/databases.ts';
import { answeringServer } from '../support/httpServer.ts';

const minute = 60_000;

describe.each(databaseKinds)('connections whose token endpoint is in trouble, %s', (_kind, open) => {
  const accounts = Array.from({ length: 12 }, (_, i) => `account ${i}`);
  let product: TestCore;
  beforeEach(async () => {
    product = await openCore(open, { requestTimeoutMs: 1_000 });
    for (const account of accounts) await product.connected(account);
    await product.admin('DELETE', 'requests');
  });
  afterEach(() => product.close());

  const present = async (account: string) => (await product.connections.list(account))[0]!;
  const all = () => Promise.all(accounts.map(present));
  const refreshDue = async () => {
    for (let more = true; more;) more = await product.upkeep.refreshDue();
  };
  const tokenRequests = async () => (await product.requests('/tokens/bearer')).length;
  const changes = async () => {
    const rows = await product.db.selectFrom('sync_events').select('change').execute();
    return rows.map((row) => row.change);
  };
  const failing = (count: number) =>
    product.admin('POST', 'faults', { count, status: 503, match: { pathContains: '/tokens/bearer' } });

  it('outlast it, say so, cost few requests, and recover by themselves', async () => {
    product.clock.shift(49 * minute);
    await failing(1_000_000);
    for (let elapsed = 0; elapsed < 10; elapsed++) {
      await refreshDue();
      product.clock.shift(minute);
    }
    const during = await all();
    expect(during.map(({ status }) => status)).toEqual(accounts.map(() => 'ACTIVE'));
    expect(new Set(during.map(({ problem }) => problem?.actor))).toEqual(new Set(['PROVIDER']));
    expect(during.every(({ problem }) => problem!.retryable)).toBe(true);
    // Cool-downs grow from 5 s to 5 minutes; and the breaker holds most of them back.
    expect(await tokenRequests()).toBeLessThan(accounts.length * 8);

    await product.admin('DELETE', 'faults');
    await expect
      .poll(
        async () => {
          product.clock.shift(minute);
          await refreshDue();
          return (await all()).filter(({ problem }) => problem !== null).length;
        },
        { timeout: 25_000, interval: 500 },
      )
      .toBe(0);
    const told = await changes();
    expect(told.filter((change) => change === 'REAUTHORIZATION_REQUIRED')).toEqual([]);
    expect(told.filter((change) => change === 'RECOVERED')).toHaveLength(accounts.length);
  }, 60_000);

  it('cost no request after the provider has said that the grant is gone', async () => {
    await product.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    product.clock.shift(49 * minute);
    await refreshDue();
    const dead = await all();
    expect(dead.map(({ status }) => status)).toEqual(accounts.map(() => 'NEEDS_REAUTHORIZATION'));
    const asked = (await product.requests('/')).length;
    for (let i = 0; i < 3; i++) {
      product.clock.shift(61 * minute);
      await refreshDue();
      await product.upkeep.probeDue();
      for (const connection of dead.slice(0, 3)) {
        const { problem } = await product.connections.refresh(
          identityOf(connection.accountId),
          connection.id,
        );
        expect(problem?.code).toBe('REAUTHORIZATION_REQUIRED');
      }
    }
    expect((await product.requests('/')).length).toBe(asked);
    expect((await changes()).filter((change) => change === 'REAUTHORIZATION_REQUIRED')).toHaveLength(
      accounts.length,
    );
  });

  it('are proved by a call of ours where nobody uses them, and demoted by the first that says so', async () => {
    product.clock.shift(2 * 60 * minute);
    await refreshDue();
    await product.admin('DELETE', 'requests');
    const before = product.clock.now();
    product.clock.shift(60 * minute);
    for (let more = true; more;) more = await product.upkeep.probeDue();
    expect((await all()).every(({ checkedAt }) => checkedAt!.getTime() > before)).toBe(true);
    expect(await product.requests('companyinfo')).toHaveLength(accounts.length);

    await product.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    product.clock.shift(75 * minute);
    for (let more = true; more;) more = await product.upkeep.probeDue();
    expect((await all()).map(({ status }) => status)).toEqual(accounts.map(() => 'NEEDS_REAUTHORIZATION'));
  });
});

it('a token endpoint that hangs holds up nobody else’s', async () => {
  let hangs = false;
  const server = await answeringServer(({ path }) => {
    if (path === '/token')
      return hangs
        ? new Promise(() => undefined)
        : { status: 200, body: { access_token: 'at', refresh_token: 'rt', expires_in: 3_600, team: 'T1' } };
    return { status: 200, body: { ok: true, team_id: 'T1' } };
  });
  const endpoints = {
    authorizeUrl: server.url,
    tokenUrl: `${server.url}/token`,
    revokeUrl: '',
    apiUrl: server.url,
  };
  const oauth = { ...slack.oauth, externalIdFields: ['team'], revocation: 'none' as const };
  const product = await openCore(postgresDatabase, {
    requestTimeoutMs: 5_000,
    others: [
      {
        provider: { ...slack, id: 'hanging', oauth },
        endpoints,
        credentials: { clientId: 'c', clientSecret: 's' },
        limits: [{ name: 'all', limit: 1_000, windowMs: 1_000 }],
      },
    ],
  });
  try {
    const accounts = Array.from({ length: 20 }, (_, i) => `account ${i}`);
    for (const account of accounts) {
      const url = new URL(await product.authorizationUrl(account, { integrationId: 'hanging' }));
      const back = `http://localhost:4000/oauth/hanging/callback?code=c&state=${url.searchParams.get('state')}`;
      expect((await product.callback(back, 'hanging')).problem).toBeNull();
    }
    await product.connected('acme');
    const refreshing = async () => {
      const [connection] = await product.connections.list('acme');
      const startedAt = performance.now();
      expect((await product.connections.refresh(identityOf('acme'), connection!.id)).problem).toBeNull();
      return performance.now() - startedAt;
    };
    const median = async () => {
      const times: number[] = [];
      for (let i = 0; i < 15; i++) times.push(await refreshing());
      return times.sort((a, b) => a - b)[7]!;
    };
    await median();
    const quiet = await median();
    hangs = true;
    product.clock.shift(50 * minute);
    const due = product.upkeep.refreshDue();
    await new Promise((resolve) => setTimeout(resolve, 200));
    // Of a few milliseconds each: what a lock across accounts would make of them is seconds.
    expect(await median()).toBeLessThan(quiet * 2 + 20);
    void due.catch(() => undefined);
  } finally {
    await server.close();
    await product.close();
  }
}, 60_000);

describe('when a refresh is due', () => {
  it('is at 75 to 80 % of any life, once in it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 30 * 86_400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seconds, chance) => {
          const issuedAt = new Date('2026-11-23T12:00:00Z');
          const life = seconds * 1_000;
          const due = refreshDueAt(issuedAt, new Date(issuedAt.getTime() + life), chance)!;
          const share = (due.getTime() - issuedAt.getTime()) / life;
          // Dates are whole milliseconds.
          expect(share).toBeGreaterThan(0.75 - 1 / life);
          expect(share).toBeLessThanOrEqual(0.8);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('is spread for tokens that were issued together: no second has twice its share', () => {
    const issuedAt = new Date('2026-11-23T12:00:00Z');
    const expiresAt = new Date(issuedAt.getTime() + 3_600_000);
    const seconds = new Map<number, number>();
    let chance = 0.5;
    for (let i = 0; i < 10_000; i++) {
      chance = (chance + 0.618_033_988_749_895) % 1;
      const second = Math.floor(refreshDueAt(issuedAt, expiresAt, chance)!.getTime() / 1_000);
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    }
    expect(seconds.size).toBeGreaterThan(175);
    expect(Math.max(...seconds.values())).toBeLessThanOrEqual((2 * 10_000) / 180);
  });
});
