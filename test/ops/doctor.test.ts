import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { judgeClock } from '../../src/ops/databaseChecks.ts';
import type { Finding } from '../../src/ops/finding.ts';
import { checkNode } from '../../src/ops/installationChecks.ts';
import { startChild } from '../support/child.ts';
import { scriptedServer } from '../support/httpServer.ts';
import { addAccounts, masterKey } from '../support/sealedAccounts.ts';
import {
  eachWith,
  embeddedInstallation,
  installations,
  postgresInstallation,
  type Installation,
} from './installation.ts';
import { runOps } from './runOps.ts';

const [k1, k2] = [masterKey('k1', 1), masterKey('k2', 2)];

async function findings(settings: Record<string, string>) {
  const { code, stdout, stderr } = await runOps(settings, 'doctor', '--json');
  expect(stderr).toBe('');
  const all = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Finding);
  expect(code).toBe(all.some(({ level }) => level === 'FAIL') ? 1 : 0);
  const of = (check: string) => all.filter((finding) => finding.check === check);
  return { all, of, levels: new Set(all.map(({ level }) => level)) };
}

describe('doctor', { timeout: 90_000 }, () => {
  let directory: string;
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'integrations-doctor-')), 'data');
  });
  afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

  it('finds nothing to mend in a fresh clone, and leaves it as it is', async () => {
    const { of, levels } = await findings({ DATA_DIR: directory });
    expect(levels).not.toContain('FAIL');
    expect(of('database')).toMatchObject([
      { level: 'ok', message: expect.stringContaining('none yet') as string },
    ]);
    expect(existsSync(directory)).toBe(false);
  });

  it('writes a line for each finding, with its cure', async () => {
    const { code, stdout } = await runOps({ DATA_DIR: directory }, 'doctor');
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^(ok {2}|WARN|FAIL) {2}\w/);
    expect(stdout).toMatch(/^WARN {2}identity +x-account-id is believed without proof.*: set AUTH_JWKS_URL/m);
  });

  it.each<[string, Record<string, string>, string, Partial<Finding>]>([
    [
      'a wrong setting',
      { PORT: 'x' },
      'settings',
      { level: 'FAIL', message: expect.stringMatching(/^PORT must be /) as string },
    ],
    [
      'what production needs',
      { NODE_ENV: 'production', ENCRYPTION_KEYS: k1 },
      'settings',
      {
        level: 'FAIL',
        message: 'production needs DATABASE_URL, PUBLIC_URL, AUTH_JWKS_URL or AUTH_JWT_SECRET',
      },
    ],
    [
      'a short secret',
      { AUTH_JWT_SECRET: 'short and secret' },
      'identity',
      { level: 'WARN', message: 'AUTH_JWT_SECRET has 16 bytes and HS256 asks for 32' },
    ],
    ['a secret that is long enough', { AUTH_JWT_SECRET: 's'.repeat(32) }, 'identity', { level: 'ok' }],
    [
      'a master key that is not one',
      { ENCRYPTION_KEYS: 'k1:c2hvcnQ=' },
      'keys',
      { level: 'FAIL', message: 'ENCRYPTION_KEYS: entry 1 ("k1") has 5 bytes where a key has 32' },
    ],
    [
      'a database that is not there',
      { DATABASE_URL: 'postgres://me:hidden@127.0.0.1:1/none' },
      'database',
      {
        level: 'FAIL',
        message: expect.stringMatching(/^DATABASE_URL: .*port 1,.*nothing listens there/) as string,
      },
    ],
  ])('tells of %s', async (_, settings, check, expected) => {
    const { of, all } = await findings({ DATA_DIR: directory, ...settings });
    expect(of(check)).toMatchObject([expected]);
    expect(JSON.stringify(all)).not.toMatch(/hidden|short and secret|c2hvcnQ/);
  });

  it('names the process that holds the embedded database', async () => {
    const installation = await embeddedInstallation();
    const dataDir = installation.settings['DATA_DIR']!;
    const holder = startChild(
      new URL('../db/child.ts', import.meta.url),
      'hold',
      JSON.stringify({ dataDir }),
    );
    await holder.line();
    const { of, levels } = await findings({ ...installation.settings, ENCRYPTION_KEYS: k1 });
    expect(of('database')).toMatchObject([
      { level: 'WARN', message: expect.stringContaining(`is in use by process ${holder.pid} `) as string },
    ]);
    expect(levels).not.toContain('FAIL');
    const rotation = await runOps({ ...installation.settings, ENCRYPTION_KEYS: k1 }, 'keys', 'rotate');
    expect(rotation).toMatchObject({
      ...{ code: 1, stdout: '' },
      stderr: expect.stringMatching(
        new RegExp(`^DATA_DIR .* is in use by process ${holder.pid} [^\\n]*\\n$`),
      ) as string,
    });
    holder.signal('SIGKILL');
    await holder.ended;
    await installation.remove();
  });

  it('knows described integrations and their settings, a public client too', async () => {
    const server = await scriptedServer();
    const file = join(directory, '..', 'integrations.yaml');
    const described = (id: string, more: string) => `
  - id: ${id}
    displayName: ${id}
    docs: https://developer.acme.example/oauth
    authorizeUrl: http://127.0.0.1:1/authorize
    tokenUrl: ${server.url}/token
    api: { baseUrl: ${server.url}/v1 }
    profile: { path: /me, idPath: sub }
    resources: { Note: { path: '/notes/{id}' } }${more}`;
    writeFileSync(
      file,
      `integrations:${described('acme-crm', '')}${described('acme-notes', '\n    clientAuth: none')}${described('acme-off', '')}`,
    );
    const own = { DATA_DIR: directory, SANDBOX: 'true', INTEGRATIONS_FILE: file };
    const { of, levels } = await findings({
      ...{ ...own, ACME_CRM_CLIENT_ID: 'id', ACME_CRM_CLIENT_SECRET: 'x', ACME_NOTES_CLIENT_ID: 'id' },
    });
    for (const id of ['acme-crm', 'acme-notes'])
      expect(of(id)).toEqual(
        expect.arrayContaining([{ check: id, level: 'ok', message: `${server.url} answers (200)` }]),
      );
    expect(of('acme-off')).toMatchObject([
      { level: 'ok', message: expect.stringMatching(/^not set up/) as string },
    ]);
    expect(of('quickbooks')).toMatchObject([{ message: 'the sandbox stands in for it' }]);
    expect(levels).not.toContain('FAIL');

    const wrong = await findings({ ...own, ACME_CRM_RATE_LIMIT: 'many', ACME_NOTES_CLIENT_ID: 'id' });
    expect(wrong.of('settings')).toMatchObject([
      { level: 'FAIL', message: expect.stringMatching(/^ACME_CRM_RATE_LIMIT must be /) as string },
    ]);
    const missing = await findings({ ...own, INTEGRATIONS_FILE: join(directory, 'none.yaml') });
    expect(missing.of('settings')).toMatchObject([
      {
        level: 'FAIL',
        message: expect.stringMatching(/^INTEGRATIONS_FILE .* cannot be read \(ENOENT\)$/) as string,
      },
    ]);
    await server.close();
  });

  it('asks the hosts of the integrations that are set up, all at one time, and takes any answer', async () => {
    const servers = await Promise.all([scriptedServer(), scriptedServer(), scriptedServer()]);
    const [busy, silent, other] = servers;
    busy.script(503);
    for (const server of [silent, other]) server.script({ silent: true });
    const { of, levels } = await findings({
      ...{ DATA_DIR: directory, SANDBOX: 'true', QUICKBOOKS_CLIENT_ID: 'id', QUICKBOOKS_CLIENT_SECRET: 'x' },
      QUICKBOOKS_AUTHORIZE_URL: `${busy.url}/connect`,
      QUICKBOOKS_TOKEN_URL: `${silent.url}/token`,
      QUICKBOOKS_REVOKE_URL: `${other.url}/revoke`,
      QUICKBOOKS_API_URL: 'http://127.0.0.1:1',
    });
    expect(levels).not.toContain('FAIL');
    expect(of('quickbooks')).toMatchObject([
      { level: 'ok', message: `${busy.url} answers (503)` },
      { level: 'WARN', message: `${silent.url} does not answer within 3 s` },
      { level: 'WARN', message: `${other.url} does not answer within 3 s` },
      { level: 'WARN', message: expect.stringContaining('http://127.0.0.1:1 cannot be reached') as string },
    ]);
    expect(busy.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /']);
    expect(Math.abs(silent.requests[0]!.at - other.requests[0]!.at)).toBeLessThan(2_500);
    for (const server of servers) await server.close();
  });

  it('fails on a host that no name server knows', async () => {
    const url = 'https://no.invalid/x';
    const { of } = await findings({
      ...{
        DATA_DIR: directory,
        SANDBOX: 'true',
        QUICKBOOKS_CLIENT_ID: 'id',
        QUICKBOOKS_CLIENT_SECRET: 'hidden',
      },
      ...{ QUICKBOOKS_AUTHORIZE_URL: url, QUICKBOOKS_TOKEN_URL: url, QUICKBOOKS_REVOKE_URL: url },
      QUICKBOOKS_API_URL: url,
    });
    expect(of('quickbooks')).toMatchObject([
      { level: 'FAIL', message: expect.stringMatching(/^no\.invalid does not resolve/) as string },
    ]);
  });

  it.each([
    [0, 'ok', "this machine's is 0.0 s behind"],
    [-1_999, 'ok', '2.0 s behind'],
    [2_100, 'WARN', '2.1 s ahead of'],
    [-59_000, 'WARN', '59.0 s behind'],
    [61_000, 'FAIL', '61.0 s ahead of'],
    [-3_600_000, 'FAIL', '3600.0 s behind'],
  ])('judges a clock that is %i ms ahead as %s', (aheadMs, level, text) => {
    expect(judgeClock(aheadMs)).toMatchObject({ level, message: expect.stringContaining(text) as string });
  });

  it('wants the Node that everything runs on', () => {
    expect(checkNode('24.1.0').level).toBe('ok');
    expect(checkNode('20.19.0').level).toBe('FAIL');
    expect(checkNode('9.0.0').level).toBe('FAIL');
  });
});

