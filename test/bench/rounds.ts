import { median } from './report.ts';

/** One measurement of one side: a figure for each metric. */
export type Side<Metric extends string> = () => Record<Metric, number> | Promise<Record<Metric, number>>;

/**
 * Measures the sides in turn, round by round, each time another one first, so that whatever slows the machine down
 * meets all of them. The first round only warms up.
 * @returns the medians
 */
export async function alternate<Name extends string, Metric extends string>(
  sides: Record<Name, Side<Metric>>,
  { rounds = 5, warmUp = 1 } = {},
): Promise<Record<Name, Record<Metric, number>>> {
  const names = Object.keys(sides) as Name[];
  const measured = new Map<Name, Record<Metric, number>[]>(names.map((name) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    const first = (round + warmUp) % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      gc?.();
      const figures = await sides[name]();
      if (round >= 0) measured.get(name)!.push(figures);
    }
  }
  return Object.fromEntries(names.map((name) => [name, medians(measured.get(name)!)])) as Record<
    Name,
    Record<Metric, number>
  >;
}

/** Of each metric over several rounds. */
export function medians<Metric extends string>(
  rounds: readonly Record<Metric, number>[],
): Record<Metric, number> {
  const metrics = Object.keys(rounds[0]!) as Metric[];
  return Object.fromEntries(
    metrics.map((metric) => [metric, median(rounds.map((figures) => figures[metric]))]),
  ) as Record<Metric, number>;
}
