import { randomUUID } from 'node:crypto';
import { sql, type Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { openJobs, untilDone } from '../../src/db/jobs.ts';
import { migrate } from '../../src/db/migrate.ts';
import { cureOfNoWall, currentUser, wallStands } from '../../src/db/secondWall.ts';
import { statement } from '../../src/db/statements.ts';
import type { Tables } from '../../src/db/tables.ts';
import { emptyPostgresUrl, postgresDatabase } from '../support/databases.ts';

const now = new Date('2026-11-23T12:00:00Z');

/** A row of every table that has an account, for `accountId`. */
async function fill(db: Kysely<Tables>, accountId: string): Promise<void> {
  const id = randomUUID();
  const ref = { account_id: accountId, connection_id: id };
  const secret = Buffer.from('sealed');
  await db
    .insertInto('connections')
    .values({ account_id: accountId, id, integration_id: 'x', status: 'ACTIVE' })
    .execute();
  await db
    .insertInto('account_keys')
    .values({ account_id: accountId, id, master_key_id: 'k', sealed_key: secret })
    .execute();
  await db
    .insertInto('oauth_authorizations')
    .values({
      ...{ ...ref, state_hash: Buffer.from(id), integration_id: 'x', redirect_uri: 'y', scopes: [] },
      expires_at: now,
    })
    .execute();
  await db
    .insertInto('oauth_tokens')
    .values({ ...ref, provider: 'x', access_token_encrypted: secret, issued_at: now, scopes: [] })
    .execute();
  await db
    .insertInto('token_revocations')
    .values({ ...ref, id, integration_id: 'x', token_encrypted: secret })
    .execute();
  await db
    .insertInto('webhook_secrets')
    .values({ ...ref, id, secret_encrypted: secret })
    .execute();
  await db
    .insertInto('sync_statuses')
    .values({ ...ref, resource: 'r' })
    .execute();
  await db
    .insertInto('external_records')
    .values({ ...ref, resource: 'r', external_id: '1', fetched_at: now })
    .execute();
  await db.insertInto('event_sequences').values({ account_id: accountId, last_sequence: 1 }).execute();
  await db
    .insertInto('sync_events')
    .values({
      ...{ ...ref, id, sequence: 1, kind: 'k', source: 's', integration_id: 'x', generation: 1 },
      occurred_at: now,
    })
    .execute();
  await db
    .insertInto('webhook_deliveries')
    .values({ ...ref, id, integration_id: 'x', event_id: id, notice: JSON.stringify({ kind: 'missed' }) })
    .execute();
  await db
    .insertInto('delivery_queues')
    .values({ ...ref, due_at: now })
    .execute();
  await db
    .insertInto('sync_rounds')
    .values({ ...ref, resource: 'r' })
    .execute();
}

describe('the second wall', () => {
  let database: Database;
  const asked: string[] = [];
  beforeEach(async () => {
    database = await postgresDatabase({ poolSize: 2, onQuery: (text) => void asked.push(text.trimStart()) });
  });
  afterEach(() => database.close());

  const tables = async () => {
    const { rows } = await sql<{ name: keyof Tables }>`
      select table_name as name from information_schema.columns
      where table_schema = current_schema() and column_name = 'account_id'`.execute(database.db);
    return rows.map((row) => row.name);
  };
  const seen = async (db: Kysely<Tables>, table: string) =>
    (await sql<{ account_id: string }>`select account_id from ${sql.table(table)}`.execute(db)).rows;

  it('shows an account its own rows in every table that has accounts, to statements that do not ask whose', async () => {
    await fill(database.db, 'a');
    await fill(database.db, 'b');
    const found = await tables();
    expect(found.length).toBeGreaterThan(10);
    for (const table of found) {
      expect(await seen(database.db, table)).toHaveLength(2);
      expect(await seen(database.forAccount('b'), table)).toEqual([{ account_id: 'b' }]);
      expect(await seen(database.forAccount('c'), table)).toEqual([]);
      expect(await seen(database.forAccount(''), table)).toEqual([]);
    }
  });

  it('lets nobody write, change or delete what is another account’s', async () => {
    await fill(database.db, 'a');
    const other = database.forAccount('b');
    await expect(fill(other, 'a')).rejects.toThrow(/row-level security/);
    for (const table of await tables()) {
      const update = sql`update ${sql.table(table)} set account_id = 'b'`;
      expect(Number((await update.execute(other)).numAffectedRows)).toBe(0);
      const removed = sql`delete from ${sql.table(table)}`;
      expect(Number((await removed.execute(other)).numAffectedRows)).toBe(0);
      expect(await seen(database.db, table)).toEqual([{ account_id: 'a' }]);
    }
    // Nor can it give away its own.
    await fill(other, 'b');
    await expect(sql`update event_sequences set account_id = 'a2'`.execute(other)).rejects.toThrow(
      /row-level/,
    );
  });

  it('shows nothing where no account was named, nor where one was named before', async () => {
    for (const accountId of ['a', '']) await fill(database.db, accountId);
    const all = await tables();
    const nameless = (account: string | null) =>
      database.db.transaction().execute(async (trx) => {
        await sql`set local role integrations_tenant`.execute(trx);
        const { rows } = await sql<{ account: string | null }>`
          select current_setting('integrations.account_id', true) as account`.execute(trx);
        expect(rows).toEqual([{ account }]);
        for (const table of all) expect(await seen(trx, table)).toEqual([]);
      });
    await Promise.all([nameless(null), nameless(null)]);
    await Promise.all([1, 2].map(() => seen(database.forAccount('a'), 'connections')));
    await nameless('');
  });

  it('is only looked at where it stands, however often it is raised', async () => {
    asked.length = 0;
    expect(await database.raiseWall()).toBe(true);
    const looks = expect.stringMatching(/^select /) as unknown;
    expect(asked).toEqual([looks, looks]);
  });

  it('is at nothing that has no account', async () => {
    for (const table of ['rate_budgets', 'kysely_migration'])
      await expect(sql`select * from ${sql.table(table)}`.execute(database.forAccount('a'))).rejects.toThrow(
        'permission denied',
      );
  });

  it.each([
    "o'neil",
    'a\\',
    "'; drop table connections; --",
    '$$',
    'líne\nbreak',
    '\u{1F69A}',
    'x'.repeat(10_000),
  ])('takes any account id as text: %s', async (accountId) => {
    await fill(database.forAccount(accountId), accountId);
    expect(await seen(database.forAccount(accountId), 'connections')).toEqual([{ account_id: accountId }]);
  });

  it('mixes up nobody where many share two clients', async () => {
    const accounts = Array.from({ length: 100 }, (_, i) => `account ${i}`);
    await Promise.all(accounts.map((accountId) => fill(database.forAccount(accountId), accountId)));
    const wrong: unknown[] = [];
    // Forgets to name its account.
    const kept = statement(() => sql<{ account_id: string }>`select account_id from oauth_tokens`);
    const ways: ((own: Kysely<Tables>) => Promise<{ account_id: string }[]>)[] = [
      (own) => seen(own, 'oauth_tokens'),
      (own) => own.transaction().execute((trx) => seen(trx, 'oauth_tokens')),
      (own) => kept(own, {}),
      (own) => own.transaction().execute((trx) => kept(trx, {})),
    ];
    const reader = async (place: number) => {
      for (let i = 0; i < 20; i++) {
        const accountId = accounts[(place + i * 7) % 100]!;
        const rows = await ways[(place + i) % 4]!(database.forAccount(accountId));
        if (rows.length !== 1 || rows[0]!.account_id !== accountId) wrong.push([accountId, rows]);
      }
    };
    await Promise.all(accounts.map((_, place) => reader(place)));
    expect(wrong).toEqual([]);
  });

  it('leaves nothing behind on a client, whatever went wrong', async () => {
    const own = database.forAccount('a');
    const user = async () => {
      const { rows } = await sql`
        select current_user = session_user as login, current_setting('integrations.account_id', true) as account
        `.execute(database.db);
      return rows[0];
    };
    const clean = { login: true, account: expect.toBeOneOf([null, '']) as unknown };
    for (const wrong of [
      () => sql`select 1/0`.execute(own),
      () => own.transaction().execute((trx) => sql`select 1/0`.execute(trx)),
      () => own.transaction().execute(() => Promise.reject(new Error('no'))),
      () => sql`select pg_terminate_backend(pg_backend_pid())`.execute(own),
      () =>
        own.transaction().execute((trx) => sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx)),
    ]) {
      await Promise.all([1, 2].map(() => expect(wrong()).rejects.toThrow(/./)));
      for (let i = 0; i < 4; i++) expect(await user()).toEqual(clean);
      await fill(own, 'a').catch(() => undefined);
      expect(await seen(database.forAccount('b'), 'connections')).toEqual([]);
    }
  });

  it('lets an account’s transactions send jobs and wake other processes', async () => {
    const queue = { ...untilDone, notify: true };
    const jobs = await openJobs(database, { queues: { queue }, onError: () => undefined });
    const ran: object[] = [];
    await jobs.work('queue', { concurrency: 1 }, async (data: object) => void ran.push(data));
    await database
      .forAccount('a')
      .transaction()
      .execute(async (trx) => {
        await jobs.send(trx, 'queue', { of: 'a' });
        await sql`select pg_notify('somebody', 'x')`.execute(trx);
      });
    await expect.poll(() => ran, { timeout: 10_000 }).toEqual([{ of: 'a' }]);
    await jobs.stop();
  });
});

