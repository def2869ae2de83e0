import type { PGlite, Transaction } from '@electric-sql/pglite';
import { placesIn, withoutEach } from './conditions.ts';

/** Whose statements are tried. */
export const account = 'acme';
/** Has the same rows under the same ids, for as long as a trial takes. */
const twin = 'acme’s twin';

export interface Findings {
  /** The conditions of the statements that were sent, by their place. */
  reached: Set<string>;
  /** Those without which a trial is failed. */
  needed: Set<string>;
  /** Statements that fail it as they are. */
  leaks: Set<string>;
}

/** Of one statement while a condition of it is not known to be needed. */
const mostTrials = 5;
/** One that finds nothing proves little. */
const effortForNothing = 0.1;
/** The twin is as the account is, or as it was or will be. */
const hoursApart = [0, -1, 1];

/** A state, a lease or an address is looked for whosever it is; what is due, or too old, in all accounts. */
const forAllAccounts = [
  /^update "oauth_authorizations" set "consumed_at" = \$1 where "state_hash" = /,
  /^update (sync_rounds|delivery_queues) set lease_until = .* where lease_owner = any\(/,
  /^select c\.account_id, c\.id as connection_id, .* where c\.id = any\(/,
  // Of a company that several accounts may have connected, each is told.
  /^with given as \(select \* from unnest\(/,
  /^select "id" from "connections" where "integration_id" = \$1 and "external_id" = \$2 /,
  /^with due as materialized \(select .* for update skip locked \) update (sync_rounds|delivery_queues) \w set lease_owner = /,
  /^with "due" as materialized \(select .* for update skip locked\) update "oauth_tokens" set "lease_owner" = /,
  /^with "due" as materialized \(select .* for update skip locked\) update "connections" set "probe_at" = /,
  /^select "account_id", "state_hash" from "oauth_authorizations" where "grant_encrypted" is not null /,
  /^select account_id, id from connections where status = 'DISCONNECTED' /,
  /^delete from sync_events where \(account_id, sequence\) in \(select /,
  // The master key is nobody's.
  /^select "account_id" as "accountId", "id", "master_key_id" as .* where "master_key_id" in /,
  /^select "master_key_id", count\(\*\) as "count" from "account_keys" group by /,
];
const plain = (text: string) =>
  text
    .replaceAll(/\/\*.*?\*\//g, '')
    .replaceAll(/--.*/g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('( ', '(')
    .trim();
const isForAll = (text: string) => forAllAccounts.some((shape) => shape.test(plain(text)));

/** What a statement makes up itself is the same each time, and which of two rows it takes is no matter of chance. */
const predictable = (text: string) =>
  text
    .replaceAll(/\blimit 1\b/g, 'limit 2')
    .replaceAll('clock_timestamp()', 'now()')
    .replaceAll('gen_random_uuid()', `'00000000-0000-4000-8000-000000000000'::uuid`)
    .replaceAll('random()', '0.5');

type Run = Pick<Transaction, 'query' | 'exec'>;

/**
 * Before each statement it is tried, and nothing of the trial stays: it must answer and do the same whether or not another
 * account has the same rows under the same ids, and must leave those alone, unless it is one for all accounts. Then the
 * same is asked of it without each of its account conditions, one at a time: of each, some trial must be failed.
 */
export async function tryEveryStatement(pglite: PGlite): Promise<Findings> {
  const findings: Findings = { reached: new Set(), needed: new Set(), leaks: new Set() };
  // Ids that are unique among all accounts would keep the twin from having them.
  await pglite.exec(`alter table oauth_authorizations drop constraint oauth_authorizations_pkey;
    alter table webhook_deliveries drop constraint webhook_deliveries_pkey;`);
  const { rows: tables } = await pglite.query<{
    name: string;
    columns: { name: string; isTime: boolean }[];
  }>(`
    select c.table_name as name,
      json_agg(json_build_object('name', quote_ident(c.column_name), 'isTime', c.data_type like 'timestamp%')) as columns
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.column_name <> 'account_id'
      and exists (select from information_schema.columns a where a.table_schema = 'public'
        and a.table_name = c.table_name and a.column_name = 'account_id')
    group by 1`);
  /** Those that a statement names; deleting a connection deletes of others too, but of the same account. */
  const tablesIn = (text: string) => tables.filter(({ name }) => new RegExp(`\\b${name}\\b`).test(text));
  const copy = (named: typeof tables, hours: number) =>
    named
      .map(({ name: table, columns }) => {
        const names = columns.map(({ name }) => name).join(', ');
        const values = columns.map(({ name, isTime }) => {
          if (hours === 0) return name;
          if (name === 'sequence') return `sequence + ${hours}`;
          if (isTime) return `${name} + interval '${hours} hours'`;
          return table === 'sync_statuses' && name === 'state' ? `'IDLE'` : name;
        });
        return `insert into ${table} (account_id, ${names})
          select '${twin}', ${values.join(', ')} from ${table} where account_id = '${account}';`;
      })
      .join('\n');
  const left = async (run: Run, named: typeof tables) => {
    const rows = named.map(({ name }) => `select t::text as row from ${name} t where account_id = '${twin}'`);
    const sum = `select count(*), sum(hashtextextended(row, 0)) from (${rows.join(' union all ')}) r`;
    return JSON.stringify((await run.query(sum)).rows);
  };

  const tried = new Map<string, number>();
  const trial = async (run: Run, sent: string, values: readonly unknown[]) => {
    const text = predictable(sent);
    const named = tablesIn(text);
    const removals = () => withoutEach(text).filter(({ place }) => !findings.needed.has(place));
    const effort = tried.get(text) ?? 0;
    if (effort >= (removals().length === 0 ? 1 : mostTrials)) return;

    /** What it answers, and what it leaves of the twin; nothing else stays of it. */
    const outcome = async (statement: string): Promise<string> => {
      await run.exec('savepoint statement');
      try {
        const { rows, affectedRows } = await run.query(statement, [...values], { rowMode: 'object' });
        const answer = rows.map((row) => JSON.stringify(row)).toSorted();
        return JSON.stringify([affectedRows, answer]) + (await left(run, named));
      } catch (error) {
        // A class of its own: the statement is wrong, so nothing is known of its condition.
        if ((error as { code?: string }).code?.startsWith('42'))
          findings.leaks.add(`${String(error)}: ${plain(statement)}`);
        return String(error);
      } finally {
        await run.exec('rollback to savepoint statement; release savepoint statement');
      }
    };
    const nobody = await left(run, named);
    const alone = await outcome(text);
    if (alone !== (await outcome(text))) findings.leaks.add(`not the same twice: ${plain(text)}`);
    tried.set(text, effort + (/^\[0?,?\[\]\]/.test(alone) ? effortForNothing : 1));
    for (const hours of hoursApart) {
      await run.exec(`savepoint trial; set local session_replication_role = replica;
        ${copy(named, hours)} set local session_replication_role = origin;`);
      const beside = await outcome(text);
      const hasLeaked = beside !== alone.replace(nobody, () => '') + (await left(run, named));
      if (hasLeaked && !isForAll(text)) findings.leaks.add(plain(text));
      for (const { place, without } of removals())
        if (!isForAll(without) && (await outcome(without)) !== beside) findings.needed.add(place);
      await run.exec('rollback to savepoint trial; release savepoint trial');
      if (removals().length === 0) break;
    }
  };

  const query = pglite.query.bind(pglite);
  const transaction = pglite.transaction.bind(pglite);
  const nothing = new Error('Only a trial.');
  const hooked =
    (send: Run['query'], within: (work: (run: Run) => Promise<void>) => Promise<void>): Run['query'] =>
    async (text, values, options) => {
      for (const place of placesIn(text)) findings.reached.add(place);
      if (tablesIn(text).length > 0) await within((run) => trial(run, text, values as unknown[]));
      return send(text, values, options);
    };
  pglite.query = hooked(query, async (work) => {
    await transaction(async (run) => {
      await work(run);
      throw nothing;
    }).catch((error: unknown) => {
      if (error !== nothing) throw error;
    });
  });
  pglite.transaction = (work) =>
    transaction((run) => {
      const own: Run = { query: run.query.bind(run), exec: run.exec.bind(run) };
      run.query = hooked(own.query, (trying) => trying(own)) as typeof run.query;
      return work(run);
    });
  return findings;
}
