import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { sql, type Kysely } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createAccountKeys } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys, UnsealError } from '../../src/oauth/encryption.ts';
import { countByMasterKey } from '../../src/oauth/keyRotation.ts';
import { readSealedRows, sealedTables, type SealedRow } from '../../src/oauth/sealedValues.ts';
import { emptyPostgresUrl } from '../support/databases.ts';
import { nodeFlags, nodeSettings } from '../support/node.ts';
import { addAccounts, masterKey } from '../support/sealedAccounts.ts';
import { eachWith, installations, postgresInstallation } from './installation.ts';
import { ops, runOps } from './runOps.ts';

const [k1, k2, k3] = [masterKey('k1', 1), masterKey('k2', 2), masterKey('k3', 3)];
const accountIds = (count: number) => Array.from({ length: count }, (_, i) => `account-${i}`);

async function sealedRowsOf(db: Kysely<Tables>, accountId: string): Promise<SealedRow[]> {
  const rows = [];
  for (const table of sealedTables)
    rows.push(...(await readSealedRows(db, table, { limit: 100, accountId })));
  return rows;
}

describe('the command line', () => {
  it.concurrent.each([
    ['no verb', [], 2, /^Usage: npm run ops -- <verb>[^]*doctor[^]*connections list[^]*Exit code/],
    ['--help', ['--help'], 0, /^Usage: npm run ops -- <verb>/],
    ['--help of a verb', ['keys', 'rotate', '--help'], 0, /--account <accountId> +with --data/],
    ['an unknown verb', ['keys', 'eat', '--x'], 2, /^there is no verb "keys eat"/],
    ['a redrive of nothing', ['deliveries', 'redrive'], 2, /^deliveries redrive needs --dead/],
    ['an unknown option', ['doctor', '--jsn'], 2, /^doctor: Unknown option '--jsn'; see npm run ops/],
    ['an option without its value', ['connections', 'list', '--status'], 2, /^connections list: .*--status/],
    ['an empty value', ['connections', 'list', '--account='], 2, /^--account is empty/],
    ['an unknown value', ['connections', 'list', '--status', 'X'], 2, /^--status X is none of PENDING, /],
    ['too much', ['migrate', 'now'], 2, /^migrate does not know what "now" is/],
    ['too little', ['accounts', 'erase', '--yes'], 2, /^accounts erase needs <accountId>/],
    ['--account alone', ['keys', 'rotate', '--account', 'a'], 2, /^--account goes with --data/],
  ])('answers %s', async (_, args, code, text) => {
    const ended = await runOps({ DATA_DIR: '/nonexistent' }, ...args);
    expect(ended.stdout + ended.stderr).toMatch(text);
    expect(ended.code).toBe(code);
  });

  it('answers the same from its file as bundled', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [...nodeFlags, ops, '--help'], {
      env: { PATH: process.env.PATH, ...nodeSettings },
    });
    expect(stdout).toBe((await runOps({}, '--help')).stdout);
  });

  it('names a wrong setting in one line', async () => {
    const ended = await runOps({ PORT: 'x' }, 'connections', 'list');
    expect(ended).toEqual({
      ...{ code: 1, stdout: '' },
      stderr: expect.stringMatching(/^PORT must be a whole number[^\n]*\n$/) as string,
    });
  });

  it('makes no master key where none is set', async () => {
    const ended = await runOps({ DATA_DIR: '/nonexistent' }, 'keys', 'rotate');
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ENCRYPTION_KEYS is not set') as string,
    });
  });
});

describe('migrate', { timeout: 90_000 }, () => {
  it('brings an empty database up to date, and a second time changes nothing', async () => {
    const database = await emptyPostgresUrl();
    const settings = { DATABASE_URL: database.url };
    expect(await runOps(settings, 'connections', 'list')).toMatchObject({ code: 1 });
    const first = await runOps(settings, 'migrate');
    expect(first).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('applied 0001_initial\n') as string,
    });
    expect(await runOps(settings, 'migrate')).toMatchObject({
      code: 0,
      stdout: 'The database is up to date.\n',
    });
    expect((await runOps(settings, 'doctor')).stdout).toMatch(/^ok +migrations /m);
    await database.drop();
  });
});

const deliver = (db: Kysely<Tables>, eventId: string, status: 'DEAD' | 'PROCESSED') =>
  db.transaction().execute(async (trx) => {
    const [account] = await addAccounts(trx, k1, [`account-${eventId}`]);
    await trx
      .insertInto('webhook_deliveries')
      .values({
        account_id: `account-${eventId}`,
        connection_id: account!.connectionId,
        ...{
          id: crypto.randomUUID(),
          integration_id: 'quickbooks',
          event_id: eventId,
          status,
          attempts: 5,
        },
        notice: JSON.stringify({ kind: 'missed', occurredAt: null }),
      })
      .execute();
  });
