/** One measured figure of ours, what it is compared with, and what it must reach. */
export interface Row {
  bench: string;
  metric: string;
  value: number;
  unit: string;
  /** Measured in the same run, in the same unit. */
  reference?: Reference;
  goal?: Goal;
}

export interface Reference {
  name: string;
  value: number;
  /** It was not over when we stopped waiting: it is this much or more. */
  atLeast?: boolean;
}
export type Goal = { atMost: number } | { atLeast: number } | { equal: number };

export type Report = (row: Omit<Row, 'bench'>) => void;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Ours by the reference: below 1 is less time, less memory, fewer calls. */
const ratioOf = ({ value, reference }: Row) =>
  reference && reference.value > 0 ? value / reference.value : undefined;

function isMet({ value, goal }: Row): boolean | undefined {
  if (!goal) return undefined;
  if ('atMost' in goal) return value <= goal.atMost;
  return 'equal' in goal ? value === goal.equal : value >= goal.atLeast;
}

/** One line. Members beyond the first five are what the table shows as well. */
export function asJson(row: Row): string {
  const { bench, metric, value, unit, reference, goal } = row;
  const ratio = ratioOf(row);
  return JSON.stringify({
    ...{ bench, metric, value: rounded(value), unit },
    ...(reference && { reference: rounded(reference.value), referenceName: reference.name }),
    ...(reference?.atLeast && { referenceIsAtLeast: true }),
    ...(ratio !== undefined && { ratio: rounded(ratio) }),
    ...(goal && { goal, met: isMet(row) }),
  });
}

export function asTable(rows: readonly Row[]): string {
  const head = ['bench', 'metric', 'ours', 'reference', 'ours / reference', 'goal', ''];
  const lines = rows.map((row, i) => {
    const { bench, metric, value, unit, reference, goal } = row;
    const again = rows[i - 1]?.bench === bench;
    const ratio = ratioOf(row);
    const met = isMet(row);
    return [
      again ? '' : bench,
      again && rows[i - 1]?.metric === metric ? '' : metric,
      `${shown(value)} ${unit}`,
      reference ? `${reference.atLeast ? '> ' : ''}${shown(reference.value)} ${unit}  ${reference.name}` : '',
      ratio === undefined ? '' : `${reference?.atLeast ? '< ' : ''}${shown(ratio)}`,
      goal ? goalText(goal) : '',
      met === undefined ? '' : met ? 'ok' : 'missed',
    ];
  });
  const widths = head.map((title, at) => Math.max(title.length, ...lines.map((cells) => cells[at]!.length)));
  return [head, widths.map((width) => '-'.repeat(width)), ...lines]
    .map((cells) =>
      cells
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function goalText(goal: Goal): string {
  if ('atMost' in goal) return `<= ${goal.atMost}`;
  return 'equal' in goal ? `${goal.equal}` : `>= ${goal.atLeast}`;
}

const rounded = (value: number) => Number(value.toPrecision(6));
const shown = (value: number) =>
  Number.isInteger(value) || Math.abs(value) >= 1_000 ? `${Math.round(value)}` : `${+value.toPrecision(3)}`;
