/**
 * A workspace that changes all the time, two processes that follow it over PostgreSQL, and everything that can go wrong
 * between them: lost, doubled, late and wrongly signed webhooks, answers that fail, hang or are cut, and processes that
 * are killed and started again. The same seed does the same.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { systemClock } from '../../src/clock.ts';
import { parseSlackWebhook } from '../../src/providers/slackWebhooks.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { consent, visit } from './browser.ts';
import { emptyPostgresUrl } from './databases.ts';
import { startProduct, type Product } from './product.ts';

export interface SoakOptions {
  seed: number;
  durationMs: number;
  /** Between two happenings. */
  everyMs: number;
  /** The provider's published limits hold; without them more can happen in less time. */
  rateLimits: boolean;
  pollIntervalSeconds: number;
  log?: (line: object) => void;
}

export interface SoakReport {
  happenings: number;
  kills: number;
  faults: number;
  /** Records whose last webhook never came: not sent, or not rightly signed. */
  lost: number;
  missedByWebhook: number;
  /** Records that differ from the provider's, by resource and id. */
  wrong: string[];
  records: number;
  /** 429s that nobody asked for. */
  throttled: number;
  deadDeliveries: number;
  /** Events of one account whose sequence is not the one before plus one. */
  gaps: number;
  doubleEvents: number;
}

