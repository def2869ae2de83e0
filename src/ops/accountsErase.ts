import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Tables } from '../db/tables.ts';
import { lockDataKeys } from '../oauth/keyRotation.ts';
import { counted, shown, type Call, type Command } from './command.ts';
import { requireSameSchema } from './schema.ts';

const batchSize = 1_000;
/** A process that still works for the account makes new rows: to go on for ever would not help. */
const mostRounds = 3;

export const accountsErase: Command = {
  verb: ['accounts', 'erase'],
  operands: ['<accountId>'],
  options: { yes: { type: 'boolean', says: 'really; without it the verb only says what it would delete' } },
  summary: 'Deletes everything that is stored of an account, its data keys first.',
  details: `Without its data keys no sealed value of the account opens, wherever a copy of one lies. A backup that has
the keys as well opens until it is deleted, or until the master key that seals them is gone: keys rotate, and
then drop the old one.

Nothing is revoked at the providers: disconnect first, by the mutation of that name, and let it finish. There is
no way back. Killed at any moment it can be run again.`,
  async run({ operands, options, open, print }) {
    const accountId = operands[0]!;
    const { db } = await open();
    await requireSameSchema(db);
    const name = shown(accountId);
    const counts = await countRows(db, accountId);
    if (options['yes'] !== true) {
      if (counts.length === 0) await print(`Nothing is stored of the account ${name}.`);
      else {
        await print(`Of the account ${name} this would delete:`);
        await printCounts(print, counts);
        await warnOfGrants(db, accountId, print);
        await print('Nothing was deleted. Repeat it with --yes.');
      }
      return 1;
    }
    if (counts.length === 0) {
      await print(`Nothing is stored of the account ${name}.`);
      return 0;
    }
    await warnOfGrants(db, accountId, print);
    for (let round = 0; round < mostRounds; round++) {
      for (const table of await tablesOfAccounts(db)) await deleteRows(db, table, accountId);
      const left = await countRows(db, accountId);
      if (left.length === 0) {
        await print(`Deleted of the account ${name}:`);
        await printCounts(print, counts);
        return 0;
      }
    }
    await print(
      `FAIL  new rows of the account ${name} keep coming: some process still works for it. Stop that, and run this again`,
    );
    return 1;
  },
};

interface AccountTable {
  name: string;
  /** What names the account in it. */
  column: RawBuilder<unknown>;
}

const jobs: AccountTable = { name: 'pgboss.job', column: sql`data->>'accountId'` };

/** The keys first, so that everything is unreadable from the first moment; what others refer to last. */
async function tablesOfAccounts(db: Kysely<Tables>): Promise<AccountTable[]> {
  const { rows } = await sql<{ name: string }>`
    select c.table_name as name from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = current_schema() and c.column_name = 'account_id' and t.table_type = 'BASE TABLE'
    order by c.table_name <> 'account_keys', c.table_name in ('connections', 'event_sequences'), c.table_name`.execute(
    db,
  );
  const tables = rows.map(({ name }) => ({ name, column: sql.ref('account_id') }));
  const { rows: queue } = await sql<{ there: boolean }>`
    select to_regclass('pgboss.job') is not null as there`.execute(db);
  return queue[0]!.there ? [...tables, jobs] : tables;
}

/** Without the tables that have none. */
async function countRows(db: Kysely<Tables>, accountId: string): Promise<{ name: string; count: number }[]> {
  const counts = [];
  for (const { name, column } of await tablesOfAccounts(db)) {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from ${sql.table(name)} where ${column} = ${accountId}`.execute(db);
    counts.push({ name, count: rows[0]!.count });
  }
  return counts.filter(({ count }) => count > 0);
}

async function deleteRows(
  db: Kysely<Tables>,
  { name, column }: AccountTable,
  accountId: string,
): Promise<void> {
  if (name === 'account_keys')
    return db.transaction().execute(async (trx) => {
      await lockDataKeys(trx);
      await trx.deleteFrom('account_keys').where('account_id', '=', accountId).execute();
    });
  const table = sql.table(name);
  // Its partitions share no `ctid`, and an account has few.
  if (name === jobs.name)
    return void (await sql`delete from ${table} where ${column} = ${accountId}`.execute(db));
  for (let deleted = batchSize; deleted === batchSize;) {
    const { rows } = await sql`
      delete from ${table} where ctid = any(array(
        select ctid from ${table} where ${column} = ${accountId} limit ${batchSize}))
      returning 1`.execute(db);
    deleted = rows.length;
  }
}

async function printCounts(
  print: Call['print'],
  counts: readonly { name: string; count: number }[],
): Promise<void> {
  for (const { name, count } of counts) await print(`  ${name.padEnd(22)} ${count}`);
}

async function warnOfGrants(db: Kysely<Tables>, accountId: string, print: Call['print']): Promise<void> {
  const live = await db
    .selectFrom('connections')
    .select(['id', 'integration_id', 'external_id', 'status'])
    .where('account_id', '=', accountId)
    .where('status', '<>', 'DISCONNECTED')
    .orderBy('integration_id')
    .execute();
  if (live.length > 0) {
    await print(
      `Grants at providers are not revoked by this: disconnect first. ${counted(live.length, 'connection')} of the account ` +
        `${live.length === 1 ? 'is' : 'are'} live:`,
    );
    for (const row of live)
      await print(
        `  ${row.integration_id}  ${row.id}  ${row.status}${row.external_id === null ? '' : `  ${shown(row.external_id)}`}`,
      );
  }
  const { count } = await db
    .selectFrom('token_revocations')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .executeTakeFirstOrThrow();
  if (count > 0)
    await print(
      `${counted(count, 'grant')} of connections that ended still ${count === 1 ? 'waits' : 'wait'} to be revoked, and ` +
        `will not be any more.`,
    );
}
