import type { AddressInfo } from 'node:net';
import { createSchema } from '../resolvers/index.ts';
import { budgetChannel, createBudgetRows } from './calls/budgetRows.ts';
import { createAttempt, type Attempt } from './calls/attempt.ts';
import { createCaller } from './calls/caller.ts';
import { createRateLimiter, type RateLimiter } from './calls/rateLimit.ts';
import { recorded } from './calls/recorder.ts';
import { createSharedRateLimiter } from './calls/sharedRateLimit.ts';
import { systemClock, type Clock } from './clock.ts';
import { integrationsFile, readConfig, type Config } from './config.ts';
import { configuredCatalog } from './configuredCatalog.ts';
import { createCore } from './core.ts';
import { openDatabase, type Database } from './db/database.ts';
import { openJobs } from './db/jobs.ts';
import { isMigrated, migrate } from './db/migrate.ts';
import { embeddedNotifications, openNotifications, type Notifications } from './db/notifications.ts';
import { cureOfNoWall, currentUser } from './db/secondWall.ts';
import { openDatabaseClock } from './db/databaseClock.ts';
import { announce, firstQuery, openSandbox, tellWhereWebhooksGo } from './development.ts';
import { ConfigurationError, IntegrationError } from './errors.ts';
import { eventChannel } from './events/events.ts';
import { createResolveIdentity } from './identity.ts';
import { loadMasterKeys } from './keys.ts';
import { emptyQueue } from './lastRequests.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics } from './metrics.ts';
import { findMissingMasterKeys } from './oauth/keyRotation.ts';
import { revocationQueues } from './oauth/revocations.ts';
import { endAllLeases, tokenChannel } from './oauth/tokenRows.ts';
import { createReachOf, createRecordedAs, type Catalog } from './providers/catalog.ts';
import { loadIntegrations, publicClients, type DescribedProvider } from './providers/configured/load.ts';
import { createServer } from './server.ts';
import { endAllRoundLeases, roundChannel } from './sync/rounds.ts';
import { deliveryChannel, endAllQueueLeases } from './webhooks/deliveryRows.ts';

const usage = `Usage: npm start | npm run migrate

  start     runs the subgraph; without any setting: embedded database in .data, sandbox providers
  migrate   brings the database up to date and ends

Settings are environment variables; README.md lists them.
`;

/** What is stopped, last started first. */
const stops: (() => Promise<unknown>)[] = [];
/** Set once the process has been told to stop: a start that is under way goes no further. */
let draining = false;
let starting: Promise<void> = Promise.resolve();
const drainWithinMs = 10_000;
const endWaitingAfterMs = 3_000;
/** Longer than the usual deadline of what asks a provider. */
const cutAfterMs = 6_000;

