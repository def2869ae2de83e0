/** Several real processes that keep the same tokens alive, on PostgreSQL, with one emulated QuickBooks. */
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { ChildSettings, Done, Order } from '../oauth/refreshingChild.ts';
import { startChild, type Child } from './child.ts';
import { openCore, type TestCore } from './core.ts';
import { postgresDatabase } from './databases.ts';

export interface TokenProcesses {
  /** In this process, on the same database. */
  product: TestCore;
  start(more?: Partial<ChildSettings>): Promise<Child>;
  startMany(count: number, more?: Partial<ChildSettings>): Promise<Child[]>;
  ask(child: Child, order: Order): Promise<Done>;
  /** So many at once for the account `acme`. */
  calls(child: Child, count: number): Promise<Done>;
  row(): ReturnType<typeof rowOf>;
  /** Every token has run out, and no request has been made. */
  expire(): Promise<void>;
  /** Stands for waiting until the lease is over. */
  endLease(): Promise<void>;
  tokenRequests(): ReturnType<TestCore['requests']>;
  /** The next token request takes so long. */
  slow(delayMs: number): Promise<void>;
  status(): Promise<string>;
  close(): Promise<void>;
}

const rowOf = (product: TestCore) =>
  product.db.selectFrom('oauth_tokens').selectAll().executeTakeFirstOrThrow();

export async function openTokenProcesses(requestTimeoutMs = 5_000): Promise<TokenProcesses> {
  const encryptionKeys = `k1:${randomBytes(32).toString('base64')}`;
  const product = await openCore(postgresDatabase, { encryptionKeys });
  const children: Child[] = [];
  await product.connected('acme');
  await product.admin('PUT', 'settings', { refreshMode: 'reuse-kills-grant' });

  const start = async (more: Partial<ChildSettings> = {}): Promise<Child> => {
    if (product.database.kind !== 'postgres') throw new Error('not PostgreSQL');
    const settings: ChildSettings = {
      databaseUrl: product.database.databaseUrl,
      encryptionKeys,
      provider: product.sandbox.quickbooks,
      requestTimeoutMs,
      replay: 'strict',
      killAt: null,
      shiftMs: 0,
      ...more,
    };
    const script = new URL('../oauth/refreshingChild.ts', import.meta.url);
    const child = startChild(script, JSON.stringify(settings));
    children.push(child);
    expect(await child.line()).toBe('ready');
    return child;
  };
  const ask = async (child: Child, order: Order): Promise<Done> => {
    child.send(JSON.stringify(order));
    return JSON.parse(await child.line()) as Done;
  };
  return {
    product,
    start,
    startMany: (count, more) => Promise.all(Array.from({ length: count }, () => start(more))),
    ask,
    calls: (child, count) => ask(child, { calls: count, accountIds: ['acme'] }),
    row: () => rowOf(product),
    async expire() {
      const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000);
      await product.db
        .updateTable('oauth_tokens')
        .set({ expires_at: ago(1), refresh_due_at: ago(12) })
        .execute();
      await product.admin('DELETE', 'requests');
    },
    async endLease() {
      const past = new Date(Date.now() - 1_000);
      await product.db.updateTable('oauth_tokens').set({ lease_until: past }).execute();
    },
    tokenRequests: () => product.requests('/tokens/bearer'),
    slow: (delayMs) =>
      product.admin('POST', 'faults', { count: 1, delayMs, match: { pathContains: '/tokens/bearer' } }),
    async status() {
      const [present] = await product.connections.list('acme');
      return present!.status;
    },
    async close() {
      for (const child of children) child.signal('SIGCONT');
      for (const child of children) child.signal('SIGKILL');
      await Promise.all(children.map((child) => child.ended));
      await product.close();
    },
  };
}
