import type { Kysely } from 'kysely';
import type { Core } from '../resolvers/context.ts';
import type { Caller } from './calls/caller.ts';
import type { Clock } from './clock.ts';
import { createConnectionApi } from './connections/api.ts';
import type { Completion } from './connections/connect.ts';
import { createConnections } from './connections/connections.ts';
import { createHealth } from './connections/states.ts';
import { createWebhookSecrets } from './connections/webhookSecrets.ts';
import { createUpkeep, type Upkeep } from './connections/upkeep.ts';
import type { Database } from './db/database.ts';
import type { Jobs } from './db/jobs.ts';
import type { Listener } from './db/notifications.ts';
import type { Tables } from './db/tables.ts';
import { createWakeups } from './db/wakeups.ts';
import { withAppendHook } from './events/events.ts';
import { createEventFeed } from './events/feed.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createAccountKeys } from './oauth/accountKeys.ts';
import { createAuthorizations } from './oauth/authorization.ts';
import type { MasterKeys } from './oauth/encryption.ts';
import { createPendingGrants } from './oauth/pendingGrants.ts';
import { createRefresher, type RefreshPoint } from './oauth/refresh.ts';
import { createRevocations } from './oauth/revocations.ts';
import { createSealing } from './oauth/sealing.ts';
import { createTokenEndpoint } from './oauth/tokenEndpoint.ts';
import { createTokenRows } from './oauth/tokenRows.ts';
import { createTokens, type Tokens } from './oauth/tokens.ts';
import type { Catalog } from './providers/catalog.ts';
import { createPolling, type Polling } from './sync/poll.ts';
import { createRecordStore } from './sync/records.ts';
import { createRequestSync } from './sync/request.ts';
import { createRetention, type Retention } from './sync/retention.ts';
import { createDeliveries, type Deliveries } from './webhooks/deliver.ts';
import { createReceiver, type Receiver } from './webhooks/receive.ts';

/** Where this installation is seen from outside. A port that the operating system chose is known only once it listens. */
export interface Addresses {
  publicUrl: string;
  returnToOrigins: readonly string[];
}