describe('the role behind the wall', () => {
  let admin: Database;
  let url: string;
  let drop: () => Promise<void>;
  const login = `login_${randomUUID().replaceAll('-', '')}`;
  beforeEach(async () => {
    ({ url, drop } = await emptyPostgresUrl());
    admin = await openDatabase({ databaseUrl: url, dataDir: '', poolSize: 1 });
    await run(`create role ${login} login password 'x' nocreaterole nosuperuser`);
    await run(`grant create on database ${new URL(url).pathname.slice(1)} to ${login}`);
    await run(`grant all on schema public to ${login}`);
  });
  afterEach(async () => {
    await run(`drop owned by ${login} cascade`);
    await run(`revoke integrations_tenant from ${login}`);
    await run(`drop role ${login}`);
    await admin.close();
    await drop();
  });

  const run = (statement: string) => sql.raw(statement).execute(admin.db);
  const open = async (user?: string) => {
    const own = new URL(url);
    if (user !== undefined) Object.assign(own, { username: user, password: 'x' });
    return openDatabase({ databaseUrl: own.href, dataDir: '', poolSize: 1 });
  };
  const seenAccounts = async (db: Kysely<Tables>) =>
    (await db.selectFrom('connections').select('account_id').execute()).map((row) => row.account_id);

  it('is done without where the login role may not use it, until an administrator has made that so', async () => {
    const database = await open(login);
    try {
      await migrate(database);
      expect(await database.raiseWall()).toBe(false);
      await fill(database.forAccount('a'), 'a');
      expect(await seenAccounts(database.forAccount('b'))).toEqual(['a']);
      // The second half of the cure: another database of this server has seen to the first.
      expect(cureOfNoWall(login)).toContain(`grant integrations_tenant to "${login}";`);
      await run(`grant integrations_tenant to "${login}";`);
      expect(await database.raiseWall()).toBe(true);
      expect(await seenAccounts(database.forAccount('b'))).toEqual([]);
      expect(await seenAccounts(database.forAccount('a'))).toEqual(['a']);
    } finally {
      await database.close();
    }
  });

  it('is taken by a login role that made it, whom PostgreSQL 16 and newer let administer it only', async () => {
    const database = await open(login);
    try {
      await migrate(database);
      // As `create role` leaves it.
      await run(`grant integrations_tenant to ${login} with admin true, inherit false, set false`);
      expect(await database.raiseWall()).toBe(true);
      await fill(database.db, 'a');
      expect(await seenAccounts(database.forAccount('b'))).toEqual([]);
    } finally {
      await run(`revoke integrations_tenant from ${login} cascade`);
      await database.close();
    }
  });

  it('is relied on where an administrator has seen to all of it, and only by whom it was granted to', async () => {
    await migrate(admin);
    expect(await admin.raiseWall()).toBe(true);
    const database = await open(login);
    try {
      expect(await currentUser(database.db)).toBe(login);
      expect(await database.raiseWall()).toBe(false);
      await run(`grant integrations_tenant to ${login}`);
      // It owns no table, and could not grant a right itself.
      expect(await database.raiseWall()).toBe(true);
    } finally {
      await database.close();
    }
  });

  it('is not given up for a failure that is no refusal', async () => {
    const database = await open(login);
    try {
      await migrate(database);
      await run(`grant integrations_tenant to ${login}`);
      await database.db.transaction().execute(async (trx) => {
        await expect(wallStands(trx)).resolves.toBe(false);
      });
      await sql`set lock_timeout = '50ms'`.execute(database.db);
      await admin.db.transaction().execute(async (trx) => {
        await sql`select pg_advisory_xact_lock(7205759403792795)`.execute(trx);
        await expect(database.raiseWall()).rejects.toThrow('lock timeout');
      });
      expect(await database.raiseWall()).toBe(true);
      await database.db.transaction().execute(async (trx) => {
        await expect(wallStands(trx)).rejects.toThrow('transaction');
      });
    } finally {
      await database.close();
    }
  });

  it('is let at the tables once, by any number of processes at one time', async () => {
    await migrate(admin);
    const processes = await Promise.all(Array.from({ length: 12 }, () => open()));
    try {
      const raised = await Promise.all(processes.map((database) => database.raiseWall()));
      expect(raised).toEqual(Array(12).fill(true));
    } finally {
      await Promise.all(processes.map((database) => database.close()));
    }
  });

  it('is not relied on where the policies do not hold it, or a right is missing', async () => {
    await migrate(admin);
    expect(await admin.raiseWall()).toBe(true);
    await run('alter table sync_events disable row level security');
    expect(await wallStands(admin.db)).toBe(false);
    await run('alter table sync_events enable row level security');
    expect(await wallStands(admin.db)).toBe(true);
    await run('alter table connections owner to integrations_tenant');
    expect(await wallStands(admin.db)).toBe(false);
    await run('alter table connections owner to current_user');
    await run('grant all on connections to integrations_tenant');
    expect(await wallStands(admin.db)).toBe(true);
    await run('revoke delete on oauth_tokens from integrations_tenant');
    expect(await wallStands(admin.db)).toBe(false);
    expect(await admin.raiseWall()).toBe(true);
  });
});