const fill = (db: Kysely<Tables>, accountId: string, recordCount: number) =>
  db.transaction().execute(async (trx) => {
    const [account] = await addAccounts(trx, k1, [accountId]);
    const { connectionId } = account!;
    const of = { account_id: accountId, connection_id: connectionId };
    await trx
      .insertInto('sync_statuses')
      .values({ ...of, resource: 'Invoice' })
      .execute();
    const records = Array.from({ length: recordCount }, (_, i) => ({
      ...of,
      ...{ resource: 'Invoice', external_id: String(i), fetched_at: new Date() },
    }));
    await trx.insertInto('external_records').values(records).execute();
    await trx.insertInto('event_sequences').values({ account_id: accountId, last_sequence: 1 }).execute();
    await trx
      .insertInto('sync_events')
      .values({
        ...of,
        ...{ sequence: 1, id: crypto.randomUUID(), kind: 'CONNECTION_CHANGED', source: 'USER' },
        ...{ integration_id: 'quickbooks', generation: 1, occurred_at: new Date() },
      })
      .execute();
    await trx
      .insertInto('webhook_deliveries')
      .values({
        ...of,
        ...{
          id: crypto.randomUUID(),
          integration_id: 'quickbooks',
          event_id: '1',
          notice: JSON.stringify({ kind: 'missed', occurredAt: null }),
        },
      })
      .execute();
    await trx
      .insertInto('delivery_queues')
      .values({ ...of, due_at: new Date() })
      .execute();
    await trx
      .insertInto('sync_rounds')
      .values({ ...of, resource: 'Invoice' })
      .execute();
    const data = JSON.stringify({ accountId, id: crypto.randomUUID() });
    await sql`insert into pgboss.job (name, data) values ('token-revocation', ${data})`.execute(trx);
  });
