/**
 * One process of the product, as far as tokens go, on a database and a provider that the test has: told in lines what
 * to do, and killed where the test wants it.
 */
import { createInterface } from 'node:readline';
import { createCaller } from '../../src/calls/caller.ts';
import { systemClock } from '../../src/clock.ts';
import { createCore } from '../../src/core.ts';
import { openDatabase } from '../../src/db/database.ts';
import { openDatabaseClock } from '../../src/db/databaseClock.ts';
import { openJobs } from '../../src/db/jobs.ts';
import { openNotifications } from '../../src/db/notifications.ts';
import { createLog } from '../../src/log.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import type { RefreshPoint } from '../../src/oauth/refresh.ts';
import { revocationQueues } from '../../src/oauth/revocations.ts';
import { tokenChannel } from '../../src/oauth/tokenRows.ts';
import { createCatalog } from '../../src/providers/catalog.ts';
import type { OAuthFacts } from '../../src/providers/provider.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';

export interface ChildSettings {
  databaseUrl: string;
  encryptionKeys: string;
  provider: {
    clientId: string;
    clientSecret: string;
    authorizeUrl: string;
    tokenUrl: string;
    revokeUrl: string;
    apiUrl: string;
  };
  requestTimeoutMs: number;
  replay: OAuthFacts['replay'];
  /** Where it kills itself. */
  killAt: RefreshPoint | null;
  /** How wrong its machine's clock is. */
  shiftMs: number;
}

/** What a line asks for: so many calls at once, or a round of the background work. */
export type Order = { calls: number; accountIds: string[] } | { due: true };
export type Done = { outcomes: Record<string, number> } | { refreshed: number };

const settings = JSON.parse(process.argv[2]!) as ChildSettings;
const database = await openDatabase({ databaseUrl: settings.databaseUrl, dataDir: '', poolSize: 5 });
await database.raiseWall();
const machine = { ...systemClock, now: () => Date.now() + settings.shiftMs };
const { clock } = await openDatabaseClock(database, machine, () => undefined);
const caller = createCaller({
  clock,
  requestTimeoutMs: settings.requestTimeoutMs,
  retry: { baseMs: 10, capMs: 50, attempts: 3 },
  queue: { perBucket: 10_000, total: 10_000 },
});
const jobs = await openJobs(database, { queues: revocationQueues, onError: () => undefined });
const { clientId, clientSecret, ...endpoints } = settings.provider;
const core = createCore({
  database,
  jobs,
  caller,
  catalog: createCatalog([
    {
      provider: { ...quickbooks, oauth: { ...quickbooks.oauth, replay: settings.replay } },
      endpoints,
      credentials: { clientId, clientSecret },
      limits: [{ name: 'second', limit: 100_000, windowMs: 1_000 }],
    },
  ]),
  masterKeys: parseMasterKeys(settings.encryptionKeys),
  addresses: { publicUrl: 'http://localhost:4000', returnToOrigins: [] },
  interactiveDeadlineMs: 60_000,
  requestTimeoutMs: settings.requestTimeoutMs,
  probeIntervalMs: 3_600_000,
  pollIntervalMs: 3_600_000,
  recordRetentionDays: 30,
  eventRetentionDays: 30,
  recordMaxAgeSeconds: 0,
  clock,
  log: createLog('silent'),
  reached: (point) => {
    if (point === settings.killAt) process.kill(process.pid, 'SIGKILL');
    // A signal needs the loop to turn before it ends us.
    return point === settings.killAt ? new Promise<void>(() => undefined) : undefined;
  },
});
const line = openNotifications({ databaseUrl: settings.databaseUrl, clock });
line.listen(tokenChannel, core.tokensChanged);

const outcomesOf = async (accountId: string, calls: number): Promise<string[]> => {
  const [connection] = await core.connections.list(accountId);
  return Promise.all(
    Array.from({ length: calls }, () =>
      core.api.profile(connection!, { deadlineAtMs: clock.now() + 60_000 }).then(
        () => 'ok',
        (error: { code?: string; message: string }) => error.code ?? error.message,
      ),
    ),
  );
};
const obey = async (order: Order): Promise<Done> => {
  if ('due' in order) {
    let refreshed = 0;
    for (let more = true; more;) {
      const round = await core.tokens.refreshDue(20);
      refreshed += round;
      more = round > 0;
    }
    return { refreshed };
  }
  const outcomes: Record<string, number> = {};
  const all = await Promise.all(order.accountIds.map((accountId) => outcomesOf(accountId, order.calls)));
  for (const outcome of all.flat()) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  return { outcomes };
};

const tell = async (order: Order) => process.stdout.write(`${JSON.stringify(await obey(order))}\n`);

createInterface({ input: process.stdin }).on('line', (text) => {
  void tell(JSON.parse(text) as Order);
});
process.stdout.write('ready\n');
