import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { PostgresDatabase } from '../../src/db/database.ts';
import { createAccountKeys } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import { countByMasterKey } from '../../src/oauth/keyRotation.ts';
import { readSealedRows, sealedTables, type SealedRow } from '../../src/oauth/sealedValues.ts';
import { startChild, type Child } from '../support/child.ts';
import { postgresDatabase } from '../support/databases.ts';
import { addAccounts, masterKey, plaintextOf } from '../support/sealedAccounts.ts';
import { startOps, type Ended } from './runOps.ts';

const [k1, k2] = [masterKey('k1', 1), masterKey('k2', 2)];

/** Four services read and write tokens all the while; the command is killed in the middle, again and again. */
describe('keys rotate', { timeout: 90_000 }, () => {
  let database: PostgresDatabase;
  let services: Child[];
  beforeEach(async () => {
    database = (await postgresDatabase()) as PostgresDatabase;
    services = [];
  });
  afterEach(async () => {
    for (const service of services) service.signal('SIGKILL');
    await Promise.all(services.map((service) => service.ended));
    await database.close();
  });

  const startServices = async (accounts: number) => {
    const names = Array.from({ length: accounts }, (_, i) => `account-${i}`);
    await addAccounts(database.db, k1, names, { tokensOnly: true });
    const { databaseUrl } = database;
    const script = new URL('serviceAtWork.ts', import.meta.url);
    services = ['p', 'q', 'r', 's'].map((name) =>
      startChild(script, JSON.stringify({ databaseUrl, accounts, name, encryptionKeys: `${k2},${k1}` })),
    );
    for (const service of services) expect(await service.line()).toBe('at work');
  };
  /** What all of them did. */
  const stopServices = async () => {
    const all = { reads: 0, writes: 0, added: 0, failures: [] as string[] };
    for (const service of services) service.send('stop');
    for (const service of services) {
      const seen = JSON.parse(await service.line()) as typeof all;
      for (const name of ['reads', 'writes', 'added'] as const) all[name] += seen[name];
      all.failures.push(...seen.failures);
    }
    return all;
  };
  /** Kills it after so many lines of each run, and then lets it end. */
  const rotate = async (args: string[], ...killedAfter: number[]): Promise<Ended> => {
    const settings = { DATABASE_URL: database.databaseUrl, ENCRYPTION_KEYS: `${k2},${k1}` };
    for (const lines of killedAfter) {
      const run = startOps(settings, 'keys', 'rotate', ...args);
      await run.printed(lines);
      run.kill();
      expect((await run.ended).code).toBe(null);
    }
    return startOps(settings, 'keys', 'rotate', ...args).ended;
  };
  const openAll = async (encryptionKeys: string) => {
    const { db } = database;
    const keys = createAccountKeys(parseMasterKeys(encryptionKeys), systemClock);
    const versions = await db.selectFrom('oauth_tokens').select(['account_id', 'version']).execute();
    const versionOf = new Map(versions.map((row) => [row.account_id, row.version]));
    let opened = 0;
    for (let after: SealedRow | undefined; ;) {
      const rows = await readSealedRows(db, sealedTables[0]!, { limit: 1_000, after });
      after = rows.at(-1);
      if (!after) return opened;
      await Promise.all(
        rows.map(async ({ ref: { accountId }, values }) => {
          const open = await keys.opener(db, accountId);
          for (const { column, place, sealed } of values) {
            const version = column === 'access_token_encrypted' ? versionOf.get(accountId) : 1;
            expect(open(place, sealed)).toBe(plaintextOf(column, accountId, version));
            opened += 1;
          }
        }),
      );
    }
  };

  it('seals 10,000 data keys by the new master key, while nobody fails to open or loses a write', async () => {
    const accounts = 10_000;
    await startServices(accounts);
    const last = await rotate([], 1, 2, 9);
    const seen = await stopServices();
    expect(seen).toMatchObject({ failures: [] });
    expect(Math.min(seen.reads, seen.writes, seen.added)).toBeGreaterThan(0);
    expect(last).toMatchObject({ code: 0, stderr: '' });
    expect(await countByMasterKey(database.db)).toEqual(new Map([['k2', accounts + seen.added]]));
    expect(await openAll(k2)).toBe(2 * (accounts + seen.added));
  });

  it('seals 5,000 values by new data keys, while nobody fails to open or loses a write', async () => {
    const accounts = 2_500;
    await startServices(accounts);
    const last = await rotate(['--data'], 3, 12, 15);
    const seen = await stopServices();
    expect(seen).toMatchObject({ failures: [] });
    expect(Math.min(seen.reads, seen.writes, seen.added)).toBeGreaterThan(0);
    expect(last).toMatchObject({ code: 0, stderr: '' });
    const old = await database.db
      .selectFrom('account_keys as k')
      .innerJoin('oauth_tokens as t', 't.account_id', 'k.account_id')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('k.master_key_id', '=', 'k1')
      .where(({ eb, fn, lit, val }) =>
        eb(
          fn('substring', [eb.ref('t.access_token_encrypted'), lit(2), val(16)]),
          '=',
          fn('uuid_send', ['k.id']),
        ),
      )
      .executeTakeFirstOrThrow();
    expect(old.count).toBe(0);
    expect(await openAll(`${k2},${k1}`)).toBe(2 * (accounts + seen.added));
  });
});
