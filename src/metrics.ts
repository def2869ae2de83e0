import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CallReport } from './calls/caller.ts';
import type { ProblemCode } from './errors.ts';
import type { SyncEventKind } from './events/events.ts';
import type { RefreshOutcome } from './oauth/tokens.ts';
import type { WebhookOutcome } from './webhooks/receive.ts';

/**
 * What an operator's Prometheus reads. Labels hold only the catalog's integration ids, codes, priorities and kinds:
 * nothing whose number grows with accounts. A report about an integration outside the catalog is dropped.
 */
export interface Metrics {
  /** Once for each call. With `attempted` about a microsecond: both stand in every call's way. */
  finished(report: CallReport): void;
  /** Once for each request that was sent, when it is over. */
  attempted(attempt: { integration: string; outcome: ProblemCode | 'OK'; seconds: number }): void;
  tokenRefreshed(integrationId: string, outcome: RefreshOutcome): void;
  eventsAppended(kind: SyncEventKind, count: number): void;
  webhookReceived(integrationId: string, outcome: WebhookOutcome, count: number): void;
  /** From the arrival of a delivery until it was applied. */
  deliveryProcessed(integrationId: string, lagSeconds: number): void;
  changesApplied(integrationId: string, changes: readonly { lagSeconds: number | null }[]): void;
  changesMissed(integrationId: string, count: number): void;
  /** In Prometheus' text format. Rejects with whatever a source throws. */
  text(): Promise<{ contentType: string; body: string }>;
}

/** What is read at each scrape. */
export interface MetricsSources {
  /** Ids of the catalog. */
  integrations: readonly string[];
  /** Those who wait for a turn; several entries of one integration and priority add up. */
  queueDepth(): Iterable<{ integration: string; priority: string; waiting: number }>;
  /** Subscriptions that run now. */
  subscribers(): number;
  /** The worst of the integration's hosts. */
  breakerState(integration: string): BreakerState;
}

type BreakerState = 'closed' | 'halfOpen' | 'open';

const priorities = ['interactive', 'webhook', 'poll', 'backfill'] as const satisfies CallReport['priority'][];
const breakerStates = { closed: 0, halfOpen: 1, open: 2 } as const satisfies Record<BreakerState, number>;
/** From an answer out of a cache to past the longest timeout of an attempt. */
const requestBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** A token's refresh waits up to a minute, background work longer. */
const waitBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** How a call ends that was never sent. */
const refusals: ReadonlySet<string> = new Set<ProblemCode>([
  'CIRCUIT_OPEN',
  'QUEUE_FULL',
  'DEADLINE_EXCEEDED',
  'RATE_LIMITED',
]);

