import { sql, type Kysely } from 'kysely';
import type { Tables } from '../db/tables.ts';
import type { WindowState } from './window.ts';

/** A bucket as all processes see it. */
export interface SharedState extends WindowState {
  /** When it was written, by the keeper's clock, on which all its times are. */
  atMs: number;
  /** Who asked for calls lately, when, and how urgent (0 the most) those are that still wait. */
  asked: Record<string, [atMs: number, level: number]>;
  /** When it says nothing any longer that a new row would not. */
  freeAtMs: number;
}

export interface BudgetRow {
  key: string;
  version: number;
  state: SharedState;
}

/** Rows that change together or not at all. */
export type RowGroup = readonly BudgetRow[];

export interface Exchanged {
  /** For each group, whether it was written; it was not when somebody else wrote one of its rows since it was read. */
  written: boolean[];
  /** The present rows of the groups that were not. A row that is missing has gone. */
  rows: BudgetRow[];
  nowMs: number;
}

/** Where the processes keep their common budgets, and whose clock they go by. */
export interface BudgetRows {
  /** The rows, made where there were none. */
  open(keys: readonly string[]): Promise<{ rows: BudgetRow[]; nowMs: number }>;
  /** The rows that there are. */
  read(keys: readonly string[]): Promise<{ rows: BudgetRow[]; nowMs: number }>;
  /** Writes each group whose rows all still have the version that they name, and tells all processes of the `loud` ones. */
  exchange(groups: readonly RowGroup[], loud: readonly string[]): Promise<Exchanged>;
  /** Forgets what nobody has used for an hour and is wholly free. */
  sweep(): Promise<void>;
}

/** The payload is the key of a bucket that was paused. */
export const budgetChannel = 'rate_budgets';

export const noCalls: SharedState = {
  arrived: [],
  leased: {},
  paceMs: 0,
  aheadMs: 0,
  pausedMs: 0,
  atMs: 0,
  asked: {},
  freeAtMs: 0,
};

const now = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::float8`;

/**
 * In PostgreSQL. Each method is one statement that ends its own transaction: no lock outlives it, so a process that is
 * stopped between two of them holds nobody up.
 */
export function createBudgetRows(db: Kysely<Tables>): BudgetRows {
  const rowsAndTime = async (query: ReturnType<typeof sql<{ rows: BudgetRow[] | null; nowMs: number }>>) => {
    const { rows, nowMs } = (await query.execute(db)).rows[0]!;
    return { rows: rows ?? [], nowMs };
  };
  const asRow = sql`jsonb_build_object('key', key, 'version', version, 'state', state)`;

  return {
    open: (keys) =>
      rowsAndTime(sql`
        with made as (
          insert into rate_budgets (key, state)
          -- In one order for all, or two who make the same rows wait for each other.
          select key, ${JSON.stringify(noCalls)}::jsonb from unnest(${keys}::text[]) as key order by key
          on conflict (key) do nothing
          returning key, version, state
        ), known as (
          select key, version, state from made
          union all
          select key, version, state from rate_budgets where key = any(${keys}::text[])
        )
        select (select jsonb_agg(${asRow}) from known) as rows, ${now} as "nowMs"`),

    read: (keys) =>
      rowsAndTime(sql`
        select jsonb_agg(${asRow}) as rows, ${now} as "nowMs"
        from rate_budgets where key = any(${keys}::text[])`),

    async exchange(groups, loud) {
      const wanted = JSON.stringify(
        groups.flatMap((rows, group) => rows.map((row) => ({ ...row, group, size: rows.length }))),
      );
      const result = await sql<{ written: number[]; rows: BudgetRow[] | null; nowMs: number }>`
        with wanted as materialized (
          select * from jsonb_to_recordset(${wanted}::jsonb)
            as (key text, version bigint, state jsonb, "group" integer, size integer)
        ), held as (
          select w."group", w.size from rate_budgets b
          join wanted w on w.key = b.key and w.version = b.version
          order by b.key
          for update of b
        ), whole as (
          select "group" from held group by "group" having count(*) = max(size)
        ), written as (
          update rate_budgets b set version = b.version + 1, state = w.state, used_at = now()
          from wanted w
          where w.key = b.key and w."group" in (select "group" from whole)
          returning w."group", w.key
        ), announced as (
          select pg_notify(${budgetChannel}, key) from written where key = any(${loud}::text[])
        )
        select
          (select count(*) from announced) as announced,
          coalesce((select array_agg(distinct "group") from written), '{}') as written,
          (select jsonb_agg(jsonb_build_object('key', b.key, 'version', b.version, 'state', b.state))
            from rate_budgets b join wanted w on w.key = b.key
            where w."group" not in (select "group" from written)) as rows,
          ${now} as "nowMs"`.execute(db);
      const { written, rows, nowMs } = result.rows[0]!;
      return { written: groups.map((_, group) => written.includes(group)), rows: rows ?? [], nowMs };
    },

    async sweep() {
      await sql`
        delete from rate_budgets
        where used_at < now() - interval '1 hour' and coalesce((state->>'freeAtMs')::float8, 0) < ${now}`.execute(
        db,
      );
    },
  };
}
