import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import type { RefreshPoint } from '../../src/oauth/refresh.ts';
import { startChild, type Child } from '../support/child.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { postgresDatabase } from '../support/databases.ts';
import { tcpProxy } from '../support/tcpProxy.ts';
import type { ChildSettings, Done, Order } from './refreshingChild.ts';

const encryptionKeys = `k1:${randomBytes(32).toString('base64')}`;

/** Several real processes that keep the same tokens alive, on PostgreSQL, with one emulated QuickBooks. */
describe('tokens that processes share', () => {
  let product: TestCore;
  let connection: Connection;
  let children: Child[];

  beforeEach(async () => {
    children = [];
    product = await openCore(postgresDatabase, { encryptionKeys });
    connection = await product.connected('acme');
    await product.admin('PUT', 'settings', { refreshMode: 'reuse-kills-grant' });
  });
  afterEach(async () => {
    for (const child of children) child.signal('SIGCONT');
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    await product.close();
  });

  const start = async (more: Partial<ChildSettings> = {}): Promise<Child> => {
    if (product.database.kind !== 'postgres') throw new Error('not PostgreSQL');
    const settings: ChildSettings = {
      databaseUrl: product.database.databaseUrl,
      encryptionKeys,
      provider: product.sandbox.quickbooks,
      requestTimeoutMs: 5_000,
      replay: 'strict',
      killAt: null,
      shiftMs: 0,
      ...more,
    };
    const child = startChild(new URL('refreshingChild.ts', import.meta.url), JSON.stringify(settings));
    children.push(child);
    expect(await child.line()).toBe('ready');
    return child;
  };
  const startMany = (count: number, more?: Partial<ChildSettings>) =>
    Promise.all(Array.from({ length: count }, () => start(more)));
  const ask = async (child: Child, order: Order): Promise<Done> => {
    child.send(JSON.stringify(order));
    return JSON.parse(await child.line()) as Done;
  };
  const calls = (child: Child, count: number) => ask(child, { calls: count, accountIds: ['acme'] });
  const row = () => product.db.selectFrom('oauth_tokens').selectAll().executeTakeFirstOrThrow();
  const expire = async () => {
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
    await product.db
      .updateTable('oauth_tokens')
      .set({ expires_at: ago(1), refresh_due_at: ago(12) })
      .execute();
    await product.admin('DELETE', 'requests');
  };
  const endLease = () =>
    product.db
      .updateTable('oauth_tokens')
      .set({ lease_until: new Date(Date.now() - 1_000) })
      .execute();
  const tokenRequests = () => product.requests('/tokens/bearer');
  const slow = (delayMs: number) =>
    product.admin('POST', 'faults', { count: 1, delayMs, match: { pathContains: '/tokens/bearer' } });
  const status = async () => {
    const [present] = await product.connections.list('acme');
    return present!.status;
  };

  it('are renewed by one request, whoever and however many ask', async () => {
    const processes = await startMany(4);
    for (let round = 1; round <= 3; round++) {
      await expire();
      await slow(round * 500);
      const done = await Promise.all(processes.map((child) => calls(child, 50)));
      expect(done).toEqual(processes.map(() => ({ outcomes: { ok: 50 } })));
      expect(await tokenRequests()).toMatchObject([{ status: 200 }]);
    }
    expect(await row()).toMatchObject({ version: 4, lease_owner: null, attempt_at: null });
    expect(await status()).toBe('ACTIVE');
  });

  it('are renewed once where the machines’ clocks are ten minutes apart', async () => {
    const processes = await Promise.all([-600_000, 0, 600_000].map((shiftMs) => start({ shiftMs })));
    await expire();
    for (const child of processes) expect(await calls(child, 5)).toEqual({ outcomes: { ok: 5 } });
    expect(await tokenRequests()).toHaveLength(1);
    expect((await product.requests('companyinfo')).filter((one) => one.status !== 200)).toEqual([]);
  });

  it('are renewed once each where processes look for what is due', async () => {
    const accountIds = Array.from({ length: 40 }, (_, i) => `account ${i}`);
    for (const accountId of accountIds) await product.connected(accountId);
    const processes = await startMany(3);
    await expire();
    const done = await Promise.all(processes.map((child) => ask(child, { due: true })));
    const refreshed = done.map((one) => ('refreshed' in one ? one.refreshed : 0));
    expect(refreshed.reduce((sum, n) => sum + n)).toBe(41);
    expect(await tokenRequests()).toHaveLength(41);
    expect((await tokenRequests()).filter((one) => one.status !== 200)).toEqual([]);
  });

  const points: [point: RefreshPoint, sent: boolean, stored: boolean][] = [
    ['leased', false, false],
    ['before journal', false, false],
    ['journalled', false, false],
    ['answered', true, false],
    ['before commit', true, false],
    ['committed', true, true],
  ];
  const modes = ['stable-24h', 'rotate-with-grace', 'reuse-kills-grant'] as const;

  it.each(points.flatMap((point) => modes.map((mode) => [...point, mode] as const)))(
    'survive a process killed when it has %s (sent %s, stored %s), where the provider does %s',
    async (killAt, sent, stored, refreshMode) => {
      await product.admin('PUT', 'settings', { refreshMode, graceSeconds: 600 });
      const [doomed, other] = await Promise.all([start({ killAt }), start()]);
      await expire();
      doomed.send(JSON.stringify({ calls: 5, accountIds: ['acme'] } satisfies Order));
      await doomed.ended;
      expect(await tokenRequests()).toHaveLength(sent ? 1 : 0);
      expect((await row()).version).toBe(stored ? 2 : 1);
      await endLease();
      // Lost only where the provider has rotated, and takes the old one no longer.
      const lost = sent && !stored && refreshMode === 'reuse-kills-grant';
      expect(await calls(other, 5)).toEqual({
        outcomes: lost ? { REAUTHORIZATION_REQUIRED: 5 } : { ok: 5 },
      });
      expect(await status()).toBe(lost ? 'NEEDS_REAUTHORIZATION' : 'ACTIVE');
      // No loop: a lost one is tried, read again, tried once more, and left alone.
      expect(await tokenRequests()).toHaveLength(lost ? 3 : sent && stored ? 1 : sent ? 2 : 1);
      await calls(other, 5);
      expect(await tokenRequests()).toHaveLength(lost ? 3 : sent && stored ? 1 : sent ? 2 : 1);
    },
  );

  it('are not overwritten by a process that was frozen past its lease', async () => {
    await product.admin('PUT', 'settings', { refreshMode: 'rotate-with-grace', graceSeconds: 600 });
    const [frozen, other] = await startMany(2);
    await expire();
    await slow(1_000);
    frozen!.send(JSON.stringify({ calls: 1, accountIds: ['acme'] } satisfies Order));
    await expect.poll(async () => (await row()).attempt_at).not.toBeNull();
    frozen!.signal('SIGSTOP');
    await endLease();
    expect(await calls(other!, 3)).toEqual({ outcomes: { ok: 3 } });
    const stored = await row();
    frozen!.signal('SIGCONT');
    expect(JSON.parse(await frozen!.line())).toEqual({ outcomes: { ok: 1 } });
    expect(await row()).toMatchObject({
      version: stored.version,
      access_token_encrypted: stored.access_token_encrypted,
    });
    expect(stored.version).toBe(2);
  });

  it('are stored when the database is back that went away while the provider answered', async () => {
    if (product.database.kind !== 'postgres') throw new Error('not PostgreSQL');
    const url = new URL(product.database.databaseUrl);
    const proxy = await tcpProxy(Number(url.port));
    url.host = `127.0.0.1:${proxy.port}`;
    const child = await start({ databaseUrl: url.href });
    await expire();
    await slow(1_000);
    const done = calls(child, 5);
    await expect.poll(async () => (await row()).attempt_at).not.toBeNull();
    proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect((await row()).version).toBe(1);
    proxy.restore();
    expect(await done).toEqual({ outcomes: { ok: 5 } });
    expect((await row()).version).toBe(2);
    expect(await tokenRequests()).toHaveLength(1);
    await proxy.close();
  });

  it('are not asked for again when an answer is lost, where a second time could end the grant', async () => {
    const strict = await start({ replay: 'strict' });
    const due = new Date(Date.now() - 60_000);
    await product.db.updateTable('oauth_tokens').set({ refresh_due_at: due }).execute();
    await product.admin('DELETE', 'requests');
    await product.admin('POST', 'faults', {
      count: 1,
      drop: true,
      match: { pathContains: '/tokens/bearer' },
    });
    for (let i = 0; i < 3; i++) expect(await calls(strict, 3)).toEqual({ outcomes: { ok: 3 } });
    expect(await tokenRequests()).toHaveLength(1);
    expect(await row()).toMatchObject({ attempt_outcome: 'UNCERTAIN', refresh_failures: 1 });
    expect(await status()).toBe('ACTIVE');
    expect(connection.status).toBe('ACTIVE');
  });

  it('are asked for again at once where the provider takes a used one', async () => {
    await product.admin('PUT', 'settings', { refreshMode: 'rotate-with-grace', graceSeconds: 60 });
    const forgiving = await start({ replay: 'grace' });
    await expire();
    await product.admin('POST', 'faults', {
      count: 1,
      drop: true,
      match: { pathContains: '/tokens/bearer' },
    });
    expect(await calls(forgiving, 3)).toEqual({ outcomes: { ok: 3 } });
    expect(await tokenRequests()).toHaveLength(2);
    expect(await row()).toMatchObject({ version: 2, refresh_failures: 0 });
  });
});
