import { randomUUID } from 'node:crypto';
import { sql, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { systemClock as clock } from '../../src/clock.ts';
import { findConnections } from '../../src/connections/connection.ts';
import { openDatabase, type Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';
import { alternate } from './rounds.ts';

const poolSize = 4;
/** Two for each client of the pool: none of them is idle while an answer is worked on. */
const readers = 2 * poolSize;
const accounts = 200;

export const reads: Bench = {
  name: 'reads',
  title: 'reads of 50 connections, built each time, named, and through the second wall',
  usesDatabase: true,
  async run({ databaseUrl, report }) {
    const found = await inOwnProcess(import.meta.url, readInEveryWay, { databaseUrl });
    const reference = { name: 'pg, named statement', value: found.pg.perSecond };
    const row = (metric: string, value: number, atLeast?: number) => {
      report({ ...{ metric, value, unit: '/s' }, reference });
      const ratio = { metric: `${metric}, by pg`, value: value / reference.value, unit: 'ratio' };
      report({ ...ratio, ...(atLeast !== undefined && { goal: { atLeast } }) });
    };
    row('50 connections, repository', found.ours.perSecond, 0.9);
    row('50 connections, repository, second wall', found.walled.perSecond, 0.9);
    row('50 connections, Kysely built each time', found.kysely.perSecond);
    row('50 connections, pg without a name', found.unnamed.perSecond);
    const time = (metric: string, { threadUs }: { threadUs: number }) =>
      report({
        ...{ metric: `${metric}, this thread's time`, value: threadUs, unit: 'us' },
        reference: { ...reference, value: found.pg.threadUs },
      });
    time('50 connections, repository', found.ours);
    time('50 connections, repository, second wall', found.walled);
    time('50 connections, Kysely built each time', found.kysely);
  },
};

/** All with pools of one size, on the same rows, with the same readers. */
export async function readInEveryWay({ databaseUrl }: { databaseUrl: string }) {
  const open = () => openDatabase({ databaseUrl, dataDir: '', poolSize });
  const [unwalled, walled] = await Promise.all([open(), open()]);
  if (!(await walled.raiseWall())) throw new Error('The second wall does not stand.');
  const { accountId, ids } = await fill(walled);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: poolSize });
  const kysely = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: databaseUrl, max: poolSize }) }),
  });
  const text = connectionsOf(kysely, accountId, ids).compile().sql;
  const values = [accountId, ids];
  const through = ({ forAccount }: Database) => findConnections(forAccount(accountId), clock, accountId, ids);
  const found = await alternate(
    {
      pg: () => rate(async () => (await pool.query({ name: 'connections', text, values })).rows.length),
      unnamed: () => rate(async () => (await pool.query({ text, values })).rows.length),
      kysely: () => rate(async () => (await connectionsOf(kysely, accountId, ids).execute()).length),
      ours: () => rate(async () => (await through(unwalled)).size),
      walled: () => rate(async () => (await through(walled)).size),
    },
    { rounds: 9, warmUp: 2 },
  );
  await Promise.all([pool.end(), kysely.destroy(), unwalled.close(), walled.close()]);
  return found;
}

/** The thread's time is what a process of ours has least of, and a busy machine does not change it. */
async function rate(read: () => Promise<number>): Promise<{ perSecond: number; threadUs: number }> {
  const startedAt = performance.now();
  const before = process.threadCpuUsage();
  let count = 0;
  const reader = async () => {
    for (; performance.now() - startedAt < 500; count++)
      if ((await read()) !== 50) throw new Error('not the 50 connections');
  };
  await Promise.all(Array.from({ length: readers }, reader));
  const { user, system } = process.threadCpuUsage(before);
  return {
    perSecond: count / ((performance.now() - startedAt) / 1_000),
    threadUs: (user + system) / count,
  };
}

/** What `findConnections` reads, as one would write it. */
const connectionsOf = (db: Kysely<Tables>, accountId: string, ids: readonly string[]) =>
  db
    .selectFrom('connections as c')
    .leftJoin('oauth_tokens as t', (join) =>
      join.onRef('t.account_id', '=', 'c.account_id').onRef('t.connection_id', '=', 'c.id'),
    )
    .select(['c.account_id', 'c.id', 'c.integration_id', 'c.status', 'c.external_id', 'c.scopes'])
    .select(['c.problem', 'c.generation', 'c.authorize_by', 'c.created_at', 'c.connected_at'])
    .select(['c.disconnected_at', 'c.checked_at', 't.expires_at', 't.issued_at', 't.refresh_due_at'])
    .select(['t.refresh_token_expires_at', 't.refresh_problem', 't.refresh_retry_at'])
    .where('c.account_id', '=', accountId)
    .where('c.id', '=', sql<string>`any(${ids}::uuid[])`);

/** Connected accounts, of which one is read. */
async function fill({ db }: Database): Promise<{ accountId: string; ids: string[] }> {
  const run = randomUUID();
  await sql`
    insert into connections (account_id, id, integration_id, status, external_id, scopes, generation, connected_at)
    select ${run} || a, gen_random_uuid(), 'integration ' || i, 'ACTIVE', i::text, '{one,two}', 1, now()
    from generate_series(1, ${accounts}::int) a, generate_series(1, 50) i`.execute(db);
  await sql`
    insert into oauth_tokens (account_id, connection_id, provider, access_token_encrypted, issued_at, expires_at,
      refresh_due_at, scopes)
    select account_id, id, integration_id, '\\x00', now(), now() + interval '1 hour', now() + interval '48 minutes', '{}'
    from connections where account_id like ${`${run}%`}`.execute(db);
  await sql`analyze connections, oauth_tokens`.execute(db);
  const accountId = `${run}1`;
  const rows = await db.selectFrom('connections').select('id').where('account_id', '=', accountId).execute();
  return { accountId, ids: rows.map((row) => row.id) };
}