export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const { integrations } = sources;
  collectDefaultMetrics({ register: registry });

  // Counted here and handed over at a scrape: the library makes a key of the labels at every increment.
  const outcomes = new Map(
    integrations.map((id) => [id, new Map<CallReport['outcome'], number>([['OK', 0]])]),
  );
  const countOutcome = (integration: string, outcome: CallReport['outcome']) => {
    const counts = outcomes.get(integration);
    counts?.set(outcome, (counts.get(outcome) ?? 0) + 1);
  };
  new Counter({
    name: 'integrations_provider_requests_total',
    help: `Requests to providers, retries included, by how each ended: OK or a problem code. A call that ended before any request was sent counts once, under ${[...refusals].join(', ')}.`,
    labelNames: ['integration', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const [integration, counts] of outcomes)
        for (const [outcome, count] of counts) this.inc({ integration, outcome }, count);
    },
  });

  const requestSeconds = new Histogram({
    name: 'integrations_provider_request_seconds',
    help: 'Time that each finished request spent at the provider, without waits and pauses.',
    labelNames: ['integration'],
    buckets: requestBuckets,
    registers,
  });
  const waitSeconds = new Histogram({
    name: 'integrations_rate_limit_wait_seconds',
    help: 'Time that each call waited for its turns, in vain or not; calls refused at once are left out.',
    labelNames: ['integration', 'priority'],
    buckets: waitBuckets,
    registers,
  });
  const retries = new Counter({
    name: 'integrations_retries_total',
    help: "Requests to providers after a call's first, one with a renewed token included.",
    labelNames: ['integration'],
    registers,
  });
  const refreshes = new Counter({
    name: 'integrations_token_refreshes_total',
    help: 'Refreshes of access tokens, by how each ended: OK, a problem code, or INTERNAL_SERVER_ERROR for a bug or our database.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const events = new Counter({
    name: 'integrations_events_total',
    help: 'Events appended for subscribers, by kind; one whose transaction is rolled back counts too.',
    labelNames: ['kind'],
    registers,
  });
  const webhooks = new Counter({
    name: 'integrations_webhooks_total',
    help: 'Webhook requests by how each was answered (stored, nothing, challenge, refused, wrong type, unreadable, unavailable), and as duplicate the events in them that were known already.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const deliveryLag = new Histogram({
    name: 'integrations_delivery_lag_seconds',
    help: 'Time from the arrival of a webhook event until it was applied.',
    labelNames: ['integration'],
    buckets: waitBuckets,
    registers,
  });
  const syncLag = new Histogram({
    name: 'integrations_sync_lag_seconds',
    help: "Time from the provider's time of a change, that a webhook announced or a poll found, until it was applied.",
    labelNames: ['integration'],
    buckets: [...waitBuckets, 900, 3_600, 86_400],
    registers,
  });
  const missed = new Counter({
    name: 'integrations_changes_missed_total',
    help: 'Changes that only polling found, and no webhook announced.',
    labelNames: ['integration'],
    registers,
  });
  new Gauge({
    name: 'integrations_queue_depth',
    help: 'Calls that wait for a turn now.',
    labelNames: ['integration', 'priority'],
    registers,
    collect() {
      for (const integration of integrations)
        for (const priority of priorities) this.set({ integration, priority }, 0);
      for (const { integration, priority, waiting } of sources.queueDepth())
        if (children.has(integration) && priorities.some((known) => known === priority))
          this.inc({ integration, priority }, waiting);
    },
  });
  new Gauge({
    name: 'integrations_subscribers',
    help: 'Subscriptions that run in this process now, over all transports.',
    registers,
    collect() {
      this.set(sources.subscribers());
    },
  });
  new Gauge({
    name: 'integrations_breaker_state',
    help: "The worst of the integration's circuit breakers: 0 closed, 1 half open, 2 open.",
    labelNames: ['integration'],
    registers,
    collect() {
      for (const integration of integrations)
        this.set({ integration }, breakerStates[sources.breakerState(integration)]);
    },
  });

  const childrenOf = (integration: string) => ({
    request: requestSeconds.labels(integration),
    wait: Object.fromEntries(
      priorities.map((priority) => [priority, waitSeconds.labels(integration, priority)]),
    ) as Record<CallReport['priority'], Histogram.Internal<'integration' | 'priority'>>,
    retries: retries.labels(integration),
  });
  const children = new Map(integrations.map((id) => [id, childrenOf(id)]));
  for (const integration of integrations) {
    // There from the start: no traffic yet reads 0, and is no gap.
    requestSeconds.zero({ integration });
    retries.inc({ integration }, 0);
    refreshes.inc({ integration, outcome: 'OK' }, 0);
    webhooks.inc({ integration, outcome: 'stored' }, 0);
    deliveryLag.zero({ integration });
    syncLag.zero({ integration });
    missed.inc({ integration }, 0);
  }

  return {
    finished({ integration, priority, waitedMs, attempts, outcome }) {
      const own = children.get(integration);
      if (!own) return;
      if (attempts > 0 || waitedMs > 0) own.wait[priority].observe(waitedMs / 1_000);
      if (attempts > 1) own.retries.inc(attempts - 1);
      if (attempts === 0 && refusals.has(outcome)) countOutcome(integration, outcome);
    },
    attempted({ integration, outcome, seconds }) {
      countOutcome(integration, outcome);
      children.get(integration)?.request.observe(seconds);
    },
    tokenRefreshed(integration, outcome) {
      if (children.has(integration)) refreshes.inc({ integration, outcome });
    },
    eventsAppended: (kind, count) => events.inc({ kind }, count),
    webhookReceived(integration, outcome, count) {
      if (children.has(integration)) webhooks.inc({ integration, outcome }, count);
    },
    deliveryProcessed(integration, lagSeconds) {
      if (children.has(integration)) deliveryLag.observe({ integration }, lagSeconds);
    },
    changesApplied(integration, changes) {
      if (!children.has(integration)) return;
      for (const { lagSeconds } of changes)
        if (lagSeconds !== null) syncLag.observe({ integration }, Math.max(0, lagSeconds));
    },
    changesMissed(integration, count) {
      if (children.has(integration)) missed.inc({ integration }, count);
    },
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
