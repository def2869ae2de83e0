import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RefreshPoint } from '../../src/oauth/refresh.ts';
import { tcpProxy } from '../support/tcpProxy.ts';
import { openTokenProcesses, type TokenProcesses } from '../support/tokenProcesses.ts';
import type { Order } from './refreshingChild.ts';

describe('tokens that processes share', () => {
  let product: TokenProcesses['product'];
  let processes: TokenProcesses;
  beforeEach(async () => {
    processes = await openTokenProcesses();
    product = processes.product;
  });
  afterEach(() => processes.close());

  it('are renewed by one request, whoever and however many ask', async () => {
    const many = await processes.startMany(4);
    for (let round = 1; round <= 3; round++) {
      await processes.expire();
      await processes.slow(round * 500);
      const done = await Promise.all(many.map((child) => processes.calls(child, 50)));
      expect(done).toEqual(many.map(() => ({ outcomes: { ok: 50 } })));
      expect(await processes.tokenRequests()).toMatchObject([{ status: 200 }]);
    }
    expect(await processes.row()).toMatchObject({ version: 4, lease_owner: null, attempt_at: null });
    expect(await processes.status()).toBe('ACTIVE');
  });

  it('are renewed once where the machines’ clocks are ten minutes apart', async () => {
    const many = await Promise.all([-600_000, 0, 600_000].map((shiftMs) => processes.start({ shiftMs })));
    await processes.expire();
    for (const child of many) expect(await processes.calls(child, 5)).toEqual({ outcomes: { ok: 5 } });
    expect(await processes.tokenRequests()).toHaveLength(1);
    expect((await product.requests('companyinfo')).filter((one) => one.status !== 200)).toEqual([]);
  });

  it('are renewed once each where processes look for what is due', async () => {
    const accountIds = Array.from({ length: 40 }, (_, i) => `account ${i}`);
    for (const accountId of accountIds) await product.connected(accountId);
    const many = await processes.startMany(3);
    await processes.expire();
    const done = await Promise.all(many.map((child) => processes.ask(child, { due: true })));
    const refreshed = done.map((one) => ('refreshed' in one ? one.refreshed : 0));
    expect(refreshed.reduce((sum, n) => sum + n)).toBe(41);
    expect(await processes.tokenRequests()).toHaveLength(41);
    expect((await processes.tokenRequests()).filter((one) => one.status !== 200)).toEqual([]);
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

  it.each(
    points.flatMap((point) =>
      // A forgiving provider makes a difference only once it has acted.
      modes
        .filter((mode) => mode === 'reuse-kills-grant' || (point[1] && !point[2]))
        .map((mode) => [...point, mode] as const),
    ),
  )(
    'survive a process killed when it has %s (sent %s, stored %s), where the provider does %s',
    async (killAt, sent, stored, refreshMode) => {
      await product.admin('PUT', 'settings', { refreshMode, graceSeconds: 600 });
      const [doomed, other] = await Promise.all([processes.start({ killAt }), processes.start()]);
      await processes.expire();
      doomed.send(JSON.stringify({ calls: 5, accountIds: ['acme'] } satisfies Order));
      await doomed.ended;
      expect(await processes.tokenRequests()).toHaveLength(sent ? 1 : 0);
      expect((await processes.row()).version).toBe(stored ? 2 : 1);
      await processes.endLease();
      // Lost only where the provider has rotated, and takes the old one no longer.
      const lost = sent && !stored && refreshMode === 'reuse-kills-grant';
      expect(await processes.calls(other, 5)).toEqual({
        outcomes: lost ? { REAUTHORIZATION_REQUIRED: 5 } : { ok: 5 },
      });
      expect(await processes.status()).toBe(lost ? 'NEEDS_REAUTHORIZATION' : 'ACTIVE');
      // No loop: a lost one is tried, read again, tried once more, and left alone.
      expect(await processes.tokenRequests()).toHaveLength(lost ? 3 : sent && stored ? 1 : sent ? 2 : 1);
      await processes.calls(other, 5);
      expect(await processes.tokenRequests()).toHaveLength(lost ? 3 : sent && stored ? 1 : sent ? 2 : 1);
    },
  );

  it('are not overwritten by a process that was frozen past its lease', async () => {
    await product.admin('PUT', 'settings', { refreshMode: 'rotate-with-grace', graceSeconds: 600 });
    const [frozen, other] = await processes.startMany(2);
    await processes.expire();
    await processes.slow(6_000);
    frozen!.send(JSON.stringify({ calls: 1, accountIds: ['acme'] } satisfies Order));
    await expect.poll(async () => (await processes.row()).attempt_at, { timeout: 10_000 }).not.toBeNull();
    frozen!.signal('SIGSTOP');
    await processes.endLease();
    expect(await processes.calls(other!, 3)).toEqual({ outcomes: { ok: 3 } });
    const stored = await processes.row();
    frozen!.signal('SIGCONT');
    expect(JSON.parse(await frozen!.line())).toEqual({ outcomes: { ok: 1 } });
    expect(await processes.row()).toMatchObject({
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
    const child = await processes.start({ databaseUrl: url.href });
    await processes.expire();
    await processes.slow(6_000);
    const done = processes.calls(child, 5);
    await expect.poll(async () => (await processes.row()).attempt_at, { timeout: 10_000 }).not.toBeNull();
    proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    expect((await processes.row()).version).toBe(1);
    proxy.restore();
    expect(await done).toEqual({ outcomes: { ok: 5 } });
    expect((await processes.row()).version).toBe(2);
    expect(await processes.tokenRequests()).toHaveLength(1);
    await proxy.close();
  });

  it('are not asked for again when an answer is lost, where a second time could end the grant', async () => {
    const strict = await processes.start({ replay: 'strict' });
    const due = new Date(Date.now() - 60_000);
    await product.db.updateTable('oauth_tokens').set({ refresh_due_at: due }).execute();
    await product.admin('DELETE', 'requests');
    await product.admin('POST', 'faults', {
      count: 1,
      drop: true,
      match: { pathContains: '/tokens/bearer' },
    });
    for (let i = 0; i < 3; i++) expect(await processes.calls(strict, 3)).toEqual({ outcomes: { ok: 3 } });
    expect(await processes.tokenRequests()).toHaveLength(1);
    expect(await processes.row()).toMatchObject({ attempt_outcome: 'UNCERTAIN', refresh_failures: 1 });
    expect(await processes.status()).toBe('ACTIVE');
  });

  it('are asked for again at once where the provider takes a used one', async () => {
    await product.admin('PUT', 'settings', { refreshMode: 'rotate-with-grace', graceSeconds: 60 });
    const forgiving = await processes.start({ replay: 'grace' });
    await processes.expire();
    await product.admin('POST', 'faults', {
      count: 1,
      drop: true,
      match: { pathContains: '/tokens/bearer' },
    });
    expect(await processes.calls(forgiving, 3)).toEqual({ outcomes: { ok: 3 } });
    expect(await processes.tokenRequests()).toHaveLength(2);
    expect(await processes.row()).toMatchObject({ version: 2, refresh_failures: 0 });
  });
});
