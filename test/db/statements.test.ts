import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { nameOf, statement, type Value } from '../../src/db/statements.ts';
import { databaseKinds, migratedPostgresUrl, postgresDatabase } from '../support/databases.ts';

const who = sql`current_user = 'integrations_tenant' as walled, current_setting('integrations.account_id', true) as account`;
const doubled = statement(
  (_, value: Value<{ numbers: readonly number[]; by: number }>) => sql<{ n: number }>`
    select (n * ${value('by')}::int) as n from unnest(${value('numbers')}::int[]) as n`,
);
const notes = statement(
  (_, value: Value<{ id: string }>) => sql<object>`select *, ${who} from notes where id = ${value('id')}`,
);
const keys = statement((db, value: Value<{ accountId: string }>) =>
  db.selectFrom('account_keys').select('id').where('account_id', '=', value('accountId')).limit(1),
);

describe.each(databaseKinds)('a statement that is built once, %s', (_kind, open) => {
  it('is run with other values each time, in transactions too', async () => {
    const database = await open();
    try {
      for (const db of [database.db, database.forAccount('a')]) {
        expect(await doubled(db, { numbers: [1, 2], by: 2 })).toEqual([{ n: 2 }, { n: 4 }]);
        expect(await doubled(db, { numbers: [], by: 2 })).toEqual([]);
        expect(await keys(db, { accountId: 'a' })).toEqual([]);
        const inside = db.transaction().execute((trx) => doubled(trx, { numbers: [5], by: 3 }));
        expect(await inside).toEqual([{ n: 15 }]);
      }
    } finally {
      await database.close();
    }
  });
});

describe.each([
  ['behind the wall', true],
  ['without the wall', false],
])('a statement that PostgreSQL keeps, %s', (_how, walled) => {
  let database: Database;
  beforeEach(async () => {
    database = await postgresDatabase({ poolSize: 1 });
    if (!walled && database.kind === 'postgres') {
      const { close, databaseUrl } = database;
      const own = await openDatabase({ databaseUrl, dataDir: '', poolSize: 1 });
      database = { ...own, close: () => own.close().then(close) };
    }
    await sql`create table notes (id text primary key)`.execute(database.db);
    await sql`insert into notes values ('00000000-0000-4000-8000-000000000001')`.execute(database.db);
    await sql`grant select, insert, update, delete on notes to integrations_tenant`.execute(database.db);
  });
  afterEach(() => database.close());

  const id = '00000000-0000-4000-8000-000000000001';
  const note = { id, walled, account: walled ? 'a' : null };
  const read = () => notes(database.forAccount('a'), { id });
  /** On the pool's one client. */
  const kept = async () => {
    const { rows } = await sql<{ name: string; plans: number }>`
      select name, generic_plans + custom_plans as plans from pg_prepared_statements`.execute(database.db);
    return rows;
  };
  const run = (text: string) => sql.raw(text).execute(database.db);

  it('is parsed once by a session, whatever the values and their number', async () => {
    const own = database.forAccount('a');
    for (const count of [1, 50, 500])
      await doubled(own, { numbers: Array.from({ length: count }, (_, i) => i), by: count });
    const names = await kept();
    expect(names).toHaveLength(walled ? 2 : 1);
    for (const { plans } of names) expect(Number(plans)).toBe(3);
  });

  it('is not named within a transaction, nor is what was not built once', async () => {
    const own = database.forAccount('a');
    await own.transaction().execute((trx) => notes(trx, { id }));
    expect(await kept()).toEqual([]);
    await sql`select id from notes where id = ${id}`.execute(own);
    expect(await kept()).toHaveLength(walled ? 1 : 0);
  });

  it.each(['discard all', 'deallocate all'])('is parsed anew after %s', async (forget) => {
    expect(await read()).toEqual([note]);
    await run(forget);
    expect(await read()).toEqual([note]);
    expect(await read()).toEqual([note]);
  });

  it.each([
    ['more columns', "alter table notes add column text text default 'new'", { text: 'new' }],
    ['fewer columns', 'alter table notes add column gone int; alter table notes drop column gone', {}],
    ['a column of another type', 'alter table notes alter column id type uuid using id::uuid', {}],
    ['another table', 'create table old (id text); insert into old select * from notes', {}],
  ])('is parsed anew for %s', async (_change, change, more) => {
    for (let i = 0; i < 7; i++) expect(await read()).toEqual([note]);
    await run(change);
    for (let i = 0; i < 7; i++) expect(await read()).toEqual([{ ...note, ...more }]);
  });

  it('is tried again once and no more', async () => {
    await read();
    await run('drop table notes');
    await expect(read()).rejects.toMatchObject({ code: '42P01' });
    await run(`create table notes (id int); insert into notes values (1)`);
    await run('grant select on notes to integrations_tenant');
    await expect(read()).rejects.toMatchObject({ code: '22P02' });
    await expect(notes(database.forAccount('a'), { id: '1' })).resolves.toMatchObject([{ id: 1 }]);
  });

  it('is parsed by the next session where the server hangs up on this one, or a cancel request is late', async () => {
    const end = statement(
      (_, value: Value<{ how: string }>) => sql`
        select case ${value('how')}::text when 'end' then pg_terminate_backend(pg_backend_pid())
          when 'cancel' then pg_cancel_backend(pg_backend_pid()) end, pg_sleep(0.01), ${who}`,
    );
    for (const how of ['cancel', 'end', 'cancel', 'end']) {
      expect(await end(database.forAccount('a'), { how: 'not' })).toHaveLength(1);
      await expect(end(database.forAccount('a'), { how })).rejects.toThrow(/./);
      // The pool may not have heard yet that the session is gone.
      expect(await read().catch(read)).toEqual([note]);
      const { rows } = await sql`select ${who}`.execute(database.db);
      expect(rows).toMatchObject([{ walled: false }]);
    }
  });

  it('leaves the session as it was where a value cannot be sent', async () => {
    const fault = {
      toPostgres() {
        throw new Error('no value');
      },
    };
    for (let i = 0; i < 2; i++) {
      await expect(notes(database.forAccount('a'), { id: fault as never })).rejects.toThrow('no value');
      expect(await read()).toEqual([note]);
    }
  });

  it('has one name in every version', () => {
    expect(nameOf('select 1')).toBe(nameOf('select 1'));
    expect(nameOf('select 1')).not.toBe(nameOf('select 2'));
    expect(nameOf('select 1').length).toBeLessThan(63);
  });
});

