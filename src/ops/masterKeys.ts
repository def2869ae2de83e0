import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { ConfigurationError } from '../errors.ts';
import { loadMasterKeys } from '../keys.ts';
import type { MasterKeys } from '../oauth/encryption.ts';

/** As the service reads them; undefined where it would make the first one. Here none is made: nothing is sealed by it. */
export async function findMasterKeys({ encryptionKeys, dataDir }: Config): Promise<MasterKeys | undefined> {
  if (encryptionKeys === undefined && !existsSync(join(dataDir, 'encryption.keys'))) return undefined;
  return loadMasterKeys(encryptionKeys, dataDir);
}

export async function getMasterKeys(config: Config): Promise<MasterKeys> {
  const master = await findMasterKeys(config);
  if (!master)
    throw new ConfigurationError(
      `ENCRYPTION_KEYS is not set, and there is no generated key in DATA_DIR ${config.dataDir}: set it as the service has it`,
    );
  return master;
}