async function start(config: Config, described: readonly DescribedProvider[], log: Log): Promise<void> {
  const masterKeys = await loadMasterKeys(config.encryptionKeys, config.dataDir);
  const database = await openMigrated(config, log);
  if (draining) return;
  const { clock, close: stopClock } = await openDatabaseClock(database, systemClock, (aheadMs) =>
    log.warn(
      { aheadMs: Math.round(aheadMs) },
      "this machine's clock is not the database's: the database's is used",
    ),
  );
  stops.push(stopClock);
  const notifications = openLine(database, clock, log);
  // The lock on its directory proves that the process before is gone.
  if (database.kind === 'embedded') {
    await endAllLeases(database.db);
    await endAllQueueLeases(database.db);
    await endAllRoundLeases(database.db);
  }
  for (const [id, count] of await findMissingMasterKeys(database.db, masterKeys))
    log.error(
      { masterKeyId: id, dataKeys: count },
      'ENCRYPTION_KEYS lacks a key that is in use: the accounts it seals cannot be opened until it is back',
    );
  const sandbox = config.sandbox.enabled
    ? await openSandbox(config, unlessInUse('SANDBOX_PORT', config.sandbox.port))
    : undefined;
  if (sandbox) stops.push(() => sandbox.close());
  const catalog = configuredCatalog(described, config, sandbox);
  const addresses = { publicUrl: config.publicUrl, returnToOrigins: config.returnToOrigins };

  const metrics = createMetrics({
    integrations: catalog.list().map(({ provider }) => provider.id),
    queueDepth: () => caller.queueDepth(),
    subscribers: () => core.feed.readers(),
    breakerState: (integration) => caller.breakerState(integration),
  });
  const caller = createCaller({
    clock,
    requestTimeoutMs: config.requestTimeoutMs,
    retry: { baseMs: 1_000, capMs: 60_000, attempts: 5 },
    retryOf: (integration) => catalog.find(integration)?.retry,
    reachOf: createReachOf(catalog, config.production),
    queue: { perBucket: 5_000, total: 20_000 },
    limiter: openLimiter(config, database, notifications, clock, log),
    ...(config.recordDir !== undefined && { attempt: openRecorder(config.recordDir, config, catalog, log) }),
    onAttempt: ({ durationMs, ...attempt }) => metrics.attempted({ ...attempt, seconds: durationMs / 1_000 }),
    onFinished: (report) => {
      log.info(report, 'provider call');
      metrics.finished(report);
    },
  });
  stops.push(() => caller.close());
  if (draining) return;
  const jobs = await openJobs(database, {
    queues: revocationQueues,
    onError: (error) => log.warn({ err: error }, 'background work'),
  });
  stops.push(() => jobs.stop());

  const core = createCore({
    database,
    jobs,
    caller,
    catalog,
    masterKeys,
    addresses,
    completion: config.connectCompletion,
    interactiveDeadlineMs: config.interactiveDeadlineMs,
    requestTimeoutMs: config.requestTimeoutMs,
    probeIntervalMs: config.probeIntervalMs,
    pollIntervalMs: config.pollIntervalMs,
    recordRetentionDays: config.recordRetentionDays,
    eventRetentionDays: config.eventRetentionDays,
    recordMaxAgeSeconds: config.recordMaxAgeSeconds,
    clock,
    log,
    metrics,
  });
  stops.push(() => core.stop());
  notifications.listen(tokenChannel, core.tokensChanged);
  notifications.listen(eventChannel, core.feed.changed);
  notifications.listen(deliveryChannel, core.deliveries.queued);
  notifications.listen(roundChannel, core.polling.due);
  core.feed.start();
  if (draining) return;
  if (config.role !== 'api') await core.work();

  const server = await createServer({
    schema: createSchema(),
    core,
    receiver: core.receiver,
    resolveIdentity: createResolveIdentity(config.identity, clock),
    routerSecrets: config.routerSecrets,
    routerHmacSecrets: config.routerHmacSecrets,
    production: config.production,
    firstQuery,
    subscriptions: config.subscriptions,
    costPerSecond: config.costPerAccountPerSecond,
    isReady: async () => !draining && (await isReady(database)),
    metrics,
    clock,
    log,
  });
  if (draining) return;
  await listen(server, config);
  stops.push(async () => {
    await systemClock.sleep(config.drainDelayMs);
    await emptyQueue(server.server, systemClock);
    // Those that wait for a turn are told in time, so that their answers are out before the lines are cut.
    setTimeout(() => void caller.close(), endWaitingAfterMs).unref();
    // A client that opened a line and says nothing on it would hold the drain up to its end.
    setTimeout(() => server.server.closeAllConnections(), cutAfterMs).unref();
    // Other processes should have what this one works on as soon as it ceases to.
    await Promise.all([server.close(), core.rest()]);
  });
  const { port } = server.server.address() as AddressInfo;
  if (config.port === 0) {
    // The operating system chose: what the settings derive from PORT follows.
    const chosen = (url: string) => url.replace('http://localhost:0', `http://localhost:${port}`);
    addresses.publicUrl = chosen(addresses.publicUrl);
    addresses.returnToOrigins = addresses.returnToOrigins.map(chosen);
  }
  if (sandbox) await tellWhereWebhooksGo(sandbox, port, log);
  log.info({ port, publicUrl: addresses.publicUrl, role: config.role, sandbox: sandbox?.url }, 'ready');
  announce(config, addresses.publicUrl, sandbox, log);
}

async function openMigrated(config: Config, log: Log): Promise<Database> {
  const database = await openDatabase({
    databaseUrl: config.databaseUrl,
    dataDir: config.dataDir,
    poolSize: config.databasePoolSize,
    onPoolError: (error) => log.warn({ err: error }, 'the database closed a connection'),
    ...(log.isLevelEnabled('trace') && { onQuery: (statement) => log.trace({ statement }, 'statement') }),
  });
  stops.push(() => database.close());
  await migrate(database, (name) => log.info({ migration: name }, 'migrated'));
  if (!(await database.raiseWall()) && database.kind === 'postgres')
    log.warn(
      { cure: cureOfNoWall(await currentUser(database.db)) },
      'row-level security is off: this database user may not use its role',
    );
  return database;
}

/** What processes on one PostgreSQL tell each other; an embedded database has one process, which tells itself. */
function openLine(database: Database, clock: Clock, log: Log): Notifications {
  const notifications =
    database.kind === 'embedded'
      ? embeddedNotifications(database)
      : openNotifications({
          databaseUrl: database.databaseUrl,
          clock,
          onError: (error) => log.warn({ err: error }, 'the line for notifications was lost'),
        });
  stops.push(() => notifications.close());
  return notifications;
}