it('a statement is answered for whoever asks, behind a pooler that gives each transaction another session', async () => {
  const { url, drop } = await migratedPostgresUrl();
  const pooler = await openPooler(url);
  const database = await openDatabase({ databaseUrl: pooler.url, dataDir: '', poolSize: 2 });
  try {
    expect(await database.raiseWall()).toBe(true);
    const accounts = Array.from({ length: 100 }, (_, i) => `account ${i}`);
    await sql`insert into account_keys (account_id, id, master_key_id, sealed_key)
      select a, gen_random_uuid(), a, '\\x00' from unnest(${accounts}::text[]) a`.execute(database.db);
    // Forgets to name its account: only the wall tells them apart.
    const all = statement(
      (_, value: Value<{ n: number }>) => sql<{ account_id: string; n: number }>`
        select account_id, ${value('n')}::int as n from account_keys`,
    );
    const wrong: unknown[] = [];
    const reader = async (reading: number) => {
      for (let i = 0; i < 25; i++) {
        const accountId = accounts[(reading * 25 + i * 7) % 100]!;
        const rows = await all(database.forAccount(accountId), { n: i });
        if (rows.length !== 1 || rows[0]!.account_id !== accountId || rows[0]!.n !== i)
          wrong.push([accountId, rows]);
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, reading) => reader(reading)));
    expect(wrong).toEqual([]);
    // Which costs no second round trip once that has been noticed.
    const before = pooler.switches();
    expect(before).toBeGreaterThan(1_000);
    await Promise.all(accounts.map((accountId) => all(database.forAccount(accountId), { n: 0 })));
    expect(pooler.switches() - before).toBe(100);
  } finally {
    await database.close();
    await pooler.close();
    await drop();
  }
});

/**
 * Two sessions for each client, in turn for each transaction, as a PgBouncer does it that knows nothing of prepared
 * statements. What a client says until it is let in goes to both.
 */
async function openPooler(databaseUrl: string) {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let switches = 0;
  const server = createServer({ noDelay: true }, (client) => {
    let current = 0;
    let waiting = 2;
    const sessions = [0, 1].map((own) => {
      const session = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
      sockets.add(session);
      let rest = Buffer.alloc(0);
      session.on('data', (bytes: Buffer) => {
        rest = Buffer.concat([rest, bytes]);
        while (rest.length >= 5 && rest.length >= 1 + rest.readUInt32BE(1)) {
          const message = rest.subarray(0, 1 + rest.readUInt32BE(1));
          rest = rest.subarray(message.length);
          const isReady = message[0] === 90;
          if (isReady && waiting > 0) {
            // In one go, when both have let the client in.
            if (--waiting === 0) client.write(message);
          } else if (waiting === 0 || own === 0) client.write(message);
          if (isReady && waiting === 0 && message[5] === 73 && own === current) {
            current = 1 - current;
            switches++;
          }
        }
      });
      session.on('error', () => client.destroy());
      session.on('close', () => client.destroy());
      return session;
    });
    client.on('data', (bytes: Buffer) => {
      for (const session of waiting > 0 ? sessions : [sessions[current]!]) session.write(bytes);
    });
    client.on('error', () => undefined);
    client.on('close', () => sessions.forEach((session) => session.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = new URL(databaseUrl);
  own.port = String((server.address() as AddressInfo).port);
  return {
    url: own.href,
    switches: () => switches,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
