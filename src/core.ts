import type { Core } from '../resolvers/context.ts';
import type { Caller } from './calls/caller.ts';
import type { Clock } from './clock.ts';
import { createConnectionApi } from './connections/api.ts';
import { createConnections } from './connections/connections.ts';
import { createHealth } from './connections/states.ts';
import type { Database } from './db/database.ts';
import type { Jobs } from './db/jobs.ts';
import { withAppendHook } from './events/events.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createAccountKeys } from './oauth/accountKeys.ts';
import { createAuthorizations } from './oauth/authorization.ts';
import type { MasterKeys } from './oauth/encryption.ts';
import { createRevocations } from './oauth/revocations.ts';
import { createTokenEndpoint } from './oauth/tokenEndpoint.ts';
import { createTokens } from './oauth/tokens.ts';
import type { Catalog } from './providers/catalog.ts';
import { createRecordStore } from './sync/records.ts';

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
  interactiveDeadlineMs: number;
  recordMaxAgeSeconds: number;
  clock: Clock;
  log: Log;
  metrics?: Pick<Metrics, 'tokenRefreshed' | 'eventsAppended'>;
}): Core & { work(): Promise<void> } {
  const { jobs, caller, catalog, addresses, interactiveDeadlineMs, clock, log, metrics } = deps;
  const db = metrics ? withAppendHook(deps.database.db, metrics.eventsAppended) : deps.database.db;
  const keys = createAccountKeys(deps.masterKeys, clock);
  const endpoint = createTokenEndpoint({ caller, catalog, clock });
  const revocations = createRevocations({ db, jobs, keys, endpoint, clock, log });
  const tokens = createTokens({
    db,
    keys,
    endpoint,
    revocations,
    clock,
    log,
    ...(metrics && { onRefreshed: metrics.tokenRefreshed }),
  });
  const authorizations = createAuthorizations({ db, keys, endpoint, catalog, addresses, clock, log });
  const health = createHealth(db, clock);
  const api = createConnectionApi({ caller, catalog, tokens, health, clock });
  const connections = createConnections({
    db,
    catalog,
    authorizations,
    tokens,
    revocations,
    api,
    health,
    addresses,
    interactiveDeadlineMs,
    clock,
  });
  return {
    db,
    catalog,
    connections,
    api,
    records: createRecordStore({ db, log }),
    caller,
    clock,
    interactiveDeadlineMs,
    recordMaxAgeSeconds: deps.recordMaxAgeSeconds,
    work: () => revocations.work(),
  };
}
