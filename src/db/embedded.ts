import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite, types, type PGliteOptions } from '@electric-sql/pglite';
import { ConfigurationError } from '../errors.ts';
import { lockDirectory } from './directoryLock.ts';

/** What every PGlite of ours is opened with. */
export const pgliteOptions = {
  /** It answers as `pg` does: `bytea` as Buffer, `int8` as number (as bigint past 2^53). */
  parsers: { [types.BYTEA]: (text) => Buffer.from(text.slice(2), 'hex') },
  // A start touches all of them: docs/decisions/0020-small-shared-buffers.md.
  startParams: [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB'],
} satisfies PGliteOptions;

/**
 * Opens the database in `dataDir/db`, made where there is none, and holds the directory's lock until `close`.
 *
 * Safe against a killed process: what was acknowledged is there at the next start. Not safe against power loss, since
 * PGlite runs PostgreSQL with `fsync=off`.
 */
export async function openEmbedded(dataDir: string): Promise<{ pglite: PGlite; release(): void }> {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ConfigurationError(`DATA_DIR ${dataDir} cannot be created: ${(error as Error).message}`);
  }
  const lock = lockDirectory(dataDir);
  try {
    return { pglite: await openDirectory(dataDir), release: lock.release };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function openDirectory(dataDir: string): Promise<PGlite> {
  const directory = join(dataDir, 'db');
  // Stands while the first start fills the directory. A process that is killed meanwhile leaves half a database,
  // which PGlite takes for a whole one and then cannot open.
  const creating = join(dataDir, 'db.creating');
  if (existsSync(creating)) rmSync(directory, { recursive: true, force: true });
  const fresh = !existsSync(join(directory, 'PG_VERSION'));
  if (fresh) writeFileSync(creating, '');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  try {
    const pglite = await PGlite.create(directory, pgliteOptions);
    if (fresh) rmSync(creating);
    return pglite;
  } catch (error) {
    // Without the cause: it shows a line of PGlite of several hundred kilobytes.
    // PGlite throws errors of the file system as plain objects.
    const reason = String((error as Partial<Error>).message ?? error)
      .split('\n')[0]
      ?.slice(0, 200);
    throw new ConfigurationError(
      `The embedded database in ${directory} cannot be opened: ${reason}; restore a copy of DATA_DIR, or set another one`,
    );
  }
}
