import { describe, expect, it } from 'vitest';
import { abuse } from './support/edgeLoad/abuse.ts';
import { stopUnderLoad } from './support/edgeLoad/stop.ts';

/** Whole processes as in production; the short form of test/chaos/edge.chaos.ts. */
describe('a process under load', () => {
  it(
    'refuses bad traffic, loses nothing of the good, and resumes it after a restart',
    { timeout: 240_000 },
    async () => {
      const { bad, ...result } = await abuse({
        ...{ seed: 7, processes: 1, warmMs: 0, quietMs: 0, abuseMs: 6_000, looks: 1 },
        good: { status: 4, entities: 2, webhook: 2, record: 1 },
        bad: { requestsPerSecond: 8, socketsPerSecond: 3, slow: 1 },
        followers: { sockets: 15, streams: 3, callbacks: 3 },
      });
      // A machine that is too busy to read a request within three seconds tells anybody so.
      expect(Object.keys(bad.unexpected).filter((one) => !/\b408\b/.test(one))).toEqual([]);
      expect(bad.kinds).toBeGreaterThan(20);
      expect(result.told.delivered).toBeGreaterThan(0);
      expect(result).toMatchObject({
        failures: { cut: {} },
        ...{ lost: 0, doubled: 0, unfinished: 0, wrongEvents: 0, behind: 0, contradictions: 0 },
        told: { gaps: 0, doubles: 0, contradictions: 0 },
        endsBefore: { sockets: {}, streams: {}, callbacks: {} },
        stop: {
          code: 0,
          leases: 0,
          ends: { sockets: { 1001: 15 }, streams: { complete: 3 }, callbacks: { complete: 3 } },
        },
      });
    },
  );

  it('tells everybody that it goes away, and cuts nobody off', { timeout: 240_000 }, async () => {
    const result = await stopUnderLoad({
      ...{ rounds: 2, seed: 7, requestsPerSecond: 50, warmMs: 500 },
      followers: { sockets: 15, streams: 3, callbacks: 3 },
    });
    expect(result.acknowledged).toBeGreaterThan(0);
    expect(result).toMatchObject({
      ...{ exitCodes: [0, 0], cut: {}, unacknowledged: {}, lost: 0, doubled: 0, leases: 0 },
      ends: { sockets: { 1001: 30 }, streams: { complete: 6 }, callbacks: { complete: 6 } },
    });
  });
});
