import { noCalls, type BudgetRow, type BudgetRows } from '../../src/calls/budgetRows.ts';
import type { Clock } from '../../src/clock.ts';

/** What the line between a process and the rows does to one statement. */
export interface Line {
  /** There and back. */
  delayMs(): number;
  /** 'lost': never reaches the rows. 'unheard': it does, but the answer is lost. */
  fate(): 'fine' | 'lost' | 'unheard';
}

/** The rows of PostgreSQL as several processes see them, by a clock of their own: an edge that a test can bend. */
export function memoryRows(clock: Clock, keeperNow: () => number) {
  const rows = new Map<string, BudgetRow>();
  let statements = 0;

  const seenBy = (line: Line): BudgetRows => {
    const statement = async <T>(work: () => T): Promise<T> => {
      statements++;
      const fate = line.fate();
      const delayMs = line.delayMs();
      await clock.sleep(delayMs / 2);
      const result = fate === 'lost' ? undefined : structuredClone(work());
      await clock.sleep(delayMs / 2);
      if (fate !== 'fine') throw new Error('the line to the database failed');
      return result!;
    };
    const found = (keys: readonly string[]) => keys.flatMap((key) => rows.get(key) ?? []);
    return {
      open: (keys) =>
        statement(() => {
          for (const key of keys) if (!rows.has(key)) rows.set(key, { key, version: 1, state: noCalls });
          return { rows: found(keys), nowMs: keeperNow() };
        }),
      read: (keys) => statement(() => ({ rows: found(keys), nowMs: keeperNow() })),
      exchange: (groups) =>
        statement(() => {
          const written = groups.map((group) => {
            const same = group.every(({ key, version }) => rows.get(key)?.version === version);
            if (same)
              for (const row of group)
                rows.set(row.key, { ...structuredClone(row), version: row.version + 1 });
            return same;
          });
          const missed = groups.filter((_, i) => !written[i]).flatMap((group) => group.map(({ key }) => key));
          return { written, rows: found(missed), nowMs: keeperNow() };
        }),
      sweep: () => statement(() => {}),
    };
  };
  return { seenBy, rows, statements: () => statements };
}