const list =
  '{ connections { id syncStatuses { resource state recordCount missedByWebhook lastPolledAt } } }';

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const random = sequence(options.seed);
  const sandbox = await startSandbox({ port: 0, clock: systemClock });
  const database = await emptyPostgresUrl();
  const settings = settingsOf(sandbox, database.url, options);
  const products: (Product | undefined)[] = await Promise.all([
    startProduct(settings),
    startProduct(settings),
  ]);
  const balancer = await openBalancer(() => products.filter((product) => product !== undefined));
  const db = new pg.Client(database.url);
  await db.connect();
  const admin = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${sandbox.url}/_admin/${path}`, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
  try {
    await admin('PUT', 'slack/settings', { rateLimits: options.rateLimits, retryScale: 0.01 });
    await connect(products[0]!);
    await admin('PUT', 'slack/request-url', { url: `${balancer.url}/webhooks/slack` });
    const teamId = String((await db.query('select external_id from connections')).rows[0].external_id);
    const alive = () => products.find((product) => product !== undefined)!;
    await until(async () => (await statuses(alive())).every((one) => one.lastPolledAt !== null));

    const report = { happenings: 0, kills: 0, faults: 0 };
    const channels: string[] = [];
    const endsAt = Date.now() + options.durationMs;
    let restarting: Promise<void> | undefined;
    while (Date.now() < endsAt) {
      const dice = random();
      const change = (what: object) => admin('POST', 'slack/changes', { teamId, ...what });
      if (dice < 0.12) {
        // A channel of its own, which nothing else touches: only a poll can find it.
        await admin('POST', 'slack/delivery-rules', { count: 1, eventType: 'channel_created', lost: true });
        await change({ change: 'create-channel', name: `lost-${report.happenings}` });
      } else if (dice < 0.3) {
        const name = `kept-${channels.length}`;
        const { id } = (await change({ change: 'create-channel', name })) as { id: string };
        channels.push(id);
      } else if (dice < 0.5 && channels.length > 0) {
        const channel = channels[Math.floor(random() * channels.length)]!;
        await change({ change: 'rename-channel', channel, name: `renamed-${report.happenings}` });
      } else if (dice < 0.65) {
        const name = `person-${report.happenings}`;
        await change({ change: 'add-user', user: { name, realName: name } });
      } else if (dice < 0.85) {
        await admin(
          'POST',
          'slack/delivery-rules',
          misbehaviours[Math.floor(random() * misbehaviours.length)]!,
        );
        const name = `person-${report.happenings}`;
        await change({ change: 'add-user', user: { name, realName: name } });
      } else if (dice < 0.95) {
        await admin('POST', 'faults', faults[Math.floor(random() * faults.length)]!);
        report.faults++;
      } else if (!restarting) {
        const victim = Math.floor(random() * products.length);
        report.kills++;
        restarting = (async () => {
          const product = products[victim]!;
          products[victim] = undefined;
          await product.stop('SIGKILL');
          await product.remove();
          products[victim] = await startProduct(settings);
        })().finally(() => (restarting = undefined));
      }
      report.happenings++;
      if (report.happenings % 100 === 0) options.log?.({ ...report });
      await new Promise((resolve) => setTimeout(resolve, options.everyMs * (0.5 + random())));
    }

    await restarting;
    await admin('DELETE', 'faults');
    await admin('DELETE', 'slack/delivery-rules');
    // The last lost ones are known as lost once no webhook has come for two intervals.
    const patienceMs = Math.min(300_000, options.pollIntervalSeconds * 2_000);
    await new Promise((resolve) => setTimeout(resolve, patienceMs));
    await until(async () => Number((await db.query(waiting)).rows[0].count) === 0, 180_000);
    const settled = Date.now();
    await until(
      async () =>
        (await statuses(alive())).every((one) => Date.parse(one.lastPolledAt ?? '') > settled + patienceMs),
      180_000,
    );
    const seen = await statuses(alive());
    const { rows } = await db.query(
      `select coalesce(sum((gap > 1)::int), 0)::int as gaps from (
        select sequence - lag(sequence) over (partition by account_id order by sequence) as gap from sync_events) s`,
    );
    const doubles = await db.query(
      `select count(*)::int as count from (select external_id from sync_events where kind = 'RECORD_CREATED'
        group by resource, external_id having count(*) > 1) d`,
    );
    const dead = await db.query(
      `select count(*)::int as count from webhook_deliveries where status = 'DEAD'`,
    );
    const requests = (await admin('GET', 'requests')) as { requests: { status: number; path: string }[] };
    const sent = (await admin('GET', 'slack/deliveries')) as { deliveries: SentDelivery[] };
    // Last: another installation may end the first one's tokens.
    await admin('PUT', 'slack/settings', { rateLimits: false });
    const wrong = await differences(sandbox, db);
    return {
      ...report,
      lost: lostIn(sent.deliveries),
      missedByWebhook: seen.reduce((sum, one) => sum + one.missedByWebhook, 0),
      wrong,
      records: seen.reduce((sum, one) => sum + one.recordCount, 0),
      throttled: requests.requests.filter((one) => one.status === 429).length,
      deadDeliveries: dead.rows[0].count as number,
      gaps: rows[0].gaps as number,
      doubleEvents: doubles.rows[0].count as number,
    };
  } finally {
    await db.end();
    await balancer.close();
    await Promise.all(
      products.map(async (product) => product && (await product.stop('SIGKILL'), product.remove())),
    );
    await sandbox.close();
    await database.drop();
  }
}

const misbehaviours = [{ duplicates: 2 }, { delayMs: 700 }, { after: 1 }, { signature: 'wrong-secret' }];
/** No 429 among them: those that come are the provider's own. */
const faults = [
  { status: 500, count: 2, match: { pathContains: '/slack/api' } },
  { status: 503, count: 1, match: { pathContains: '/slack/api' } },
  { drop: true, count: 1, match: { pathContains: '/slack/api' } },
  { delayMs: 2_500, count: 1, match: { pathContains: '/slack/api' } },
  { malformed: true, count: 1, match: { pathContains: '/slack/api' } },
];
const waiting = `select count(*)::int as count from webhook_deliveries where status in ('RECEIVED', 'FAILED')`;

interface SentDelivery {
  state: 'waiting' | 'delivered' | 'failed' | 'lost';
  body: string;
}

/** Records of which the last change was never told with success. */
function lostIn(deliveries: readonly SentDelivery[]): number {
  const last = new Map<string, SentDelivery['state']>();
  for (const { state, body } of deliveries)
    for (const notice of parseSlackWebhook(Buffer.from(body)).notices)
      if (notice.kind === 'record') last.set(`${notice.resource} ${notice.externalId}`, state);
  return [...last.values()].filter((state) => state !== 'delivered').length;
}

interface Status {
  resource: string;
  state: string;
  recordCount: number;
  missedByWebhook: number;
  lastPolledAt: string | null;
}

async function statuses(product: Product): Promise<Status[]> {
  const { data } = await product.graphql(list);
  return data.connections.flatMap((one: { syncStatuses: Status[] }) => one.syncStatuses) as Status[];
}

function settingsOf({ slack }: Sandbox, databaseUrl: string, options: SoakOptions): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: '5',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    PUBLIC_URL: 'http://localhost:4000',
    POLL_INTERVAL_SECONDS: String(options.pollIntervalSeconds),
    REQUEST_TIMEOUT_MS: '1500',
    SLACK_CLIENT_ID: slack.clientId,
    SLACK_CLIENT_SECRET: slack.clientSecret,
    SLACK_WEBHOOK_SECRETS: slack.signingSecret,
    SLACK_AUTHORIZE_URL: slack.authorizeUrl,
    SLACK_TOKEN_URL: slack.tokenUrl,
    SLACK_REVOKE_URL: slack.revokeUrl,
    SLACK_API_URL: slack.apiUrl,
    SLACK_RETRY_BASE_MS: '50',
    ...(!options.rateLimits && { SLACK_RATE_LIMIT: '200/1' }),
  };
}

async function connect(product: Product): Promise<void> {
  const { data } = await product.graphql(
    'mutation { connect(input: { integrationId: "slack" }) { authorizationUrl } }',
  );
  const location = new URL(await consent(String(data.connect.authorizationUrl), {}, /allow/i));
  const { status } = await visit(`${product.url}${location.pathname}${location.search}`);
  if (status !== 200) throw new Error(`the callback answered ${status}`);
}

/** One address for all processes: what reaches none of them is 502, and the provider sends it again. */
async function openBalancer(alive: () => Product[]) {
  let turn = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const products = alive();
      const product = products[turn++ % Math.max(1, products.length)];
      const headers = Object.entries(request.headers).filter(
        ([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name),
      ) as [string, string][];
      void (async () => {
        try {
          if (!product) throw new Error('nobody is there');
          const answer = await fetch(`${product.url}${request.url}`, {
            method: 'POST',
            headers: Object.fromEntries(headers),
            body: Buffer.concat(chunks),
          });
          response.writeHead(answer.status, { 'content-type': 'application/json' });
          response.end(await answer.text());
        } catch {
          response.writeHead(502).end();
        }
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

/** All that the provider has, asked by a client of its own, against all that is stored. */
async function differences({ slack }: Sandbox, db: pg.Client): Promise<string[]> {
  const redirect = 'http://localhost:4000/oauth/slack/callback';
  const scope = 'channels:read,team:read,users:read';
  const asked = { client_id: slack.clientId, scope, redirect_uri: redirect, state: 'soak' };
  const back = new URL(
    await consent(`${slack.authorizeUrl}?${new URLSearchParams(asked).toString()}`, {}, /allow/i),
  );
  const call = async (url: string, form: Record<string, string>, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(url, { method: 'POST', headers, body: new URLSearchParams(form) });
    const body = (await answer.json()) as Record<string, never> & { ok: boolean };
    if (!body.ok) throw new Error(`${url}: ${JSON.stringify(body)}`);
    return body;
  };
  const { access_token: token } = await call(slack.tokenUrl, {
    ...{ client_id: slack.clientId, client_secret: slack.clientSecret, redirect_uri: redirect },
    code: back.searchParams.get('code')!,
  });
  const there = new Map<string, string>();
  for (const [resource, method, member] of [
    ['Channel', 'conversations.list', 'channels'],
    ['User', 'users.list', 'members'],
  ] as const)
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const form = { limit: '200', types: 'public_channel', exclude_archived: 'false', cursor };
      const page: any = await call(`${slack.apiUrl}/${method}`, form, token); // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
      for (const one of page[member]) there.set(`${resource} ${one.id}`, canonical(one));
      cursor = page.response_metadata?.next_cursor || undefined;
    }
  const { rows } = await db.query(
    `select resource || ' ' || external_id as key, payload from external_records
      where not deleted and resource in ('Channel', 'User')`,
  );
  const here = new Map(
    (rows as { key: string; payload: unknown }[]).map((row) => [row.key, canonical(row.payload)]),
  );
  const keys = new Set([...there.keys(), ...here.keys()]);
  return [...keys].filter((key) => there.get(key) !== here.get(key));
}

/** JSON with the members in order: the database keeps its own. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

async function until(done: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  const giveUpAt = Date.now() + withinMs;
  while (!(await done().catch(() => false))) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${withinMs} ms: ${done.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}
