import type { Kysely } from 'kysely';
import type { Tables } from '../db/tables.ts';
import { dataKeysOf, openerOf } from '../oauth/accountKeys.ts';
import { UnsealError, type MasterKeys } from '../oauth/encryption.ts';
import { countByMasterKey, missingOf } from '../oauth/keyRotation.ts';
import { readSealedRows, sealedTables } from '../oauth/sealedValues.ts';
import { counted } from './command.ts';
import { fail, ok, warn, type Finding } from './finding.ts';

/** Of each table. */
const sampleSize = 20;

/** @param master undefined: none is set and none was generated */
export async function* checkKeys(
  db: Kysely<Tables>,
  master: MasterKeys | undefined,
): AsyncGenerator<Finding> {
  const rows = await countByMasterKey(db);
  if (!master) {
    if (rows.size === 0) yield ok('keys', 'none yet: the first start outside production makes one');
    else
      yield fail(
        'keys',
        `there is no master key, and ${[...rows.keys()].map((id) => `"${id}"`).join(', ')} is in use`,
        'set ENCRYPTION_KEYS as it was, or bring DATA_DIR/encryption.keys back',
      );
    return;
  }
  const first = master.sealing.id;
  for (const id of master.byId.keys()) {
    const count = rows.get(id) ?? 0;
    if (id === first) yield ok('keys', `"${id}" seals; ${counted(count, 'data key')}`);
    else if (count === 0)
      yield ok('keys', `"${id}" is in no use: it may be removed, once every process has "${first}" first`);
    else
      yield warn(
        'keys',
        `"${id}" still seals ${counted(count, 'data key')}`,
        `npm run ops -- keys rotate seals them by "${first}"`,
      );
  }
  for (const [id, count] of missingOf(rows, master))
    yield fail(
      'keys',
      `"${id}" is not in ENCRYPTION_KEYS and seals ${counted(count, 'data key')}: what they seal cannot be opened`,
      'put it back',
    );
}

/** From anywhere in each table: whether it opens in its place. */
export async function checkSealedValues(db: Kysely<Tables>, master: MasterKeys): Promise<Finding> {
  let opened = 0;
  const refused: string[] = [];
  for (const table of sealedTables) {
    const rows = await readSealedRows(db, table, { limit: sampleSize, order: 'random' });
    if (rows.length === 0) continue;
    const keys = Map.groupBy(
      await dataKeysOf(db, [...new Set(rows.map(({ ref }) => ref.accountId))]),
      (key) => key.accountId,
    );
    for (const { ref, values } of rows) {
      const open = openerOf(master, keys.get(ref.accountId) ?? []);
      for (const { column, place, sealed } of values)
        try {
          open(place, sealed);
          opened += 1;
        } catch (error) {
          if (!(error instanceof UnsealError)) throw error;
          refused.push(`${table.name}.${column} of connection ${ref.id}: ${error.message}`);
        }
    }
  }
  if (refused.length > 0)
    return fail(
      'sealed values',
      `${refused.length} of ${opened + refused.length} looked at do not open, e.g. ${refused[0]!}`,
      'bring the key back; where it is lost, or the bytes are damaged, those who are connected have to connect again',
    );
  return ok('sealed values', `${opened} of ${opened} looked at open`);
}
