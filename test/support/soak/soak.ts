/**
 * Providers that change all the time, two processes that follow them over PostgreSQL, and everything that can go wrong
 * between them: lost, doubled, late and wrongly signed webhooks, answers that fail, hang or are cut, and processes that
 * are killed and started again. The same seed does the same.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { systemClock } from '../../../src/clock.ts';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.ts';
import { migratedPostgresUrl } from '../databases.ts';
import { startProduct, type Product } from '../product.ts';
import { openBalancer } from './balancer.ts';
import { oneOf, type Followed, type Surroundings } from './followed.ts';

export interface SoakOptions {
  followed: readonly Followed[];
  seed: number;
  durationMs: number;
  /** Ends sooner, after so many: the same ones, however fast the machine is. */
  happenings?: number;
  /** Between two happenings. */
  everyMs: number;
  /** The providers' published limits hold; without them more can happen in less time. */
  rateLimits: boolean;
  pollIntervalSeconds: number;
  /** Processes are killed and started again. */
  kills: boolean;
  /** How long the last polls may take: the provider may want to be asked seldom. */
  settleMs: number;
  log?: (line: object) => void;
}

export interface SoakReport {
  happenings: number;
  kills: number;
  faults: number;
  /** By integration: records whose last webhook never came (not sent, or not rightly signed), and those counted. */
  lost: Record<string, number>;
  missedByWebhook: Record<string, number>;
  /** Records that differ from the provider's, by resource and id. */
  wrong: string[];
  records: number;
  /** 429s that nobody asked for. */
  throttled: number;
  deadDeliveries: number;
  /** Events of one account whose sequence is not the one before plus one. */
  gaps: number;
  doubleEvents: number;
  /** Of the processes that live at the end: when first seen after a tenth of the time, and at the end. */
  resources: { begin: Resources; end: Resources }[];
  /** Lines of the processes that say of a bug or an unhandled rejection. */
  bugs: string[];
}

/** As `/proc` has them; the least heap of ten seconds; how late timers are, of 99 in 100. */
export interface Resources {
  residentMiB: number;
  heapMiB: number;
  handles: number;
  loopLagP99Ms: number;
}