/** Everything that is stored of the account, by table. */
const stored = async (db: Kysely<Tables>, accountId: string) => {
  const { rows: tables } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'account_id' order by 1`.execute(db);
  const found: Record<string, number> = {};
  for (const { name } of tables) {
    const { rows } = await sql`select 1 from ${sql.table(name)} where account_id = ${accountId}`.execute(db);
    found[name] = rows.length;
  }
  const jobs = await sql`select 1 from pgboss.job where data->>'accountId' = ${accountId}`.execute(db);
  return { ...found, jobs: jobs.rows.length };
};
const listed = async (db: Kysely<Tables>) => {
  await addAccounts(db, k1, accountIds(1_003), {
    createdAt: new Date('2026-05-06T07:08:09.999Z'),
    tokensOnly: true,
  });
  await db
    .updateTable('connections')
    .set({
      status: 'NEEDS_REAUTHORIZATION',
      external_id: 'evil\u001b[2Jé',
      problem: JSON.stringify({ code: 'REAUTHORIZATION_REQUIRED' }),
    })
    .where('account_id', '=', 'account-7')
    .execute();
};
const twoAccounts = async (db: Kysely<Tables>) => {
  await sql`select pgboss.create_queue('token-revocation', '{"policy": "standard"}'::jsonb)`.execute(db);
  await fill(db, 'acme', 1_200);
  await fill(db, 'other', 1);
};

describe.each(installations)('on %s', { timeout: 90_000 }, (_kind, make) => {
  const { ops, within } = eachWith(make);

  describe('keys rotate', () => {
    it('seals data keys by the first master key, and says which may go', async () => {
      await within((db) => addAccounts(db, k1, accountIds(305), { tokensOnly: true }));
      const ended = await ops(`${k2},${k1},${k3}`, 'keys', 'rotate');
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout)
        .toBe(`Sealing data keys by "k2", the first of ENCRYPTION_KEYS: every running process must have it, too.
sealed anew: 300 data keys
sealed anew: 305 data keys
Done: 305 data keys sealed anew. Data keys by master key:
  k2  305  (seals)
  k1  0
  k3  0
May be removed from ENCRYPTION_KEYS, once every process has "k2" as its first key: k1, k3.
Backups made before now still need them: keep a copy as long as you keep those.
`);
      expect(await within(countByMasterKey)).toEqual(new Map([['k2', 305]]));
      expect((await ops(k2, 'doctor')).stdout).toMatch(/^ok +sealed values +40 of 40 looked at open$/m);
    });

    it('--data gives new data keys, and says when the old ones go', async () => {
      await within((db) => addAccounts(db, k1, accountIds(2)));
      const ended = await ops(k1, 'keys', 'rotate', '--data');
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toContain(
        'Done: 2 accounts got a new data key, 14 values sealed anew.\n2 old data keys stay for now',
      );
      expect(ended.stdout).toContain('keys rotate in 15 minutes or later to delete them');

      const again = await ops(k1, 'keys', 'rotate', '--data', '--account', 'account-1');
      expect(again.stdout).toContain(
        'Done: 0 accounts got a new data key, 0 values sealed anew.\n1 account got one less than 15 minutes ago',
      );
      await within((db) =>
        sql`update account_keys set created_at = created_at - interval '20 minutes'`.execute(db),
      );
      const later = await ops(k1, 'keys', 'rotate');
      expect(later.stdout).toContain('Deleted: 2 old data keys that no value names any more.\n');
      expect(await within(countByMasterKey)).toEqual(new Map([['k1', 2]]));
      expect((await ops(k1, 'doctor')).stdout).toMatch(/^ok +sealed values +14 of 14 looked at open$/m);
    });
  });

  describe('connections list', () => {
    beforeEach(() => within(listed));

    it('shows every connection once, page after page, and no secret', async () => {
      const { code, stdout } = await ops(k1, 'connections', 'list');
      expect(code).toBe(0);
      const lines = stdout.trimEnd().split('\n');
      expect(lines).toHaveLength(1_005);
      expect(lines[0]!.split(/ {2,}/)).toEqual([
        ...['ACCOUNT', 'ID', 'INTEGRATION', 'STATUS', 'EXTERNAL ID', 'PROBLEM', 'CONNECTED', 'TOKEN EXPIRES'],
        'REFRESH TOKEN ENDS',
      ]);
      expect(lines.at(-1)).toBe('1003 connections');
      expect(new Set(lines.slice(1, -1).map((line) => line.split(' ')[0])).size).toBe(1_003);
      const [seven] = lines.filter((line) => line.startsWith('account-7 '));
      expect(seven!.split(/ {2,}/).slice(2)).toEqual([
        ...['quickbooks', 'NEEDS_REAUTHORIZATION', 'evil\ufffd[2Jé', 'REAUTHORIZATION_REQUIRED'],
        ...['2026-05-06T07:08:09Z', '2026-05-06T08:08:09Z', '-'],
      ]);
      expect(stdout).not.toContain('secret');
    });
  });

  describe('deliveries redrive', () => {
    it('revives what is dead, queues it, and leaves the rest', async () => {
      await within(async (db) => {
        await deliver(db, '1', 'DEAD');
        await deliver(db, '2', 'DEAD');
        await deliver(db, '3', 'PROCESSED');
      });
      expect(await ops(k1, 'deliveries', 'redrive')).toMatchObject({ code: 2 });
      expect(await ops(k1, 'deliveries', 'redrive', '--dead')).toMatchObject({
        code: 0,
        stdout: '2 deliveries redriven\n',
      });
      await within(async (db) => {
        const rows = await db
          .selectFrom('webhook_deliveries')
          .select(['event_id', 'status', 'attempts'])
          .orderBy('event_id')
          .execute();
        expect(rows).toEqual([
          { event_id: '1', status: 'RECEIVED', attempts: 0 },
          { event_id: '2', status: 'RECEIVED', attempts: 0 },
          { event_id: '3', status: 'PROCESSED', attempts: 5 },
        ]);
        expect(await db.selectFrom('delivery_queues').select('account_id').execute()).toHaveLength(2);
      });
      expect(await ops(k1, 'deliveries', 'redrive', '--dead')).toMatchObject({
        stdout: '0 deliveries redriven\n',
      });
    });
  });

  describe('accounts erase', () => {
    beforeEach(() => within(twoAccounts));

    it('with --yes leaves no row of the account, nothing that opens a copy, and all of the others', async () => {
      const other = await within((db) => stored(db, 'other'));
      const copies = await within((db) => sealedRowsOf(db, 'acme'));
      expect(copies.flatMap(({ values }) => values)).toHaveLength(7);
      const ended = await ops(k1, 'accounts', 'erase', 'acme', '--yes');
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toContain('Grants at providers are not revoked by this');
      expect(ended.stdout).toMatch(/^Deleted of the account acme:\n {2}account_keys +1$/m);

      await within(async (db) => {
        expect(new Set(Object.values(await stored(db, 'acme')))).toEqual(new Set([0]));
        expect(await stored(db, 'other')).toEqual(other);
        const keys = createAccountKeys(parseMasterKeys(k1), systemClock);
        // Connecting anew makes a key, which does not open what another has sealed.
        await keys.sealer(db, 'acme');
        for (const accountId of ['acme', 'other']) {
          const open = await keys.opener(db, accountId);
          for (const { values } of copies)
            for (const { place, sealed } of values) {
              const opening = () => open(place, sealed);
              expect(opening).toThrow(UnsealError);
              expect(opening).toThrow(/^data key [\w-]{36} of the account is gone$/);
            }
        }
      });
    });
  });
});

describe('on either', { timeout: 90_000 }, () => {
  const { ops, within } = eachWith(postgresInstallation);

  describe('keys rotate', () => {
    it('fails where a master key is missing, and names it', async () => {
      await within((db) => addAccounts(db, k1, accountIds(2)));
      const ended = await ops(`${k2},${k3}`, 'keys', 'rotate');
      expect(ended.code).toBe(1);
      expect(ended.stdout).toContain('  k1  2  NOT IN ENCRYPTION_KEYS\n');
      expect(ended.stdout).toContain(
        'FAIL  2 data keys cannot be opened: put "k1" back into ENCRYPTION_KEYS',
      );
      expect(await within(countByMasterKey)).toEqual(new Map([['k1', 2]]));
    });

    it('--data says where an account has nothing that is sealed', async () => {
      const ended = await ops(k1, 'keys', 'rotate', '--data', '--account', 'nobody');
      expect(ended).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('nobody has no data key') as string,
      });
    });

    it('touches nothing in a database newer than itself, which may hold values that it does not know', async () => {
      await within(async (db) => {
        await addAccounts(db, k1, ['a']);
        await sql`insert into kysely_migration (name, timestamp) values ('9999_future', 'now')`.execute(db);
      });
      for (const args of [
        ['keys', 'rotate'],
        ['keys', 'rotate', '--data'],
        ['accounts', 'erase', 'a', '--yes'],
      ]) {
        const ended = await ops(`${k2},${k1}`, ...args);
        expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('9999_future') as string });
      }
      expect(await within(countByMasterKey)).toEqual(new Map([['k1', 1]]));
    });
  });

  describe('connections list', () => {
    beforeEach(() => within(listed));

    it('keeps to the account, the status and the integration', async () => {
      const list = async (...args: string[]) =>
        (await ops(k1, 'connections', 'list', ...args)).stdout.trimEnd().split('\n');
      expect(await list('--account', 'account-9')).toHaveLength(3);
      expect((await list('--status', 'ACTIVE')).at(-1)).toBe('1002 connections');
      expect((await list('--integration', 'slack')).at(-1)).toBe('0 connections');
      const json = await list('--json', '--status', 'NEEDS_REAUTHORIZATION', '--integration', 'quickbooks');
      expect(json).toHaveLength(1);
      expect(JSON.parse(json[0]!)).toEqual({
        accountId: 'account-7',
        id: expect.stringMatching(/^[\w-]{36}$/) as string,
        integrationId: 'quickbooks',
        status: 'NEEDS_REAUTHORIZATION',
        externalId: 'evil\u001b[2Jé',
        problemCode: 'REAUTHORIZATION_REQUIRED',
        connectedAt: '2026-05-06T07:08:09.999Z',
        tokenExpiresAt: '2026-05-06T08:08:09.999Z',
        refreshTokenExpiresAt: null,
      });
    });
  });

  describe('accounts erase', () => {
    beforeEach(() => within(twoAccounts));

    it('without --yes says what it would delete, and deletes nothing', async () => {
      const before = await within((db) => stored(db, 'acme'));
      expect(Object.values(before)).not.toContain(0);
      const ended = await ops(k1, 'accounts', 'erase', 'acme');
      expect(ended).toMatchObject({ code: 1, stderr: '' });
      expect(ended.stdout).toMatch(/^ {2}external_records +1200$/m);
      expect(ended.stdout).toMatch(/^ {2}account_keys +1$/m);
      expect(ended.stdout).toMatch(/^ {2}pgboss\.job +1$/m);
      expect(ended.stdout).toContain(
        'Grants at providers are not revoked by this: disconnect first. 1 connection of the account is live:',
      );
      expect(ended.stdout).toMatch(/^ {2}quickbooks {2}[\w-]{36} {2}ACTIVE {2}9000000$/m);
      expect(ended.stdout).toContain(
        '1 grant of connections that ended still waits to be revoked, and will not be any more.',
      );
      expect(await within((db) => stored(db, 'acme'))).toEqual(before);
    });

    it('says where there is nothing', async () => {
      const ended = await ops(k1, 'accounts', 'erase', 'nobody', '--yes');
      expect(ended).toEqual({ code: 0, stderr: '', stdout: 'Nothing is stored of the account nobody.\n' });
    });
  });
});