/** Of three accounts, each with something in every sealed column. */
const eachOfThree = (make: () => Promise<Installation>) => {
  const { settings, within } = eachWith(make);
  beforeEach(async () => {
    await within((db) => addAccounts(db, k1, ['a', 'b', 'c']));
  });
  const look = (encryptionKeys: string) => findings({ ...settings(), ENCRYPTION_KEYS: encryptionKeys });
  return { settings, within, look };
};

describe.each(installations)('doctor on %s', { timeout: 90_000 }, (_kind, make) => {
  const { look } = eachOfThree(make);

  it('looks into the database, its keys and what they seal', async () => {
    const { of, levels } = await look(`${k1},${k2}`);
    expect(levels).not.toContain('FAIL');
    expect(of('database')).toMatchObject([
      { level: 'ok', message: expect.stringMatching(/PostgreSQL \d+/) as string },
    ]);
    expect(of('migrations')).toMatchObject([{ level: 'ok' }]);
    expect(of('clock')).toMatchObject([{ level: 'ok' }]);
    expect(of('keys')).toEqual([
      { check: 'keys', level: 'ok', message: '"k1" seals; 3 data keys' },
      {
        check: 'keys',
        level: 'ok',
        message: '"k2" is in no use: it may be removed, once every process has "k1" first',
      },
    ]);
    expect(of('sealed values')).toMatchObject([{ level: 'ok', message: '21 of 21 looked at open' }]);
  });
});

