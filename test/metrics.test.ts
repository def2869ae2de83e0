import { beforeEach, describe, expect, it } from 'vitest';
import type { CallReport } from '../src/calls/caller.ts';
import { createMetrics, type Metrics, type MetricsSources } from '../src/metrics.ts';

const report = (more: Partial<CallReport> = {}): CallReport => ({
  integration: 'quickbooks',
  connectionId: 'a-connection',
  priority: 'poll',
  waitedMs: 0,
  attempts: 1,
  outcome: 'OK',
  durationMs: 120,
  requestId: 'a-request',
  ...more,
});

/** The samples of our own metrics, by name and labels as they are printed. */
async function samplesOf(metrics: Metrics): Promise<Map<string, number>> {
  const { body } = await metrics.text();
  const lines = body.split('\n').filter((line) => line.startsWith('integrations_'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('the metrics', () => {
  let sources: MetricsSources;
  let metrics: Metrics;
  const sample = async (name: string) => (await samplesOf(metrics)).get(name);
  beforeEach(() => {
    sources = {
      integrations: ['quickbooks', 'slack'],
      queueDepth: () => [],
      subscribers: () => 0,
      breakerState: () => 'closed',
    };
    metrics = createMetrics({
      integrations: sources.integrations,
      queueDepth: () => sources.queueDepth(),
      subscribers: () => sources.subscribers(),
      breakerState: (integration) => sources.breakerState(integration),
    });
  });

  it('show how many subscriptions run', async () => {
    sources.subscribers = () => 7;
    expect(await sample('integrations_subscribers')).toBe(7);
  });

  it('count each request by how it ended', async () => {
    metrics.attempted({ integration: 'quickbooks', outcome: 'TIMEOUT', seconds: 10 });
    metrics.attempted({ integration: 'quickbooks', outcome: 'OK', seconds: 0.2 });
    metrics.attempted({ integration: 'quickbooks', outcome: 'OK', seconds: 0.004 });
    metrics.finished(report({ attempts: 2 }));
    metrics.finished(report());
    for (let scrape = 1; scrape <= 2; scrape++) {
      const samples = await samplesOf(metrics);
      const requests = 'integrations_provider_requests_total';
      expect(samples.get(`${requests}{integration="quickbooks",outcome="OK"}`)).toBe(2);
      expect(samples.get(`${requests}{integration="quickbooks",outcome="TIMEOUT"}`)).toBe(1);
      expect(samples.get(`${requests}{integration="slack",outcome="OK"}`)).toBe(0);
      expect(samples.get('integrations_retries_total{integration="quickbooks"}')).toBe(1);
      expect(samples.get('integrations_retries_total{integration="slack"}')).toBe(0);
      const seconds = 'integrations_provider_request_seconds';
      expect(samples.get(`${seconds}_count{integration="quickbooks"}`)).toBe(3);
      expect(samples.get(`${seconds}_sum{integration="quickbooks"}`)).toBeCloseTo(10.204);
      expect(samples.get(`${seconds}_bucket{le="0.005",integration="quickbooks"}`)).toBe(1);
      expect(samples.get(`${seconds}_bucket{le="5",integration="quickbooks"}`)).toBe(2);
      expect(samples.get(`${seconds}_bucket{le="30",integration="quickbooks"}`)).toBe(3);
    }
  });

  it.each(['CIRCUIT_OPEN', 'QUEUE_FULL', 'DEADLINE_EXCEEDED', 'RATE_LIMITED'] as const)(
    'count a call that was never sent under %s, once',
    async (outcome) => {
      metrics.finished(report({ attempts: 0, outcome }));
      metrics.finished(report({ attempts: 1, outcome }));
      const name = `integrations_provider_requests_total{integration="quickbooks",outcome="${outcome}"}`;
      expect(await sample(name)).toBe(1);
      const { body } = await metrics.text();
      expect(/# HELP integrations_provider_requests_total (.*)/.exec(body)?.[1]).toContain(outcome);
    },
  );

  it('blame no provider for a call that our own side ended before it was sent', async () => {
    metrics.finished(report({ attempts: 0, outcome: 'REAUTHORIZATION_REQUIRED' }));
    expect([...(await samplesOf(metrics)).keys()].join()).not.toContain('REAUTHORIZATION_REQUIRED');
  });

  it('show how long calls waited, by priority, without those that were refused at once', async () => {
    metrics.finished(report({ priority: 'interactive' }));
    metrics.finished(report({ waitedMs: 1_500 }));
    metrics.finished(report({ waitedMs: 45_000, attempts: 0, outcome: 'DEADLINE_EXCEEDED' }));
    metrics.finished(report({ attempts: 0, outcome: 'QUEUE_FULL' }));
    const samples = await samplesOf(metrics);
    const name = 'integrations_rate_limit_wait_seconds';
    expect(samples.get(`${name}_count{integration="quickbooks",priority="interactive"}`)).toBe(1);
    expect(samples.get(`${name}_count{integration="quickbooks",priority="poll"}`)).toBe(2);
    expect(samples.get(`${name}_sum{integration="quickbooks",priority="poll"}`)).toBe(46.5);
    expect(samples.get(`${name}_bucket{le="2.5",integration="quickbooks",priority="poll"}`)).toBe(1);
    expect(samples.get(`${name}_bucket{le="60",integration="quickbooks",priority="poll"}`)).toBe(2);
  });

  it('read the queues when they are asked for, and show an empty one as 0', async () => {
    const poll = { integration: 'slack', priority: 'poll' };
    sources.queueDepth = () => [
      { ...poll, waiting: 3 },
      { ...poll, waiting: 4 },
    ];
    const name = 'integrations_queue_depth{integration="slack",priority="poll"}';
    expect(await sample(name)).toBe(7);
    expect(await sample(name)).toBe(7);
    sources.queueDepth = () => [];
    expect(await sample(name)).toBe(0);
    expect(await sample('integrations_queue_depth{integration="quickbooks",priority="backfill"}')).toBe(0);
  });

  it.each([
    ['closed', 0],
    ['halfOpen', 1],
    ['open', 2],
  ] as const)('show a breaker that is %s as %i', async (state, value) => {
    sources.breakerState = (integration) => (integration === 'slack' ? state : 'closed');
    expect(await sample('integrations_breaker_state{integration="slack"}')).toBe(value);
    expect(await sample('integrations_breaker_state{integration="quickbooks"}')).toBe(0);
  });

  it('count refreshes and events', async () => {
    metrics.tokenRefreshed('quickbooks', 'OK');
    metrics.tokenRefreshed('quickbooks', 'PROVIDER_ERROR');
    metrics.tokenRefreshed('quickbooks', 'PROVIDER_ERROR');
    metrics.eventsAppended('RECORD_UPDATED', 40);
    metrics.eventsAppended('RECORD_UPDATED', 2);
    const samples = await samplesOf(metrics);
    const name = 'integrations_token_refreshes_total';
    expect(samples.get(`${name}{integration="quickbooks",outcome="OK"}`)).toBe(1);
    expect(samples.get(`${name}{integration="quickbooks",outcome="PROVIDER_ERROR"}`)).toBe(2);
    expect(samples.get(`${name}{integration="slack",outcome="OK"}`)).toBe(0);
    expect(samples.get('integrations_events_total{kind="RECORD_UPDATED"}')).toBe(42);
  });

  it('hold nothing but what the catalog knows, and no id of a connection or request', async () => {
    const before = [...(await samplesOf(metrics)).keys()];
    metrics.attempted({ integration: 'elsewhere', outcome: 'OK', seconds: 1 });
    metrics.finished(report({ integration: 'elsewhere' }));
    metrics.tokenRefreshed('elsewhere', 'OK');
    sources.queueDepth = () => [
      { integration: 'elsewhere', priority: 'poll', waiting: 1 },
      { integration: 'slack', priority: 'whenever', waiting: 1 },
    ];
    expect([...(await samplesOf(metrics)).keys()]).toEqual(before);
    metrics.finished(report());
    expect((await metrics.text()).body).not.toMatch(/a-connection|a-request/);
  });

  it("show the process's own, each set of metrics by itself", async () => {
    const other = createMetrics(sources);
    metrics.eventsAppended('SYNC_STARTED', 1);
    const { contentType, body } = await other.text();
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect(body).toMatch(/^process_resident_memory_bytes \d/m);
    expect(body).not.toContain('SYNC_STARTED');
  });
});
