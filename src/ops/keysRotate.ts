import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { openDatabaseClock } from '../db/databaseClock.ts';
import {
  countOldDataKeys,
  deleteOldDataKeys,
  graceMsOf,
  rotateDataKeys,
  type DataKeyDeps,
} from '../oauth/dataKeyRotation.ts';
import type { MasterKeys } from '../oauth/encryption.ts';
import { missingOf, rotateMasterKey } from '../oauth/keyRotation.ts';
import { counted, UsageError, type Call, type Command, type ExitCode } from './command.ts';
import { getMasterKeys } from './masterKeys.ts';
import { requireSameSchema } from './schema.ts';

export const keysRotate: Command = {
  verb: ['keys', 'rotate'],
  operands: [],
  options: {
    data: { type: 'boolean', says: 'gives each account a new data key instead' },
    account: { type: 'string', value: '<accountId>', says: 'with --data: only this account' },
  },
  summary: 'Seals every data key by the first key of ENCRYPTION_KEYS.',
  details: `ENCRYPTION_KEYS must hold the old and the new keys, as the services' own does, which go on meanwhile.
Killed at any moment it loses nothing: run it again and it goes on.

With --data each account gets a new data key, which seals from then on, and every sealed value of the account
is sealed anew by it. Accounts that got one a few minutes ago, by a run that was killed, are not given another.

Either way, data keys that were replaced a while ago and that no value names are deleted: at least 15 minutes
after the newer key came, since services that are at work may still write what the old one sealed.`,
  async run(call) {
    const { options, settings, open } = call;
    if (options['account'] !== undefined && options['data'] !== true)
      throw new UsageError('--account goes with --data');
    const accountId = options['account'] as string | undefined;
    const master = await getMasterKeys((await settings()).config);
    const database = await open();
    await requireSameSchema(database.db);
    return options['data'] === true
      ? rotateData(call, database, master, accountId)
      : rotateMaster(call, database, master);
  },
};

async function rotateMaster(
  { print, settings }: Call,
  database: Database,
  master: MasterKeys,
): Promise<ExitCode> {
  const first = master.sealing.id;
  await print(
    `Sealing data keys by "${first}", the first of ENCRYPTION_KEYS: every running process must have it, too.`,
  );
  return withDeps(database, master, (await settings()).config, async (deps) => {
    await deleteOld(print, deps, undefined);
    const { resealed, corrupt, rows } = await rotateMasterKey(deps, (done) =>
      print(`sealed anew: ${counted(done, 'data key')}`),
    );
    const missing = missingOf(rows, master);
    const known = [...master.byId.keys()].map((id) => [id, rows.get(id) ?? 0] as const);
    const left = known.filter(([id, count]) => id !== first && count > 0);

    await print(`Done: ${counted(resealed, 'data key')} sealed anew. Data keys by master key:`);
    for (const [id, count] of known) await print(`  ${id}  ${count}${id === first ? '  (seals)' : ''}`);
    for (const [id, count] of missing) await print(`  ${id}  ${count}  NOT IN ENCRYPTION_KEYS`);
    const free = known.filter(([id, count]) => id !== first && count === 0).map(([id]) => id);
    if (free.length > 0)
      await print(
        `May be removed from ENCRYPTION_KEYS, once every process has "${first}" as its first key: ${free.join(', ')}.\n` +
          `Backups made before now still need ${free.length > 1 ? 'them' : 'it'}: keep a copy as long as you keep those.`,
      );
    for (const [id, count] of missing)
      await print(
        `FAIL  ${counted(count, 'data key')} cannot be opened: put "${id}" back into ENCRYPTION_KEYS, and run this again`,
      );
    if (corrupt.count > 0)
      await print(
        `FAIL  ${counted(corrupt.count, 'data key')} of the database do not open by the master key that they name ` +
          `(its bytes in ENCRYPTION_KEYS may be wrong):\n${corrupt.examples.map((example) => `      ${example}`).join('\n')}`,
      );
    for (const [id, count] of corrupt.count > 0 ? [] : left)
      await print(
        `FAIL  ${counted(count, 'data key')} sealed by "${id}" came meanwhile: some process still has "${id}" as its ` +
          `first key. Give it "${first}" first, and run this again`,
      );
    return missing.size > 0 || left.length > 0 ? 1 : 0;
  });
}

async function rotateData(
  { print, settings }: Call,
  database: Database,
  master: MasterKeys,
  accountId: string | undefined,
): Promise<ExitCode> {
  return withDeps(database, master, (await settings()).config, async (deps) => {
    await deleteOld(print, deps, accountId);
    const so = await rotateDataKeys(deps, accountId, ({ renewed, resealed }) =>
      print(`new: ${counted(renewed, 'data key')}; sealed anew: ${counted(resealed, 'value')}`),
    );
    const { renewed, young, resealed, unopened, busy } = so;
    const minutes = Math.ceil(deps.graceMs / 60_000);
    if (accountId !== undefined && renewed + young === 0) {
      await print(`The account ${accountId} has no data key: nothing of it is sealed.`);
      return 1;
    }
    await print(
      `Done: ${counted(renewed, 'account')} got a new data key, ${counted(resealed, 'value')} sealed anew.`,
    );
    if (young > 0)
      await print(
        `${counted(young, 'account')} got one less than ${minutes} minutes ago, and no other: run this again later if ` +
          `that one is to be replaced, too.`,
      );
    const old = await countOldDataKeys(deps.db, accountId);
    if (old > 0)
      await print(
        `${counted(old, 'old data key')} ${old === 1 ? 'stays' : 'stay'} for now: services that are at work may still write what they sealed. ` +
          `Run npm run ops -- keys rotate in ${minutes} minutes or later to delete them.`,
      );
    if (busy > 0) await print(`FAIL  ${counted(busy, 'value')} changed whenever we looked: run this again`);
    if (unopened.count > 0)
      await print(
        `FAIL  ${counted(unopened.count, 'value')} cannot be opened and stay as they are:\n` +
          unopened.examples.map((example) => `      ${example}`).join('\n'),
      );
    return busy > 0 || unopened.count > 0 ? 1 : 0;
  });
}

async function withDeps<T>(
  database: Database,
  master: MasterKeys,
  { requestTimeoutMs }: Config,
  work: (deps: DataKeyDeps) => Promise<T>,
): Promise<T> {
  const { clock, close } = await openDatabaseClock(database, systemClock, () => undefined);
  try {
    return await work({ db: database.db, master, clock, graceMs: graceMsOf(requestTimeoutMs) });
  } finally {
    await close();
  }
}

async function deleteOld(
  print: Call['print'],
  deps: DataKeyDeps,
  accountId: string | undefined,
): Promise<void> {
  const deleted = await deleteOldDataKeys(deps, accountId);
  if (deleted > 0) await print(`Deleted: ${counted(deleted, 'old data key')} that no value names any more.`);
}
