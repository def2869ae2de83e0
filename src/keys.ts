import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from './errors.ts';
import { parseMasterKeys, type MasterKeys } from './oauth/encryption.ts';

/**
 * The master keys of `ENCRYPTION_KEYS`, or, outside production, one generated once in `dataDir` (mode 0600).
 * Processes that start together agree: the file appears whole or not at all, and the first one stays.
 */
export async function loadMasterKeys(setting: string | undefined, dataDir: string): Promise<MasterKeys> {
  if (setting !== undefined) return parseMasterKeys(setting);
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigurationError(`DATA_DIR ${dataDir} cannot be made or used (${error.code}): set another`);
  });
  const file = join(dataDir, 'encryption.keys');
  const written = await readFile(file, 'utf8').catch(() => undefined);
  if (written !== undefined) return parseMasterKeys(written.trim());
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `development:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(draft);
  return parseMasterKeys((await readFile(file, 'utf8')).trim());
}
