/**
 * Everything between the database and the edge, in this process, against the emulated QuickBooks over real HTTP.
 *
 *   const product = await openCore(open);          // `open` as in databaseKinds
 *   const { connection } = await product.connected('acme');
 *   await product.close();
 *
 * The product and the sandbox share `clock`, which runs as the system's unless a test shifts it.
 */
import { graphql, type ExecutionResult } from 'graphql';
import { createContext } from '../../resolvers/context.ts';
import { createSchema } from '../../resolvers/index.ts';
import { createAttempt } from '../../src/calls/attempt.ts';
import { createCaller } from '../../src/calls/caller.ts';
import { recorded } from '../../src/calls/recorder.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import type { Connection } from '../../src/connections/connection.ts';
import { createCore, type WholeCore } from '../../src/core.ts';
import type { Database } from '../../src/db/database.ts';
import { openJobs } from '../../src/db/jobs.ts';
import { embeddedNotifications, openNotifications } from '../../src/db/notifications.ts';
import { eventChannel } from '../../src/events/events.ts';
import type { Identity } from '../../src/identity.ts';
import { createLog } from '../../src/log.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import { revocationQueues } from '../../src/oauth/revocations.ts';
import { createCatalog, createRecordedAs, type ConfiguredProvider } from '../../src/providers/catalog.ts';
import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import type { Endpoints } from '../../src/providers/provider.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slack } from '../../src/providers/slack.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { roundChannel } from '../../src/sync/rounds.ts';
import { deliveryChannel } from '../../src/webhooks/deliveryRows.ts';
import { consent } from './browser.ts';
import type { OpenTestDatabase } from './databases.ts';

export interface ShiftedClock extends Clock {
  /** Moves the time of day, not the timers. */
  shift(ms: number): void;
}

export interface LoggedRequest {
  method: string;
  path: string;
  status: number;
}

export interface TestCore extends WholeCore {
  /** Past all walls. */
  db: Database['db'];
  database: Database;
  sandbox: Sandbox;
  clock: ShiftedClock;
  /** Every statement since the last `statements.length = 0`, but begin and commit. */
  statements: string[];
  /** The values of each. */
  values: (readonly unknown[])[];
  logs(): string;
  /** Connects the account in the browser; the main company unless `fields` choose another. */
  connected(accountId: string, fields?: Record<string, string>, integrationId?: string): Promise<Connection>;
  authorizationUrl(accountId: string, more?: object): Promise<string>;
  /** Follows a redirect back to us; `integrationId` as in its path. */
  callback(
    location: string,
    integrationId?: string,
  ): ReturnType<WholeCore['connections']['completeAuthorization']>;
  query(source: string, variables?: Record<string, unknown>, accountId?: string): Promise<ExecutionResult>;
  requests(pathContains: string): Promise<LoggedRequest[]>;
  admin(method: string, path: string, body?: unknown): Promise<void>;
  close(): Promise<void>;
}

/** Either signs QuickBooks' webhooks. */
export const webhookSecret = 'the-verifier-token';
export const otherWebhookSecret = 'the-verifier-token-to-come';
export const returnTo = 'https://app.example.com/settings';
const scopes = new Set(['integrations:read', 'integrations:write', 'integrations:admin']);
export const identityOf = (accountId: string): Identity => ({
  ...{ accountId, userId: 'user-1', scopes },
  expiresAt: null,
  key: null,
});

const plenty = [{ name: 'second', limit: 1_000, windowMs: 1_000 }];

function aimed<T extends object>(emulated: T & { clientId?: string; clientSecret?: string }) {
  const { clientId = '', clientSecret = '', ...endpoints } = emulated;
  return { endpoints, credentials: { clientId, clientSecret } };
}

/** The same paths on another host, but for the page that a person sees. */
function movedTo<T extends Partial<Endpoints>>(url: string, endpoints: T): T {
  const moved = Object.entries(endpoints).map(([name, address]) => [
    name,
    name !== 'authorizeUrl' && URL.canParse(address)
      ? `${url}${new URL(address).pathname}`.replace(/\/$/, '')
      : address,
  ]);
  return Object.fromEntries(moved) as T;
}