/** One budget for all processes on one PostgreSQL. */
function openLimiter(
  config: Config,
  database: Database,
  notifications: Notifications,
  clock: Clock,
  log: Log,
): RateLimiter {
  if (database.kind === 'embedded') return createRateLimiter(clock);
  const limiter = createSharedRateLimiter({
    clock,
    rows: createBudgetRows(database.db),
    longestCallMs: config.requestTimeoutMs + 1_000,
    onTrouble: (error) =>
      log.warn({ err: error }, 'the rate budgets cannot be reached: calls wait for what is not leased'),
  });
  notifications.listen(budgetChannel, { notified: (key) => limiter.changed(key) });
  return limiter;
}

/** The transport that keeps what providers answer, for tests. */
function openRecorder(directory: string, config: Config, catalog: Catalog, log: Log): Attempt {
  log.warn({ directory }, 'what providers answer is written to files, sanitised: RECORD_DIR is set');
  return recorded(createAttempt(config.requestTimeoutMs), directory, createRecordedAs(catalog), (error) =>
    log.warn({ err: error }, 'an answer could not be recorded'),
  );
}

async function isReady(database: Database): Promise<boolean> {
  const patience = new AbortController();
  const tooLong = systemClock.sleep(2_000, patience.signal).then(() => false);
  tooLong.catch(() => undefined);
  return Promise.race([isMigrated(database).catch(() => false), tooLong]).finally(() => patience.abort());
}

async function listen(
  server: Awaited<ReturnType<typeof createServer>>,
  { host, port }: Config,
): Promise<void> {
  await server.listen({ host, port }).catch(unlessInUse('PORT', port));
}

function unlessInUse(setting: string, port: number): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    if (error.code === undefined) throw error;
    if (error.code !== 'EADDRINUSE')
      throw new ConfigurationError(`HOST and ${setting} ${port} cannot be listened on (${error.code})`);
    throw new ConfigurationError(`${setting} ${port} is in use: stop what listens there or set another`);
  };
}

/** In order, the last started first. A second signal, or ten seconds after the delay, ends it at once. */
function drainOn(signals: readonly NodeJS.Signals[], drainDelayMs: number, log: Log): void {
  const drain = async (signal: NodeJS.Signals) => {
    if (draining) process.exit(1);
    draining = true;
    log.info({ signal }, 'draining');
    setTimeout(() => {
      log.error('not drained in time');
      process.exit(1);
    }, drainDelayMs + drainWithinMs).unref();
    // What is half started cannot be stopped in order; a start that fails ends the process itself.
    if (!(await starting.then(() => true).catch(() => false))) return;
    await stopAll();
    log.info('drained');
    process.exit(0);
  };
  for (const signal of signals) process.on(signal, () => void drain(signal));
}

async function stopAll(): Promise<void> {
  for (const stop of stops.toReversed())
    await stop().catch((error: unknown) => process.stderr.write(`while stopping: ${String(error)}\n`));
}

async function run(command: string | undefined): Promise<void> {
  if (command === '--help' || command === '-h') return void process.stdout.write(usage);
  if (command !== undefined && command !== 'migrate')
    throw new ConfigurationError(`there is no command ${command}; see --help`);
  const described = await loadIntegrations(integrationsFile());
  const ids = described.map(({ provider }) => provider.id);
  const config = readConfig(ids, undefined, publicClients(described));
  const log = createLog(config.logLevel);
  const untried = described.filter(
    ({ provider, verified }) => !verified && config.integrations.get(provider.id)?.credentials,
  );
  if (untried.length > 0)
    log.warn(
      { integrations: untried.map(({ provider }) => provider.id) },
      'described from documentation, not verified against the live service',
    );
  if (command === 'migrate') {
    await openMigrated(config, log);
    return stopAll();
  }
  // One request's defect, of which nobody waits to hear any more, is not the end of everybody else's: graphql-js forgets
  // the promises of a list's items when another of them ends the list. What was to be expected is no defect at all.
  process.on('unhandledRejection', (error) => {
    const level = error instanceof IntegrationError ? 'debug' : 'error';
    log[level]({ err: error }, 'a promise was rejected that nobody waited for');
  });
  drainOn(['SIGTERM', 'SIGINT'], config.drainDelayMs, log);
  await (starting = start(config, described, log));
}

try {
  await run(process.argv[2]);
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  await stopAll().catch(() => undefined);
  process.exit(1);
}
