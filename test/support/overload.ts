import { randomBytes } from 'node:crypto';
import { systemClock as clock } from '../../src/clock.ts';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { consent, visit } from './browser.ts';
import { startProduct, type Product } from './product.ts';

export interface Overload {
  /** Emulated requests a second that the provider allows. */
  limit: number;
  seconds: number;
  processes: number;
  /** Asked for, in multiples of the limit. */
  times: number;
  /** Ends one process with SIGKILL half-way. */
  kill: boolean;
  /**
   * On a machine that has other work to do, where the provider is late itself: windows are shorter by what was seen of
   * that, and the provider throttles only what comes within 100 ms. Default: exactly a second.
   */
  forgiving?: boolean;
}

/** More than that is another matter. */
const mostLateMs = 500;

export interface OverloadResult {
  asked: number;
  answered: number;
  /** Why the others were not, and how often. */
  refused: Record<string, number>;
  /** Requests that the provider saw, and those that it throttled. */
  arrived: number;
  throttled: number;
  /** How late the provider and whoever calls it may have been, which windows are shorter by. */
  lateMs: number;
  /** The most that any window of a second, less that, saw by the provider's clock. */
  worstWindow: number;
  windowsOver: number;
  /** Of what the limit allows: over the whole run, and in the half after a process was killed. */
  use: number;
  useAfterKill: number;
}

/**
 * Real processes on one PostgreSQL, far too many queries, and the sandbox's own log of what arrived. The sandbox
 * counts as strictly as can be, unless told otherwise: windows of exactly a second.
 */
export async function overload(databaseUrl: string, run: Overload): Promise<OverloadResult> {
  const sandbox = await startSandbox({ port: 0, clock });
  const products: Product[] = [];
  try {
    const { quickbooks } = sandbox;
    await admin(sandbox.url, 'PUT', {
      requestsPerSecond: run.limit,
      requestsPerMinute: 1_000_000,
      concurrentRequests: 1_000,
      windowToleranceMs: run.forgiving ? 900 : 0,
    });
    const settings = {
      DATABASE_URL: databaseUrl,
      ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      PUBLIC_URL: 'http://localhost:4000',
      LOG_LEVEL: 'warn',
      QUICKBOOKS_CLIENT_ID: quickbooks.clientId,
      QUICKBOOKS_CLIENT_SECRET: quickbooks.clientSecret,
      QUICKBOOKS_AUTHORIZE_URL: quickbooks.authorizeUrl,
      QUICKBOOKS_TOKEN_URL: quickbooks.tokenUrl,
      QUICKBOOKS_REVOKE_URL: quickbooks.revokeUrl,
      QUICKBOOKS_API_URL: quickbooks.apiUrl,
      QUICKBOOKS_RATE_LIMIT: `${run.limit}/1`,
      INTERACTIVE_DEADLINE_MS: '2000',
    };
    products.push(await startProduct({ ...settings, LOG_LEVEL: 'info' }));
    const rest = Array.from({ length: run.processes - 1 }, () =>
      startProduct({ ...settings, LOG_LEVEL: 'info' }),
    );
    products.push(...(await Promise.all(rest)));
    const id = await connect(products[0]!);
    await clock.sleep(1_100);
    return await drive(run, products, sandbox.url, id);
  } finally {
    await Promise.all(products.map((product) => product.stop('SIGKILL')));
    await Promise.all(products.map((product) => product.remove()));
    await sandbox.close();
  }
}

async function drive(
  { limit, seconds, times, kill, forgiving = false }: Overload,
  products: readonly Product[],
  sandboxUrl: string,
  id: string,
): Promise<OverloadResult> {
  const query = `query($id: ID!) { connection(id: $id) { profile { id } } }`;
  const refused: Record<string, number> = {};
  const count = (code: string) => (refused[code] = (refused[code] ?? 0) + 1);
  const asking: Promise<void>[] = [];
  const alive = [...products];
  let asked = 0;
  let answered = 0;
  const startedAt = Date.now();
  const endsAt = startedAt + seconds * 1_000;
  let killedAt = Infinity;
  // This process is the provider.
  let latest = 0;
  for (let tick = 0; Date.now() < endsAt; tick++) {
    if (kill && killedAt === Infinity && Date.now() - startedAt > seconds * 500) {
      killedAt = Date.now();
      void alive.pop()!.stop('SIGKILL');
    }
    const due = Math.floor(((Date.now() - startedAt) / 1_000) * limit * times);
    for (; asked < due; asked++)
      asking.push(
        alive[asked % alive.length]!.graphql(query, { id }).then(
          ({ errors }) => {
            if (errors) count(errors[0]!.extensions.code);
            else answered++;
          },
          () => void count('connection lost'),
        ),
      );
    const before = performance.now();
    await clock.sleep(10);
    latest = Math.max(latest, performance.now() - before - 10);
  }
  await Promise.all(asking);
  const lateMs = forgiving ? Math.min(mostLateMs, Math.ceil(2 * latest)) : 0;
  const answer = (await (await fetch(`${sandboxUrl}/_admin/requests`)).json()) as {
    requests: { at: string; path: string; status: number | null }[];
  };
  const calls = answer.requests.filter(
    ({ path, at }) => path.includes('companyinfo') && Date.parse(at) >= startedAt,
  );
  const arrivals = calls.map(({ at }) => Date.parse(at));
  const during = (fromMs: number, toMs: number) => arrivals.filter((at) => at >= fromMs && at < toMs).length;
  const { worst, over } = judgeWindows(arrivals, limit, 1_000 - lateMs);
  // What a dead process had leased is lost for a window and the time of its lease.
  const recoveredAt = killedAt + 2_500;
  return {
    asked,
    answered,
    refused,
    arrived: arrivals.length,
    throttled: calls.filter(({ status }) => status === 429).length,
    lateMs,
    worstWindow: worst,
    windowsOver: over,
    use: during(startedAt, endsAt) / (limit * seconds),
    useAfterKill: kill ? during(recoveredAt, endsAt) / (limit * ((endsAt - recoveredAt) / 1_000)) : NaN,
  };
}

/** Every window that ends with a call: `[at - windowMs, at]` without its beginning. */
export function judgeWindows(times: readonly number[], limit: number, windowMs: number) {
  let worst = 0;
  let over = 0;
  let first = 0;
  for (const [i, at] of times.entries()) {
    while (at - times[first]! >= windowMs) first++;
    const calls = i - first + 1;
    worst = Math.max(worst, calls);
    if (calls > limit) over++;
  }
  return { worst, over };
}

async function connect(product: Product): Promise<string> {
  const { data } = await product.graphql(
    'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl connection { id } } }',
  );
  const location = await consent(data.connect.authorizationUrl as string);
  await visit(`${product.url}${new URL(location).pathname}${new URL(location).search}`);
  return data.connect.connection.id as string;
}

async function admin(sandboxUrl: string, method: string, settings: object): Promise<void> {
  const answer = await fetch(`${sandboxUrl}/_admin/settings`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(settings),
  });
  if (!answer.ok) throw new Error(`the sandbox refused its settings: ${await answer.text()}`);
}
