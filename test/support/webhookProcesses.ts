/**
 * The product in its own processes, several on one PostgreSQL or one on an embedded database, with emulated providers.
 *
 *   const processes = await openWebhookProcesses('postgres');
 *   const product = await processes.start();
 *   const { realm } = await processes.connect(product, 'acme');
 *   await processes.tell(product, cloudEvents([...]));
 *   await processes.close();
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { systemClock } from '../../src/clock.ts';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { intuitScheme } from '../../src/providers/signatures.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { consent, visit } from './browser.ts';
import { migratedPostgresUrl } from './databases.ts';
import { migratedDataDir } from './migratedDump.ts';
import { startProduct, type Product } from './product.ts';

export interface WebhookProcesses {
  sandbox: Sandbox;
  databaseUrl: string;
  start(more?: Record<string, string>): Promise<Product>;
  /** Connects QuickBooks, to the first company or the one that is named. */
  connect(product: Product, accountId: string, realmId?: string): Promise<{ id: string; realm: string }>;
  /** Signed as QuickBooks does. */
  tell(to: { url: string }, body: unknown, secret?: string): Promise<Response>;
  admin(method: string, path: string, body?: unknown): Promise<Response>;
  /** Of the same database; the embedded one can be looked at once its process has ended. */
  look(): Promise<Database>;
  close(): Promise<void>;
}

export const verifierToken = 'the-verifier-token';

/**
 * @param more settings of all of its processes
 * @param headersOf what proves an account to them
 */
export async function openWebhookProcesses(
  kind: Database['kind'],
  more: Record<string, string> = {},
  headersOf = (accountId: string): Record<string, string> => ({ 'x-account-id': accountId }),
): Promise<WebhookProcesses> {
  const sandbox = await startSandbox({ port: 0, clock: systemClock });
  const postgres = kind === 'postgres' ? await migratedPostgresUrl() : undefined;
  const dataDir = await migratedDataDir();
  const { quickbooks, myCarrierPackets } = sandbox;
  const settings = {
    ...(postgres && { DATABASE_URL: postgres.url, DATABASE_POOL_SIZE: '6' }),
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    PUBLIC_URL: 'http://localhost:4000',
    SANDBOX: 'false',
    QUICKBOOKS_CLIENT_ID: quickbooks.clientId,
    QUICKBOOKS_CLIENT_SECRET: quickbooks.clientSecret,
    QUICKBOOKS_AUTHORIZE_URL: quickbooks.authorizeUrl,
    QUICKBOOKS_TOKEN_URL: quickbooks.tokenUrl,
    QUICKBOOKS_REVOKE_URL: quickbooks.revokeUrl,
    QUICKBOOKS_API_URL: quickbooks.apiUrl,
    QUICKBOOKS_RATE_LIMIT: '100000/1',
    QUICKBOOKS_WEBHOOK_SECRETS: verifierToken,
    MYCARRIERPACKETS_TOKEN_URL: myCarrierPackets.tokenUrl,
    MYCARRIERPACKETS_API_URL: myCarrierPackets.apiUrl,
    ...more,
  };
  const running = new Set<Product>();
  const opened: Database[] = [];
  const admin: WebhookProcesses['admin'] = (method, path, body) =>
    fetch(`${sandbox.url}/_admin/${path}`, {
      method,
      ...(body !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    });
  await admin('PUT', 'settings', { rateLimits: false });
  return {
    sandbox,
    databaseUrl: postgres?.url ?? '',
    async start(own = {}) {
      const product = await startProduct({ ...settings, ...own }, dataDir);
      running.add(product);
      return product;
    },
    async connect(product, accountId, realmId) {
      const headers = headersOf(accountId);
      const mutation =
        'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl connection { id } } }';
      const { data } = await product.graphql(mutation, {}, headers);
      const { authorizationUrl, connection } = data.connect as {
        authorizationUrl: string;
        connection: { id: string };
      };
      const chosen = realmId === undefined ? {} : { realmId };
      const { pathname, search } = new URL(await consent(authorizationUrl, chosen));
      await visit(`${product.url}${pathname}${search}`);
      const read = '{ connections { id status externalId } }';
      const after = await product.graphql(read, {}, headers);
      const own = after.data.connections.find((one: { id: string }) => one.id === connection.id);
      if (own?.status !== 'ACTIVE') throw new Error(`not connected: ${JSON.stringify(own)}`);
      return { id: connection.id, realm: own.externalId };
    },
    tell(to, body, secret = verifierToken) {
      const bytes = Buffer.from(JSON.stringify(body));
      return fetch(`${to.url}/webhooks/quickbooks`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...sign(intuitScheme, secret, bytes) },
        body: bytes,
      });
    },
    admin,
    async look() {
      const database = await openDatabase({ databaseUrl: postgres?.url, dataDir, poolSize: 2 });
      opened.push(database);
      return database;
    },
    async close() {
      await Promise.all([...running].map((product) => product.stop('SIGKILL')));
      for (const database of opened) await database.close();
      await postgres?.drop();
      await sandbox.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
