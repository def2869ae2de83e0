import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';
import { medians } from './rounds.ts';
import { openSide, type Asked, type SideName } from './sides.ts';

const sides = ['ours', 'p-throttle', 'bottleneck, minTime'] as const satisfies SideName[];
const bucket = { key: 'fairness', limit: 500, windowMs: 1_000 };
const deep = 3_000;
const others = 1_000;
const fairMs = (others / bucket.limit) * bucket.windowMs;
const rounds = 5;
const patienceMs = 2.5 * fairMs;

export const fairness: Bench = {
  name: 'fairness',
  title: 'one connection with 3,000 waiting calls, then 1,000 others with one each, at 500 a second',
  usesDatabase: false,
  async run({ report }) {
    const measured: Awaited<ReturnType<typeof crowd>>[][] = [];
    for (let round = 0; round < rounds; round++)
      // At the same time, for they mostly wait.
      measured.push(await Promise.all(sides.map((side) => inOwnProcess(import.meta.url, crowd, { side }))));
    const [mine, ...theirs] = sides.map((name, i) => ({ name, ...medians(measured.map((one) => one[i]!)) }));
    for (const { name, lastShare } of theirs)
      report({
        metric: 'last of the 1,000 begins, in fair times',
        ...{ value: mine!.lastShare, unit: 'x', goal: { atMost: 2.2 } },
        reference: { name, value: lastShare, ...(lastShare >= patienceMs / fairMs && { atLeast: true }) },
      });
    report({ metric: 'median of the 1,000 begins, in fair times', value: mine!.medianShare, unit: 'x' });
  },
};

/** When the others had their calls, as a share of what the rate needs for them alone. */
export async function crowd({ side: name }: { side: SideName }) {
  const begun: number[] = [];
  const side = await openSide(name, async (id) => {
    if (id === 'other') begun.push(performance.now());
  });
  const common: Omit<Asked, 'id' | 'who'> = { bucket, priority: 'poll', deadlineInMs: 100_000 };
  for (let i = 0; i < deep; i++) side.ask({ ...common, id: 'deep', who: 'deep' });
  const askedAt = performance.now();
  for (let i = 0; i < others; i++) side.ask({ ...common, id: 'other', who: `other ${i}` });
  while (begun.length < others && performance.now() - askedAt < patienceMs) await clock.sleep(20);
  const shareOf = (at: number | undefined) => ((at ?? performance.now()) - askedAt) / fairMs;
  return { lastShare: shareOf(begun[others - 1]), medianShare: shareOf(begun[others / 2]) };
}