/** Everything between the database and the edge, put together. Starts nothing but `work`. */
export function createCore(deps: {
  database: Database;
  jobs: Jobs;
  caller: Caller;
  catalog: Catalog;
  masterKeys: MasterKeys;
  addresses: Addresses;
  /** Default: the callback. */
  completion?: Completion;
  interactiveDeadlineMs: number;
  recordMaxAgeSeconds: number;
  requestTimeoutMs: number;
  probeIntervalMs: number;
  pollIntervalMs: number;
  recordRetentionDays: number;
  eventRetentionDays: number;
  clock: Clock;
  log: Log;
  metrics?: Pick<
    Metrics,
    | 'tokenRefreshed'
    | 'eventsAppended'
    | 'webhookReceived'
    | 'deliveryProcessed'
    | 'changesApplied'
    | 'changesMissed'
  >;
  /** For tests that end the process in the middle of a refresh. */
  reached?: (point: RefreshPoint) => void | Promise<void>;
}): WholeCore {
  const { database, jobs, caller, catalog, addresses, interactiveDeadlineMs, clock, log, metrics } = deps;
  const hooked = (own: Kysely<Tables>) => (metrics ? withAppendHook(own, metrics.eventsAppended) : own);
  const db = hooked(database.db);
  const forAccount = (accountId: string) => hooked(database.forAccount(accountId));
  const keys = createAccountKeys(deps.masterKeys, clock);
  const timeoutMs = deps.requestTimeoutMs * tokenPatience;
  const endpoint = createTokenEndpoint({ caller, catalog, clock, timeoutMs });
  const revocations = createRevocations({ db, forAccount, jobs, keys, endpoint, catalog, clock, log });
  const health = createHealth({ forAccount, catalog, clock });
  const rows = createTokenRows({ db, forAccount, keys, clock });
  const sealing = createSealing({ keys, clock, log });
  const refresher = createRefresher({
    ...{ forAccount, rows, sealing, endpoint, revocations, catalog, clock, log },
    news: health,
    reached: deps.reached,
  });
  const wakeups = createWakeups(clock);
  const tokens = createTokens({
    ...{ rows, keys, sealing, refresher, revocations, wakeups, clock, log },
    ...(metrics && { onRefreshed: metrics.tokenRefreshed }),
  });
  const authorizations = createAuthorizations({ db, keys, endpoint, catalog, addresses, clock, log });
  const pendingGrants = createPendingGrants({
    ...{ db, forAccount, keys, revocations, catalog, clock, log },
  });
  const api = createConnectionApi({ caller, catalog, tokens, health, clock, log });
  const webhookSecrets = createWebhookSecrets({ db, keys, clock });
  const connections = createConnections({
    forAccount,
    webhookSecrets,
    catalog,
    authorizations,
    tokens,
    revocations,
    pendingGrants,
    completion: deps.completion ?? 'callback',
    api,
    health,
    addresses,
    interactiveDeadlineMs,
    probeIntervalMs: deps.probeIntervalMs,
    clock,
  });
  const upkeep = createUpkeep({
    ...{ db, forAccount, tokens, authorizations, pendingGrants, api, clock, log },
    probeIntervalMs: deps.probeIntervalMs,
  });
  const receiver = createReceiver({
    ...{ db: database.named, catalog, secrets: webhookSecrets, clock, log },
    ...(metrics && { onReceived: metrics.webhookReceived }),
  });
  const deliveries = createDeliveries({
    ...{ db, forAccount, catalog, caller, api, health, clock, log },
    ...(metrics && { onProcessed: metrics.deliveryProcessed, onApplied: metrics.changesApplied }),
  });
  const polling = createPolling({
    ...{ db, forAccount, catalog, api, clock, log },
    intervalMs: deps.pollIntervalMs,
    ...(metrics && { onApplied: metrics.changesApplied, onMissed: metrics.changesMissed }),
  });
  const retention = createRetention({
    ...{ db, clock, log },
    recordDays: deps.recordRetentionDays,
    eventDays: deps.eventRetentionDays,
  });
  const feed = createEventFeed({
    db: database.db,
    clock,
    onTrouble: (error) => log.warn({ err: error }, 'events cannot be read'),
  });
  const rest = async () => {
    await Promise.all([deliveries, polling, retention, upkeep].map((work) => work.stop()));
  };
  return {
    forAccount,
    catalog,
    connections,
    feed,
    api,
    records: createRecordStore({ forAccount, clock, log }),
    caller,
    clock,
    interactiveDeadlineMs,
    recordMaxAgeSeconds: deps.recordMaxAgeSeconds,
    publicUrl: () => addresses.publicUrl,
    tokens,
    upkeep,
    receiver,
    deliveries,
    polling,
    retention,
    requestSync: createRequestSync({ forAccount, catalog, api, clock }),
    tokensChanged: { notified: (id) => wakeups.wake(id), connected: () => wakeups.wakeAll() },
    async work() {
      await revocations.work();
      upkeep.start();
      deliveries.start();
      polling.start();
      retention.start();
    },
    rest,
    async stop() {
      await feed.stop();
      await rest();
      await tokens.close();
    },
  };
}

/** Giving up on a token request can cost a grant: it may take so many times as long as any other. */
const tokenPatience = 3;

export interface WholeCore extends Core {
  tokens: Tokens;
  upkeep: Upkeep;
  receiver: Receiver;
  deliveries: Deliveries;
  polling: Polling;
  retention: Retention;
  /** For the channel `tokenChannel`. */
  tokensChanged: Listener;
  /** Starts the background work. */
  work(): Promise<void>;
  /** Ends it, and gives up its leases; may be called again. */
  rest(): Promise<void>;
  /** Ends everything, and waits for the refreshes under way. */
  stop(): Promise<void>;
}