interface Status {
  resource: string;
  recordCount: number;
  missedByWebhook: number;
  lastPolledAt: string | null;
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const random = sequence(options.seed);
  const { followed, rateLimits } = options;
  const sandbox = await startSandbox({ port: 0, clock: systemClock });
  const database = await migratedPostgresUrl();
  const settings = settingsOf(sandbox, database.url, options);
  const first = await startProduct(settings);
  const products: (Product | undefined)[] = [first, await startProduct(settings)];
  const balancer = await openBalancer(() => products.filter((product) => product !== undefined));
  const db = new pg.Client(database.url);
  await db.connect();
  let counted = 0;
  const report = { happenings: 0, kills: 0, faults: 0 };
  const bugs: string[] = [];
  const at: Surroundings = {
    ...{ sandbox, db, random, rateLimits, address: balancer.url },
    product: () => products.find((product) => product !== undefined)!,
    count: () => counted++,
    async admin(method, path, body) {
      const answer = await fetch(`${sandbox.url}/_admin/${path}`, {
        method,
        ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${text}`);
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
  };
  const statuses = async () => {
    const { data } = await at.product().graphql(list);
    return data.connections as { integration: { id: string }; syncStatuses: Status[] }[];
  };
  const all = async () => (await statuses()).flatMap(({ syncStatuses }) => syncStatuses);
  try {
    await at.admin('PUT', 'slack/settings', { rateLimits, retryScale: 0.01 });
    for (const one of followed) await one.connect(at);
    await until(async () => (await all()).every((one) => one.lastPolledAt !== null), options.settleMs);

    const startedAt = Date.now();
    const endsAt = startedAt + options.durationMs;
    let restarting: Promise<void> | undefined;
    const begins: (Resources | undefined)[] = [];
    while (Date.now() < endsAt && report.happenings < (options.happenings ?? Infinity)) {
      const [dice, one] = [random(), oneOf(random, followed)];
      if (dice < 0.12) await one.loseOne(at);
      else if (dice < 0.65) await one.change(at);
      else if (dice < 0.85) await one.misbehave(at);
      else if (dice < 0.95) {
        const match = { pathContains: one.path };
        await at.admin('POST', 'faults', { count: 1, match, ...oneOf(random, faults) });
        report.faults++;
      } else if (options.kills && !restarting) {
        const victim = Math.floor(random() * products.length);
        report.kills++;
        restarting = (async () => {
          const product = products[victim]!;
          products[victim] = undefined;
          await product.stop('SIGKILL');
          bugs.push(...bugsIn(product));
          await product.remove();
          products[victim] = await startProduct(settings);
          begins[victim] = undefined;
        })().finally(() => (restarting = undefined));
      }
      report.happenings++;
      if (report.happenings % 100 === 0) options.log?.({ ...report });
      if (Date.now() - startedAt > options.durationMs / 10)
        for (const [i, product] of products.entries()) if (product) begins[i] ??= await resourcesOf(product);
      await new Promise((resolve) => setTimeout(resolve, options.everyMs * (0.5 + random())));
    }

    await restarting;
    await at.admin('DELETE', 'faults');
    for (const path of ['slack', 'quickbooks', 'mycarrierpackets'])
      await at.admin('DELETE', `${path}/delivery-rules`);
    // The last lost ones are known as lost once no webhook has come for two intervals.
    const patienceMs = Math.min(300_000, options.pollIntervalSeconds * 2_000);
    await new Promise((resolve) => setTimeout(resolve, patienceMs));
    await until(async () => Number((await db.query(waiting)).rows[0].count) === 0, 180_000);
    // One poll finds what got lost, and one of after that patience counts it.
    for (const waitMs of [0, patienceMs]) {
      const from = Date.now() + waitMs;
      await until(
        async () => (await all()).every((one) => Date.parse(one.lastPolledAt ?? '') > from),
        options.settleMs,
      );
    }
    const resources = await Promise.all(
      products.map(async (product, i) => ({ begin: begins[i]!, end: await resourcesOf(product!) })),
    );
    const seen = await statuses();
    const number = async (statement: string) => (await db.query(statement)).rows[0].count as number;
    const { requests } = (await at.admin('GET', 'requests')) as { requests: { status: number }[] };
    const lost: Record<string, number> = {};
    const wrong: string[] = [];
    for (const one of followed) lost[one.integrationId] = await one.lost(at);
    for (const one of followed) wrong.push(...(await one.differences(at)));
    for (const product of products) bugs.push(...bugsIn(product!));
    return {
      ...report,
      lost,
      missedByWebhook: Object.fromEntries(
        seen.map(({ integration, syncStatuses }) => [
          integration.id,
          syncStatuses.reduce((sum, one) => sum + one.missedByWebhook, 0),
        ]),
      ),
      wrong,
      records: seen.flatMap((one) => one.syncStatuses).reduce((sum, one) => sum + one.recordCount, 0),
      throttled: requests.filter((one) => one.status === 429).length,
      deadDeliveries: await number(dead),
      gaps: await number(gaps),
      doubleEvents: await number(doubles),
      resources,
      bugs,
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

const list =
  '{ connections { integration { id } syncStatuses { resource recordCount missedByWebhook lastPolledAt } } }';
/** No 429 among them: those that come are the provider's own. */
const faults = [
  { status: 500, count: 2 },
  { status: 503 },
  { drop: true },
  { delayMs: 2_500 },
  { malformed: true },
];
const waiting = `select count(*)::int as count from webhook_deliveries where status in ('RECEIVED', 'FAILED')`;
const dead = `select count(*)::int as count from webhook_deliveries where status = 'DEAD'`;
const gaps = `select coalesce(sum((gap > 1)::int), 0)::int as count from (
  select sequence - lag(sequence) over (partition by account_id order by sequence) as gap from sync_events) s`;
const doubles = `select count(*)::int as count from (select 1 from sync_events where kind = 'RECORD_CREATED'
  group by connection_id, resource, external_id having count(*) > 1) d`;

function settingsOf(sandbox: Sandbox, databaseUrl: string, options: SoakOptions): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: '5',
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    PUBLIC_URL: 'http://localhost:4000',
    POLL_INTERVAL_SECONDS: String(options.pollIntervalSeconds),
    REQUEST_TIMEOUT_MS: '1500',
    SANDBOX: 'false',
    ...Object.assign({}, ...options.followed.map((one) => one.settings(sandbox, options.rateLimits))),
  };
}

/** Lines at level `error` or above, and what Node says of unhandled rejections and the like. */
function bugsIn(product: Product): string[] {
  return product
    .output()
    .split('\n')
    .filter((line) => /^\{.*"level":"?(?:50|60|error|fatal)|^\(node:|Unhandled|^\w*Error/.test(line))
    .slice(0, 5);
}

async function resourcesOf({ pid, url }: Product): Promise<Resources> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const lags: number[] = [];
  const heaps: number[] = [];
  // What is garbage goes within some of these.
  for (let look = 0; look < 20; look++) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const read = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(metrics)?.[1]);
    lags.push(read('nodejs_eventloop_lag_p99_seconds'));
    heaps.push(read('nodejs_heap_size_used_bytes'));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return {
    residentMiB: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024),
    heapMiB: Math.round(Math.min(...heaps) / 2 ** 20),
    handles: (await readdir(`/proc/${pid}/fd`)).length,
    loopLagP99Ms: Math.round(Math.max(...lags) * 1_000),
  };
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