export async function openCore(
  open: OpenTestDatabase,
  settings: {
    requestTimeoutMs?: number;
    interactiveDeadlineMs?: number;
    recordMaxAgeSeconds?: number;
    completion?: 'callback' | 'confirm';
    pollIntervalMs?: number;
    encryptionKeys?: string;
    poolSize?: number;
    /** What the providers answer is recorded there; the last files are written by `close`. */
    recordDir?: string;
    /** Where the built-in providers are instead: a replay of what was recorded. */
    replayUrl?: string;
    /** More integrations that are QuickBooks under another id: an account has one live connection to each. */
    alsoKnownAs?: readonly string[];
    /** Integrations of other kinds. */
    others?: readonly ConfiguredProvider[];
  } = {},
): Promise<TestCore> {
  let shifted = 0;
  const clock: ShiftedClock = {
    ...systemClock,
    now: () => Date.now() + shifted,
    shift: (ms) => void (shifted += ms),
  };
  const statements: string[] = [];
  const values: (readonly unknown[])[] = [];
  let logged = '';
  const log = createLog('trace', { write: (line: string) => void (logged += line) });
  const database = await open({
    onQuery: (sql, own) => {
      statements.push(sql);
      values.push(own);
    },
    ...(settings.poolSize !== undefined && { poolSize: settings.poolSize }),
  });
  const sandbox = await startSandbox({ port: 0, clock });
  const { clientId, clientSecret, verifierToken, ...endpoints } = sandbox.quickbooks;
  const aim = <T extends Partial<Endpoints>>(own: T): T =>
    settings.replayUrl === undefined ? own : movedTo(settings.replayUrl, own);
  const catalog = createCatalog([
    ...['quickbooks', ...(settings.alsoKnownAs ?? [])].map((id) => ({
      provider: { ...quickbooks, id },
      endpoints: aim(endpoints),
      credentials: { clientId, clientSecret },
      webhookSecrets: [webhookSecret, otherWebhookSecret, verifierToken],
      limits: plenty,
    })),
    {
      provider: slack,
      credentials: aimed(sandbox.slack).credentials,
      endpoints: aim(aimed(sandbox.slack).endpoints),
      webhookSecrets: [sandbox.slack.signingSecret],
      limits: plenty,
    },
    {
      provider: myCarrierPackets,
      endpoints: aim({ ...myCarrierPackets.endpoints, ...aimed(sandbox.myCarrierPackets).endpoints }),
      limits: plenty,
    },
    ...(settings.others ?? []),
  ]);
  const requestTimeoutMs = settings.requestTimeoutMs ?? 2_000;
  const attempt = createAttempt(requestTimeoutMs);
  const caller = createCaller({
    clock,
    requestTimeoutMs,
    attempt: settings.recordDir ? recorded(attempt, settings.recordDir, createRecordedAs(catalog)) : attempt,
    retry: { baseMs: 10, capMs: 50, attempts: 3 },
    queue: { perBucket: 1_000, total: 10_000 },
    onFinished: (report) => log.info(report, 'provider call'),
  });
  const jobs = await openJobs(database, {
    queues: revocationQueues,
    onError: (err) => log.warn({ err }, 'job'),
  });
  const core = createCore({
    database,
    jobs,
    caller,
    catalog,
    masterKeys: parseMasterKeys(settings.encryptionKeys ?? `test:${Buffer.alloc(32, 7).toString('base64')}`),
    addresses: { publicUrl: 'http://localhost:4000', returnToOrigins: ['https://app.example.com'] },
    completion: settings.completion ?? 'callback',
    interactiveDeadlineMs: settings.interactiveDeadlineMs ?? 5_000,
    requestTimeoutMs,
    probeIntervalMs: 3_600_000,
    pollIntervalMs: settings.pollIntervalMs ?? 300_000,
    recordRetentionDays: 30,
    eventRetentionDays: 30,
    recordMaxAgeSeconds: settings.recordMaxAgeSeconds ?? 0,
    clock,
    log,
  });
  const notifications =
    database.kind === 'embedded'
      ? embeddedNotifications(database)
      : openNotifications({ databaseUrl: database.databaseUrl, clock });
  notifications.listen(eventChannel, core.feed.changed);
  notifications.listen(deliveryChannel, core.deliveries.queued);
  notifications.listen(roundChannel, core.polling.due);
  core.feed.start();
  const schema = createSchema();

  const test: TestCore = {
    ...core,
    db: database.db,
    database,
    sandbox,
    clock,
    statements,
    values,
    logs: () => logged,
    async authorizationUrl(accountId, more = {}) {
      const request = {
        accountId,
        userId: 'user-1',
        integrationId: 'quickbooks',
        ...more,
      };
      const { authorizationUrl, problem } = await core.connections.connect(request);
      if (authorizationUrl === null) throw new Error(`no authorization URL: ${JSON.stringify(problem)}`);
      return authorizationUrl;
    },
    callback: (location, integrationId = 'quickbooks') =>
      core.connections.completeAuthorization(integrationId, new URL(location).searchParams),
    async connected(accountId, fields = {}, integrationId = 'quickbooks') {
      const url = await test.authorizationUrl(accountId, { integrationId });
      const { connectionId, problem } = await test.callback(
        await consent(url, fields, /connect|allow/i),
        integrationId,
      );
      if (problem || connectionId === null) throw new Error(`not connected: ${JSON.stringify(problem)}`);
      return (await core.connections.find(accountId, [connectionId])).get(connectionId)!;
    },
    query: (source, variableValues = {}, accountId = 'acme') =>
      graphql({ schema, source, variableValues, contextValue: createContext(core, identityOf(accountId)) }),
    async requests(pathContains) {
      const answer = await fetch(`${sandbox.url}/_admin/requests`);
      const { requests } = (await answer.json()) as { requests: LoggedRequest[] };
      return requests.filter((request) => request.path.includes(pathContains));
    },
    async admin(method, path, body) {
      const init =
        body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
      const answer = await fetch(`${sandbox.url}/_admin/${path}`, { method, ...init });
      if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
    },
    async close() {
      await core.stop();
      await notifications.close();
      await jobs.stop();
      await caller.close();
      await sandbox.close();
      await database.close();
    },
  };
  await test.admin('PUT', 'settings', { rateLimits: false });
  return test;
}
