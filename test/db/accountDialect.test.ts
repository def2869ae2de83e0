import { randomUUID } from 'node:crypto';
import { createServer, connect, type AddressInfo } from 'node:net';
import { AbortedTransactionError, CamelCasePlugin, sql, type Kysely } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { postgresDatabase } from '../support/databases.ts';

const fault = () => {
  throw new Error('no value');
};
/** Every client of it answers for whatever was left on the one before. */
const poolSize = 1;
const backend = async (db: Kysely<Tables>) =>
  (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)).rows[0]!.pid;
const urlOf = (database: Database) => {
  if (database.kind !== 'postgres') throw new Error('Not PostgreSQL');
  return database.databaseUrl;
};

describe('a Kysely for one account', () => {
  let database: Database;
  const statements: string[] = [];
  beforeAll(async () => {
    database = await postgresDatabase({ poolSize, onQuery: (text) => void statements.push(text) });
    await sql`create table notes (id int primary key, twin int references notes deferrable initially deferred)`.execute(
      database.db,
    );
    await sql`grant select, insert, update, delete on notes to integrations_tenant`.execute(database.db);
  });
  afterAll(() => database.close());
  beforeEach(() => {
    statements.length = 0;
  });

  /** On the pool's one client: what a statement has left on it. */
  const leftBehind = async () => {
    const { rows } = await sql`
      select current_user = session_user as own, nullif(current_setting('integrations.account_id', true), '') as account,
        pg_current_xact_id_if_assigned() as transaction, (select count(*)::int from notes) as notes
      `.execute(database.db);
    return rows[0];
  };
  const clean = { own: true, account: null, transaction: null, notes: 0 };

  it('runs a statement as its role and account, and a transaction', async () => {
    const asked = sql`select current_user as role, current_setting('integrations.account_id') as account, 2::int8 as n`;
    const expected = [{ role: 'integrations_tenant', account: 'a', n: 2 }];
    const own = database.forAccount('a');
    expect((await asked.execute(own)).rows).toEqual(expected);
    expect((await own.transaction().execute((trx) => asked.execute(trx))).rows).toEqual(expected);
    expect(await leftBehind()).toEqual(clean);
  });

  it('counts what a statement changed', async () => {
    const own = database.forAccount('a');
    const insert = sql`insert into notes values (1), (2)`;
    expect((await insert.execute(own)).numAffectedRows).toBe(2n);
    expect((await sql`update notes set twin = id where id > ${5}`.execute(own)).numAffectedRows).toBe(0n);
    const merge = sql`merge into notes using (values (1), (2), (3)) as v (id) on notes.id = v.id
      when matched then update set twin = 1`;
    expect((await merge.execute(own)).numAffectedRows).toBe(2n);
    const removed = await own
      .transaction()
      .execute((trx) => sql`delete from notes returning id`.execute(trx));
    expect(removed).toMatchObject({ numAffectedRows: 2n, rows: [{ id: 1 }, { id: 2 }] });
    expect((await sql`select id from notes`.execute(own)).numAffectedRows).toBeUndefined();
  });

  it('takes one round trip for a statement, and one to begin a transaction', async () => {
    const line = await countTurns(urlOf(database));
    const through = await openDatabase({ databaseUrl: line.url, dataDir: '', poolSize });
    try {
      expect(await through.raiseWall()).toBe(true);
      const own = through.forAccount('a');
      const statement = () => sql`select id from notes where id = ${1}`.execute(own);
      expect(await line.turns(statement)).toBe(1);
      const transaction = () =>
        own.transaction().execute((trx) => sql`select id from notes where id = ${1}`.execute(trx));
      expect(await line.turns(transaction)).toBe(3);
    } finally {
      await through.close();
      await line.close();
    }
  });

  it('reports the statement and nothing of what is around it', async () => {
    const own = database.forAccount('a');
    await sql`select id from notes`.execute(own);
    await own.transaction().execute((trx) => sql`select twin from notes`.execute(trx));
    await expect(sql`select nonsense`.execute(own)).rejects.toThrow('"nonsense" does not exist');
    expect(statements).toEqual(['select id from notes', 'select twin from notes', 'select nonsense']);
  });

  it('says where a failed statement came from', async () => {
    const error = await sql`select 1 / 0`.execute(database.forAccount('a')).catch((failed: Error) => failed);
    expect(error).toMatchObject({ code: '22012', stack: expect.stringContaining('runAlone') as unknown });
  });

  it.each([
    ['fails', sql`insert into notes select 1 / 0`],
    ['cannot be understood', sql`insert into notes values (`],
    ['is two', sql.raw('insert into notes values (1); commit')],
    ['fails only at the commit', sql`insert into notes values (1, 2)`],
    ['has a value that cannot be sent', sql`insert into notes values (${{ toPostgres: () => fault() }})`],
    ['loses its server', sql`insert into notes select 1 where pg_terminate_backend(pg_backend_pid())`],
  ])('leaves nothing where a statement %s', async (_how, statement) => {
    await expect(statement.execute(database.forAccount('a'))).rejects.toThrow(/./);
    expect(await leftBehind()).toEqual(clean);
    const inside = database.forAccount('a').transaction();
    await expect(inside.execute((trx) => statement.execute(trx))).rejects.toThrow(/./);
    expect(await leftBehind()).toEqual(clean);
  });

  it('keeps no client that a statement has left in a transaction, and every other', async () => {
    const own = database.forAccount('a');
    const failing = sql`select 1 / 0`;
    const first = await backend(database.db);
    await sql`select 1`.execute(own);
    await failing.execute(own).catch(() => undefined);
    await own.transaction().execute((trx) => sql`select 1`.execute(trx));
    await own
      .transaction()
      .execute((trx) => failing.execute(trx))
      .catch(() => undefined);
    await own
      .transaction()
      .execute((trx) => failing.execute(trx).catch(() => undefined))
      .catch(() => undefined);
    expect(await backend(database.db)).toBe(first);
    await sql`begin`.execute(own);
    expect(await leftBehind()).toEqual(clean);
    expect(await backend(database.db)).not.toBe(first);
  });

  it('holds to the account what follows a transaction on the same client, too', async () => {
    const asked = sql`select current_user as role, current_setting('integrations.account_id') as account`;
    const insert = sql`insert into notes values (1)`;
    const own = database.forAccount('a');
    const seen = await own.connection().execute(async (one) => {
      await one.transaction().execute((trx) => asked.execute(trx));
      const committed = await asked.execute(one);
      const rolledBack = one.transaction().execute(async (trx) => {
        await insert.execute(trx);
        throw new Error('no');
      });
      await expect(rolledBack).rejects.toThrow('no');
      return [...committed.rows, ...(await asked.execute(one)).rows];
    });
    const held = { role: 'integrations_tenant', account: 'a' };
    expect(seen).toEqual([held, held]);
    expect(await leftBehind()).toEqual(clean);
  });

  it('gives up a transaction that went on after a statement failed', async () => {
    const transaction = database
      .forAccount('a')
      .transaction()
      .execute(async (trx) => {
        await sql`insert into notes values (1)`.execute(trx);
        await sql`select 1 / 0`.execute(trx).catch(() => undefined);
      });
    await expect(transaction).rejects.toThrow(AbortedTransactionError);
    expect(await leftBehind()).toEqual(clean);
  });

  it('tells why a transaction failed that has lost its server, too', async () => {
    const transaction = database
      .forAccount('a')
      .transaction()
      .execute(async (trx) => {
        await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx).catch(() => undefined);
        throw new Error('the reason');
      });
    await expect(transaction).rejects.toThrow('the reason');
    expect(await leftBehind()).toEqual(clean);
  });

  it('runs nothing for an account that PostgreSQL cannot hold', async () => {
    const own = database.forAccount('a\0b');
    const insert = sql`insert into notes values (1)`;
    await expect(insert.execute(own)).rejects.toThrow('invalid byte sequence');
    expect(await leftBehind()).toEqual(clean);
    await expect(own.transaction().execute((trx) => insert.execute(trx))).rejects.toThrow(/./);
    expect(await leftBehind()).toEqual(clean);
  });

  it('takes plugins', async () => {
    const own = database.forAccount('a').withPlugin(new CamelCasePlugin());
    expect((await sql`select 1 as one_thing`.execute(own)).rows).toEqual([{ oneThing: 1 }]);
  });

  it('refuses what it could not hold to the account', async () => {
    const own = database.forAccount('a');
    const stream = own.selectFrom('connections').selectAll().stream();
    await expect(stream.next()).rejects.toThrow('not streamed');
    const begin = own.transaction();
    for (const settings of [begin.setIsolationLevel('serializable'), begin.setAccessMode('read only')])
      await expect(settings.execute(() => Promise.resolve())).rejects.toThrow('no settings of their own');
    expect(await leftBehind()).toEqual(clean);
  });

  it('tells what tables there are, and ends nothing that others use', async () => {
    const own = database.forAccount('a');
    const tables = await own.introspection.getTables();
    expect(tables.map(({ name }) => name)).toContain('notes');
    const pid = await backend(own);
    await own.destroy();
    expect(await backend(database.forAccount('a'))).toBe(pid);
    expect(await leftBehind()).toEqual(clean);
  });

  it('runs nothing, and keeps its client, where its role has been taken away', async () => {
    const login = `login_${randomUUID().replaceAll('-', '')}`;
    const run = (text: string) => sql.raw(text).execute(database.db);
    await run(`create role ${login} login password 'x'; grant integrations_tenant to ${login}`);
    const url = Object.assign(new URL(urlOf(database)), { username: login, password: 'x' });
    const theirs = await openDatabase({ databaseUrl: url.href, dataDir: '', poolSize });
    try {
      expect(await theirs.raiseWall()).toBe(true);
      await run(`grant all on notes to ${login}`);
      await run(`revoke integrations_tenant from ${login}`);
      const pid = await backend(theirs.db);
      const own = theirs.forAccount('a');
      const insert = sql`insert into notes values (1)`;
      const denied = { code: '42501' };
      await expect(insert.execute(own)).rejects.toMatchObject(denied);
      await expect(own.transaction().execute((trx) => insert.execute(trx))).rejects.toMatchObject(denied);
      expect(await backend(theirs.db)).toBe(pid);
      expect(await leftBehind()).toEqual(clean);
    } finally {
      await theirs.close();
      await run(`drop owned by ${login}; drop role ${login}`);
    }
  });
});

/** A line to the server that counts how often the client speaks after the server has. */
async function countTurns(databaseUrl: string) {
  const target = new URL(databaseUrl);
  let turns = 0;
  let clientSpoke = false;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    client.on('data', (bytes) => {
      if (!clientSpoke) turns++;
      clientSpoke = true;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      clientSpoke = false;
      client.write(bytes);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = new URL(databaseUrl);
  own.port = String((server.address() as AddressInfo).port);
  return {
    url: own.href,
    async turns(work: () => Promise<unknown>): Promise<number> {
      turns = 0;
      await work();
      return turns;
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
