import { setImmediate } from 'node:timers/promises';
import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';
import { medians } from './rounds.ts';
import { openSide, type Asked, type Side, type SideName } from './sides.ts';

const sides = ['ours', 'p-throttle', 'bottleneck, minTime'] as const satisfies SideName[];
const bucket = { key: 'queue', limit: 100, windowMs: 1_000 };
const tokenMs = bucket.windowMs / bucket.limit;
const calls = 10_000;
const urgentCalls = 5;
const leastPatienceMs = 1_000;

interface Queued {
  /** Of the loop that asks. */
  enqueueMs: number;
  /** Until all wait or have begun. */
  acceptedMs: number;
  firstMs: number;
  /** The latest of several. */
  urgentMs: number;
  bytesEach: number;
}

/** Each round of each side in a process of its own, for nobody else can wait for 10,000 calls to end. */
export const queue: Bench = {
  name: 'queue',
  title: '10,000 waiting calls at 100 a second, and urgent ones that come later',
  usesDatabase: false,
  async run({ seconds, report }) {
    const rounds = 5;
    const measured = new Map<SideName, Queued[]>(sides.map((side) => [side, []]));
    for (let round = 0; round < rounds; round++)
      for (const side of sides) {
        // Who is patient enough waits longer for those who are slow, but once.
        const patienceMs = round > 0 ? leastPatienceMs : seconds >= 30 ? 30_000 : 5_000;
        measured.get(side)!.push(await inOwnProcess(import.meta.url, fill, { side, patienceMs }));
      }
    const [mine, ...others] = sides.map((name) => ({ name, ...medians(measured.get(name)!) }));
    const longest = (name: SideName, member: keyof Queued) =>
      Math.max(...measured.get(name)!.map((one) => one[member]));
    const figures = [
      { metric: 'ask for 10,000, the loop', member: 'enqueueMs', goal: { atMost: 10 } },
      { metric: 'ask for 10,000, until all wait', member: 'acceptedMs', goal: { atMost: 10 } },
      { metric: 'first call begins', member: 'firstMs', goal: { atMost: 5 } },
      { metric: 'late urgent call begins', member: 'urgentMs', goal: { atMost: tokenMs + 5 } },
    ] as const;
    for (const { metric, member, goal } of figures)
      for (const { name } of others) {
        const theirs = others.find((other) => other.name === name)![member];
        const unfinished = theirs >= leastPatienceMs;
        const value = unfinished ? longest(name, member) : theirs;
        report({
          ...{ metric, value: mine![member], unit: 'ms', goal },
          reference: { name, value, ...(unfinished && { atLeast: true }) },
        });
      }
    report({
      metric: 'late urgent call begins, worst of all rounds',
      ...{ value: longest('ours', 'urgentMs'), unit: 'ms', goal: { atMost: tokenMs + 5 } },
    });
    for (const { name, bytesEach } of others)
      report({
        ...{ metric: 'heap of a waiting call', value: mine!.bytesEach, unit: 'bytes' },
        reference: { name, value: bytesEach },
      });
  },
};

export async function fill({ side: name, patienceMs }: { side: SideName; patienceMs: number }) {
  const begun = new Map<string, number>();
  let first: number | undefined;
  let sent = 0;
  let warmed = 0;
  const side = await openSide(name, async (id) => {
    if (id === 'warm') return void warmed++;
    sent++;
    first ??= performance.now();
    if (id !== '') begun.set(id, performance.now());
  });
  const common: Asked = {
    ...{ bucket, id: '', priority: 'backfill', who: '' },
    deadlineInMs: 1_000_000,
  };
  await warmUp(side, () => warmed);
  const who = Array.from({ length: 10 }, (_, i) => `connection ${i}`);
  gc!();
  const heapBefore = process.memoryUsage().heapUsed;

  const startedAt = performance.now();
  for (let i = 0; i < calls; i++) side.ask({ ...common, who: who[i % who.length]! });
  const enqueueMs = performance.now() - startedAt;
  while (side.waiting() + sent < calls && performance.now() - startedAt < patienceMs) await setImmediate();
  const acceptedMs = performance.now() - startedAt;
  while (first === undefined && performance.now() - startedAt < patienceMs) await setImmediate();
  const firstMs = (first ?? performance.now()) - startedAt;

  await clock.sleep(200);
  let urgentMs = 0;
  for (let i = 0; i < urgentCalls && urgentMs < patienceMs; i++) {
    const id = `urgent ${i}`;
    const askedAt = performance.now();
    side.ask({ ...common, id, priority: 'interactive' });
    while (!begun.has(id) && performance.now() - askedAt < patienceMs) await clock.sleep(1);
    urgentMs = Math.max(urgentMs, (begun.get(id) ?? performance.now()) - askedAt);
    await clock.sleep(73);
  }
  gc!();
  const bytesEach = (process.memoryUsage().heapUsed - heapBefore) / (calls - sent);
  return { enqueueMs, acceptedMs, firstMs, urgentMs, bytesEach } satisfies Queued;
}

/** So that compiled code is measured, as a process has it that has run for a while. */
async function warmUp(side: Side, warmed: () => number): Promise<void> {
  const warmBucket = { key: 'warm', limit: 8_000, windowMs: 1_000 };
  const asked: Asked = {
    ...{ bucket: warmBucket, id: 'warm', priority: 'backfill', who: 'warm' },
    deadlineInMs: 100_000,
  };
  const endsAt = performance.now() + 1_000;
  while (performance.now() < endsAt) {
    const until = warmed() + 400;
    for (let i = 0; i < 400; i++) side.ask(asked);
    while (warmed() < until) await clock.sleep(1);
  }
}
