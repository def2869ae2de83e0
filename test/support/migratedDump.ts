/**
 * Embedded databases that are migrated already. Making one takes four seconds, loading its dump 0.3 and copying its
 * directory 0.1, so both are kept from run to run, under a name that changes with everything that decides their content.
 */
import { createHash, randomUUID } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../src/db/database.ts';
import { pgliteOptions } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';

let dump: Promise<Blob> | undefined;

/** For PGlite's `loadDataDir`. */
export function migratedDump(): Promise<Blob> {
  return (dump ??= kept('.tar', makeDump).then(async (path) => new Blob([await readFile(path)])));
}

/** A new data directory; the caller deletes it. */
export async function migratedDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'integrations-'));
  await fillDataDir(dataDir);
  return dataDir;
}

/** Made where it is missing. */
export async function fillDataDir(dataDir: string): Promise<void> {
  await cp(await kept('', makeDirectory), dataDir, { recursive: true });
}

/** @param make writes it to the path that it is given */
async function kept(extension: string, make: (path: string) => Promise<void>): Promise<string> {
  const cache = new URL('node_modules/.cache/test-databases/', root);
  await mkdir(cache, { recursive: true });
  const name = `${await contentHash()}${extension}`;
  const path = fileURLToPath(new URL(name, cache));
  if ((await readdir(cache)).includes(name)) return path;
  const draft = `${path}.${randomUUID()}`;
  await make(draft);
  // Another process may have been faster.
  await rename(draft, path).catch(() => rm(draft, { recursive: true }));
  return path;
}

const root = new URL('../../', import.meta.url);

const deciding = ['package-lock.json', 'src/db/embedded.ts', 'test/support/migratedDump.ts'];

async function contentHash(): Promise<string> {
  const migrations = await readdir(new URL('migrations/', root));
  const hash = createHash('sha256');
  for (const file of [...deciding, ...migrations.map((name) => `migrations/${name}`)])
    hash.update(file).update(await readFile(new URL(file, root)));
  return hash.digest('hex');
}

/** 15 MB instead of the product's 40: with short segments of the log, and without the templates, which nobody copies. */
async function makeDump(path: string): Promise<void> {
  const pglite = await PGlite.create('memory://', {
    ...pgliteOptions,
    initDbStartParams: ['--wal-segsize=1'],
  });
  await pglite.exec(`update pg_database set datistemplate = false where datistemplate`);
  for (const template of ['template0', 'template1']) await pglite.exec(`drop database ${template}`);
  const database = await openDatabase({ dataDir: '', poolSize: 1, pglite });
  await migrate(database);
  await pglite.exec('checkpoint');
  const blob = await pglite.dumpDataDir('none');
  await database.close();
  await writeFile(path, Buffer.from(await blob.arrayBuffer()));
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(join(path, 'db'), { recursive: true, mode: 0o700 });
  await (
    await PGlite.create(join(path, 'db'), { ...pgliteOptions, loadDataDir: await migratedDump() })
  ).close();
}
