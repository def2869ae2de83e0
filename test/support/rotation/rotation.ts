/** Keys that rotate while four services read and write tokens; the command is killed in the middle, again and again. */
import { systemClock } from '../../../src/clock.ts';
import type { PostgresDatabase } from '../../../src/db/database.ts';
import { createAccountKeys } from '../../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../../src/oauth/encryption.ts';
import { countByMasterKey } from '../../../src/oauth/keyRotation.ts';
import { readSealedRows, sealedTables, type SealedRow } from '../../../src/oauth/sealedValues.ts';
import { startOps } from '../../ops/runOps.ts';
import { startChild } from '../child.ts';
import { postgresDatabase } from '../databases.ts';
import { addAccounts, masterKey, plaintextOf } from '../sealedAccounts.ts';

export interface Rotation {
  /** Connected before, each with two tokens. */
  accounts: number;
  /** Gives each account a new data key, instead of sealing those that there are by another master key. */
  data: boolean;
  /** One run after the other is killed once it has printed so many lines; then one is let to its end. */
  killedAfter: readonly number[];
  /** Of each of eight, between two reads: they share the processors with the rotation and the database. */
  pauseMs: number;
}

export interface RotationResult {
  /** What the services did, and what they could not do. */
  reads: number;
  writes: number;
  added: number;
  failures: string[];
  /** How the runs ended, the last one let to its end; and what that one had to complain of. */
  codes: (number | null)[];
  stderr: string;
  byMasterKey: ReadonlyMap<string, number>;
  /** Access tokens that a replaced data key sealed. */
  sealedByOld: number;
  /** Values that hold what they should, opened without the old master key where that may go; and the others. */
  opened: number;
  wrong: number;
}

const [k1, k2] = [masterKey('k1', 1), masterKey('k2', 2)];

export async function rotateUnderLoad(options: Rotation): Promise<RotationResult> {
  const { accounts, data, killedAfter, pauseMs } = options;
  const database = (await postgresDatabase()) as PostgresDatabase;
  const { db, databaseUrl } = database;
  const encryptionKeys = `${k2},${k1}`;
  const names = Array.from({ length: accounts }, (_, i) => `account-${i}`);
  await addAccounts(db, k1, names, { tokensOnly: true });
  const services = ['p', 'q', 'r', 's'].map((name) =>
    startChild(
      new URL('serviceAtWork.ts', import.meta.url),
      JSON.stringify({ databaseUrl, accounts, pauseMs, name, encryptionKeys }),
    ),
  );
  try {
    for (const service of services)
      if ((await service.line()) !== 'at work') throw new Error('a service is not at work');
    const start = () =>
      startOps(
        { DATABASE_URL: databaseUrl, ENCRYPTION_KEYS: encryptionKeys },
        ...['keys', 'rotate', ...(data ? ['--data'] : [])],
      );
    const codes = [];
    for (const lines of killedAfter) {
      const run = start();
      await run.printed(lines);
      run.kill();
      codes.push((await run.ended).code);
    }
    const last = await start().ended;

    const seen = { reads: 0, writes: 0, added: 0, failures: [] as string[] };
    for (const service of services) service.send('stop');
    for (const service of services) {
      const one = JSON.parse(await service.line()) as typeof seen;
      for (const name of ['reads', 'writes', 'added'] as const) seen[name] += one[name];
      seen.failures.push(...one.failures);
    }
    return {
      ...seen,
      ...{ codes: [...codes, last.code], stderr: last.stderr },
      byMasterKey: await countByMasterKey(db),
      sealedByOld: await countSealedByOld(database),
      ...(await openAll(database, data ? encryptionKeys : k2)),
    };
  } finally {
    for (const service of services) service.signal('SIGKILL');
    await Promise.all(services.map((service) => service.ended));
    await database.close();
  }
}

async function countSealedByOld({ db }: PostgresDatabase): Promise<number> {
  const { count } = await db
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
  return count;
}

async function openAll({ db }: PostgresDatabase, encryptionKeys: string) {
  const keys = createAccountKeys(parseMasterKeys(encryptionKeys), systemClock);
  const versions = await db.selectFrom('oauth_tokens').select(['account_id', 'version']).execute();
  const versionOf = new Map(versions.map((row) => [row.account_id, row.version]));
  const found = { opened: 0, wrong: 0 };
  for (let after: SealedRow | undefined; ;) {
    const rows = await readSealedRows(db, sealedTables[0]!, { limit: 1_000, after });
    after = rows.at(-1);
    if (!after) return found;
    await Promise.all(
      rows.map(async ({ ref: { accountId }, values }) => {
        const open = await keys.opener(db, accountId);
        for (const { column, place, sealed } of values) {
          const version = column === 'access_token_encrypted' ? versionOf.get(accountId) : 1;
          found[open(place, sealed) === plaintextOf(column, accountId, version) ? 'opened' : 'wrong'] += 1;
        }
      }),
    );
  }
}
