import { judgeWindows } from '../support/overload.ts';
import type { Bench } from './benchmark.ts';
import { limits, overload } from './load.ts';
import { inOwnProcess } from './process.ts';
import { startProvider, type Provider } from './provider.ts';
import type { SideName } from './sides.ts';

const loadFile = new URL('load.ts', import.meta.url).href;

/** What the provider saw of one limit. */
interface Seen {
  windowsOver: number;
  worstWindow: number;
  /** Of what the limit allows in the time, in percent. */
  use: number;
}

const sides: { name: SideName; processes: number }[] = [
  { name: 'ours', processes: 1 },
  { name: 'token bucket', processes: 1 },
  { name: 'rate-limiter-flexible', processes: 1 },
  { name: 'p-throttle', processes: 1 },
  { name: 'bottleneck', processes: 1 },
  { name: 'ours, shared', processes: 3 },
  { name: 'rate-limiter-flexible, PostgreSQL', processes: 3 },
];
/** The least use, in percent. */
const goals: [SideName, number][] = [
  ['ours', 97],
  ['ours, shared', 90],
];

/** Far too many calls over real HTTP; the provider's own log of what arrived is judged, every window of it. */
export const accuracy: Bench = {
  name: 'accuracy',
  title: 'sliding windows over the limit under ten times too many calls',
  usesDatabase: true,
  async run({ seconds, databaseUrl, report }) {
    const provider = await startProvider();
    const seen = new Map<SideName, Record<string, Seen>>();
    const statements = new Map<SideName, number>();
    try {
      for (const { name, processes } of sides) {
        const driven = await drive(provider, name, processes, seconds, databaseUrl);
        seen.set(name, driven.seen);
        statements.set(name, driven.statements);
      }
    } finally {
      provider.stop();
    }
    for (const [name, leastUse] of goals) {
      const many = processesOf(name);
      const references = sides.filter((side) => side.processes === many && side.name !== name);
      for (const { key, limit } of limits)
        for (const { metric, member, unit, goal } of figures(limit, leastUse))
          for (const reference of references)
            report({
              metric: `${key}, ${many} process${many > 1 ? 'es' : ''}: ${metric}`,
              ...{ value: seen.get(name)![key]![member], unit, goal },
              reference: { name: reference.name, value: seen.get(reference.name)![key]![member] },
            });
      for (const reference of references.filter(() => many > 1))
        report({
          metric: `both, ${many} processes: statements for 1,000 calls`,
          ...{ value: statements.get(name)!, unit: 'statements' },
          reference: { name: reference.name, value: statements.get(reference.name)! },
        });
    }
  },
};

const processesOf = (name: SideName) => sides.find((side) => side.name === name)!.processes;

function figures(limit: number, leastUse: number) {
  return [
    { metric: 'windows over', member: 'windowsOver', unit: 'windows', goal: { equal: 0 } },
    { metric: 'most in a window', member: 'worstWindow', unit: 'calls', goal: { atMost: limit } },
    { metric: 'use', member: 'use', unit: '%', goal: { atLeast: leastUse } },
  ] as const;
}

async function drive(
  provider: Provider,
  side: SideName,
  processes: number,
  seconds: number,
  databaseUrl: string,
): Promise<{ seen: Record<string, Seen>; statements: number }> {
  await provider.arrivals();
  const startAtMs = Date.now() + 1_500;
  const load = { side, url: provider.url, times: 10 / processes, startAtMs, seconds, databaseUrl };
  const loads = await Promise.all(
    Array.from({ length: processes }, () => inOwnProcess(loadFile, overload, load)),
  );
  const arrivals = await provider.arrivals();
  const total = Object.values(arrivals).reduce((sum, { length }) => sum + length, 0);
  const statements = loads.reduce((sum, one) => sum + one.statements, 0) / (total / 1_000);
  const seen = Object.fromEntries(
    limits.map(({ key, limit, windowMs }) => {
      const times = (arrivals[`/${encodeURIComponent(key)}`] ?? []).toSorted((a, b) => a - b);
      const { worst, over } = judgeWindows(times, limit, windowMs);
      const counted = times.filter((at) => at < times[0]! + seconds * 1_000).length;
      const allowed = (limit * seconds * 1_000) / windowMs;
      return [key, { windowsOver: over, worstWindow: worst, use: (counted / allowed) * 100 }];
    }),
  );
  return { seen, statements };
}
