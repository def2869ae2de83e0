import { describe, expect, it } from 'vitest';
import { abuse } from '../support/edgeLoad/abuse.ts';
import { rollUnderLoad } from '../support/edgeLoad/roll.ts';
import { stopUnderLoad } from '../support/edgeLoad/stop.ts';

const minutes = Number(process.env.ABUSE_MINUTES ?? 10);
const rounds = Number(process.env.STOP_ROUNDS ?? 20);
/** A machine that has other work to do is given less. */
const share = Number(process.env.ABUSE_SHARE ?? 1);
const seed = 20_261_129;
const log = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

describe.each([{ processes: 1 }, { processes: 2 }])(
  '$processes under good and bad traffic',
  ({ processes }) => {
    it('serve the good as if the bad were not there', { timeout: (minutes + 10) * 60_000 }, async () => {
      const ms = minutes * 60_000;
      const { bad, ...result } = await abuse({
        ...{ seed, processes, log, looks: 120 },
        ...{ warmMs: ms * 0.1, quietMs: ms * 0.2, abuseMs: ms * 0.7 },
        good: { status: 10 * share, entities: 5 * share, webhook: 5 * share, record: 2 * share },
        bad: { requestsPerSecond: 20 * share, socketsPerSecond: 5 * share, slow: Math.ceil(10 * share) },
        followers: { sockets: 1_000, streams: 20, callbacks: 20 },
      });
      log({ processes, minutes, share, ...result, bad });
      expect(bad.unexpected).toEqual({});
      expect(result).toMatchObject({
        failures: { cut: {}, answers: {} },
        ...{ lost: 0, doubled: 0, unfinished: 0, wrongEvents: 0, behind: 0, contradictions: 0 },
        told: { gaps: 0, doubles: 0, contradictions: 0 },
        ...{ wrong: [], logged: [], endsBefore: { sockets: {}, streams: {}, callbacks: {} } },
        stop: { code: 0, leases: 0 },
      });
      expect(result.stop.tookMs).toBeLessThan(10_000);
      expect(Object.keys(result.stop.ends.sockets)).toEqual(['1001']);
      expect(Object.keys(result.stop.ends.streams)).toEqual(['complete']);
      for (const { before, after } of result.resources) {
        expect(after.heapMiB).toBeLessThan(before.heapMiB * 1.1 + 16);
        // Bodies of a megabyte and answers that nobody reads: what they took is kept, and taken again.
        expect(after.residentMiB).toBeLessThan(before.residentMiB + 450);
        expect(Math.abs(after.sockets - before.sockets)).toBeLessThan(50);
      }
    });
  },
);

it(
  `one process after the other, told to stop under load ${rounds} times`,
  { timeout: 1_800_000 },
  async () => {
    const result = await stopUnderLoad({
      ...{ seed, rounds, log, requestsPerSecond: 500 * share, warmMs: 3_000 },
      followers: { sockets: 100, streams: 20, callbacks: 20 },
    });
    log(result);
    expect(result).toMatchObject({
      cut: {},
      unacknowledged: {},
      lost: 0,
      doubled: 0,
      leases: 0,
      logged: [],
      wrong: [],
    });
    expect(new Set(result.exitCodes)).toEqual(new Set([0]));
    expect(result.slowestExitMs).toBeLessThan(10_000);
    expect(result.ends).toEqual({
      ...{ sockets: { 1001: 100 * rounds }, streams: { complete: 20 * rounds } },
      callbacks: { complete: 20 * rounds },
    });
  },
);

it('three processes, restarted one after the other under load', { timeout: 600_000 }, async () => {
  const result = await rollUnderLoad({
    ...{
      seed,
      log,
      processes: 3,
      requestsPerSecond: 200 * share,
      recordsPerSecond: 5 * share,
      warmMs: 5_000,
    },
    followers: { sockets: 150, streams: 15, callbacks: 15 },
  });
  log(result);
  expect(result).toMatchObject({
    ...{
      exitCodes: [0, 0, 0],
      cut: {},
      unacknowledged: {},
      lost: 0,
      doubled: 0,
      unfinished: 0,
      wrongEvents: 0,
    },
    ...{ gaps: 0, doubles: 0, behind: 0, contradictions: 0, leases: 0, wrong: [], logged: [] },
  });
  expect(result.slowestExitMs).toBeLessThan(10_000);
});
