import { randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import { startChild, type Child } from '../child.ts';
import type { Product } from '../product.ts';
import { openWebhookProcesses, verifierToken, type WebhookProcesses } from '../webhookProcesses.ts';
import type { Begin, Command, GoodReport } from './goodTraffic.ts';
import type { Customer } from './sender.ts';

/** The product as it is run in production, connected to emulated companies, with good traffic in a process of its own. */
export interface Surroundings {
  processes: WebhookProcesses;
  products: Product[];
  customers: Customer[];
  secrets: Secrets;
  /** Tells the process with the good traffic, and waits until it has done so. */
  good(command: Exclude<Command, { do: 'begin' | 'report' }>): Promise<void>;
  begin(what: Pick<Begin, 'rates' | 'followers'> & Partial<Begin>): Promise<void>;
  report(): Promise<GoodReport>;
  close(): Promise<void>;
}

export interface Secrets {
  jwt: string;
  router: string;
}

const accounts = { acme: '9341452881001001', bolt: '9341452881002002', cargo: '9341452881003003' };

export async function openSurroundings(options: { products: number; seed: number }): Promise<Surroundings> {
  const traffic = startChild(new URL('goodTraffic.ts', import.meta.url));
  const { origin } = JSON.parse(await traffic.line()) as { origin: string };
  const secrets = { jwt: randomBytes(32).toString('hex'), router: randomBytes(16).toString('hex') };
  const proofs = Object.fromEntries(
    await Promise.all(Object.keys(accounts).map(async (id) => [id, await proofOf(secrets, id)] as const)),
  );
  const processes = await openWebhookProcesses('postgres', settingsOf(secrets, origin), (id) => proofs[id]!);
  const products = await Promise.all(Array.from({ length: options.products }, () => processes.start()));
  const customers: Customer[] = [];
  for (const [accountId, realm] of Object.entries(accounts))
    customers.push(await customerOf(processes, products[0]!, accountId, realm, proofs[accountId]!));
  return {
    ...{ processes, products, customers, secrets },
    good: (command) => tell(traffic, command).then(() => undefined),
    begin: (what) =>
      tell(traffic, {
        ...{ do: 'begin', seed: options.seed, lines: 32, customers, verifierToken },
        ...{ targets: products.map(({ url }) => ({ url })), sandboxUrl: processes.sandbox.url },
        ...what,
      }).then(() => undefined),
    report: () => tell(traffic, { do: 'report' }) as Promise<GoodReport>,
    async close() {
      traffic.signal('SIGKILL');
      await traffic.ended;
      await processes.close();
    },
  };
}

export async function tell(child: Child, command: object): Promise<unknown> {
  child.send(JSON.stringify(command));
  return JSON.parse(await child.line()) as unknown;
}

function settingsOf(secrets: Secrets, callbackOrigin: string): Record<string, string> {
  return {
    NODE_ENV: 'production',
    AUTH_JWT_SECRET: secrets.jwt,
    ROUTER_SECRET: secrets.router,
    SUBSCRIPTION_CALLBACK_ORIGINS: callbackOrigin,
    DATABASE_POOL_SIZE: '10',
  };
}

export async function proofOf(
  secrets: Secrets,
  accountId: string,
  expires = '6h',
): Promise<Record<string, string>> {
  const scope = 'integrations:read integrations:write integrations:admin';
  const token = await new SignJWT({ account_id: accountId, scope })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secrets.jwt));
  return { authorization: `Bearer ${token}`, 'x-router-secret': secrets.router };
}

async function customerOf(
  processes: WebhookProcesses,
  product: Product,
  accountId: string,
  realm: string,
  headers: Record<string, string>,
): Promise<Customer> {
  const { id: connectionId } = await processes.connect(product, accountId, realm);
  const source = `{ connections { syncStatuses { lastSyncedAt }
    records(resource: "Invoice", first: 40) { nodes { externalId } } } }`;
  for (;;) {
    const { data } = await product.graphql(source, {}, headers);
    const [own] = data.connections;
    const isRead = own.syncStatuses.every((one: { lastSyncedAt: unknown }) => one.lastSyncedAt !== null);
    const invoices = own.records.nodes.map((one: { externalId: string }) => one.externalId) as string[];
    if (isRead && invoices.length > 0) return { accountId, headers, connectionId, realm, invoices };
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