describe('doctor on either', { timeout: 90_000 }, () => {
  const { settings, within, look } = eachOfThree(postgresInstallation);

  it('warns of data keys that are sealed by an older master key', async () => {
    const { of } = await look(`${k2},${k1}`);
    expect(of('keys')).toMatchObject([
      { level: 'ok', message: '"k2" seals; 0 data keys' },
      { level: 'WARN', message: '"k1" still seals 3 data keys' },
    ]);
  });

  it('fails where a master key in use is missing, or has other bytes', async () => {
    const missing = await look(k2);
    expect(missing.of('keys')[1]).toMatchObject({
      level: 'FAIL',
      message: '"k1" is not in ENCRYPTION_KEYS and seals 3 data keys: what they seal cannot be opened',
    });
    expect(missing.of('sealed values')).toMatchObject([{ level: 'FAIL' }]);
    const wrong = await look(masterKey('k1', 9));
    expect(wrong.of('sealed values')).toMatchObject([
      { level: 'FAIL', message: expect.stringContaining('21 of 21 looked at do not open') as string },
    ]);
    const none = await findings(settings());
    expect(none.of('keys')).toMatchObject([
      { level: 'FAIL', message: 'there is no master key, and "k1" is in use' },
    ]);
  });

  it('fails on a value that is damaged, and names its place', async () => {
    await within((db) =>
      sql`update webhook_secrets set secret_encrypted = set_byte(secret_encrypted, 40, get_byte(secret_encrypted, 40) # 1)
        where account_id = 'b'`.execute(db),
    );
    const { of } = await look(k1);
    expect(of('sealed values')).toMatchObject([
      {
        level: 'FAIL',
        message: expect.stringMatching(
          /^1 of 21 looked at do not open, e\.g\. webhook_secrets\.secret_encrypted of connection [\w-]{36}: the value does not open/,
        ) as string,
      },
    ]);
  });

  it('fails on a database that is newer or older than the program', async () => {
    const rename = (from: string, to: string) =>
      within((db) => sql`update kysely_migration set name = ${to} where name = ${from}`.execute(db));
    await rename('0003_rate_budgets', '9999_future');
    expect((await look(k1)).of('migrations')).toMatchObject([
      { level: 'FAIL', message: 'the database is newer than this program: it has 9999_future' },
    ]);
    await within((db) => sql`delete from kysely_migration where name = '9999_future'`.execute(db));
    expect((await look(k1)).of('migrations')).toMatchObject([
      { level: 'FAIL', message: '0003_rate_budgets is missing' },
    ]);
  });
});

it('doctor says where row-level security is off, and what an administrator has to run', async () => {
  const installation = await postgresInstallation();
  const user = `plain_${randomUUID().replaceAll('-', '')}`;
  await installation.within(async (db) => {
    await sql.raw(`create role ${user} login password 'hidden'`).execute(db);
    await sql.raw(`grant select on all tables in schema public to ${user}`).execute(db);
  });
  const owner = await findings({ ...installation.settings, ENCRYPTION_KEYS: k1 });
  expect(owner.of('second wall')).toMatchObject([{ level: 'ok' }]);
  const url = new URL(installation.settings['DATABASE_URL']!);
  url.username = user;
  url.password = 'hidden';
  const other = await findings({ DATABASE_URL: url.href, ENCRYPTION_KEYS: k1 });
  expect(other.of('second wall')).toMatchObject([
    { level: 'WARN', cure: expect.stringContaining(`grant integrations_tenant to "${user}";`) as string },
  ]);
  await installation.within(async (db) => {
    await sql.raw(`drop owned by ${user}`).execute(db);
    await sql.raw(`drop role ${user}`).execute(db);
  });
  await installation.remove();
});
