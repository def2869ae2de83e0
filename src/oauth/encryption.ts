import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { ConfigurationError } from '../errors.ts';

/**
 * Secrets at rest: AES-256-GCM in an envelope. Each account has data keys, which seal its values; a master key, which
 * never leaves the configuration, seals the data keys. Rotating a master key re-seals data keys only, and erasing an
 * account's data keys erases its secrets wherever copies of them lie.
 *
 *   sealed value     version (1) | data key id (16) | nonce (12) | ciphertext | tag (16)
 *   sealed data key  version (1) | nonce (12) | ciphertext (32) | tag (16), in a row that names its master key
 *
 * Nonces are random: one key is good for 2^32 values (NIST SP 800-38D §8.3), far more than an account will ever have.
 */
const version = 1;
const keyBytes = 32;
const idBytes = 16;
const nonceBytes = 12;
/** Given to every cipher: without it Node accepts tags of 4, 8 or 12 bytes. */
const tagBytes = 16;

export interface MasterKey {
  id: string;
  key: KeyObject;
}

export interface MasterKeys {
  sealing: MasterKey;
  byId: ReadonlyMap<string, MasterKey>;
}

/** One row of `account_keys`. */
export interface SealedDataKey {
  accountId: string;
  /** A UUID. */
  id: string;
  masterKeyId: string;
  sealedKey: Buffer;
}

/** Plain only inside the KeyObject, which neither JSON nor `util.inspect` shows. */
export interface DataKey {
  id: string;
  key: KeyObject;
}

/** Where a value belongs. It opens nowhere else. */
export interface Place {
  accountId: string;
  integrationId: string;
  connectionId: string;
  column: string;
}

/**
 * A secret that does not open; the message never holds any of it. KEY_UNAVAILABLE: the key is not here, and bringing
 * it back cures it. CORRUPT: the bytes, or the place that they stand in, are not those that were sealed.
 */
export class UnsealError extends Error {
  override readonly name = 'UnsealError';
  readonly code: 'KEY_UNAVAILABLE' | 'CORRUPT';

  constructor(code: UnsealError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads `id:base64(32 bytes)[,id:base64...]`: the first seals, all open. Throws a `ConfigurationError` that tells
 * which entry is wrong without repeating any of it: parts in the wrong order would put a key into the message.
 */
export function parseMasterKeys(setting: string): MasterKeys {
  const byId = new Map<string, MasterKey>();
  for (const [index, entry] of setting.split(',').entries()) {
    const wrong = (what: string): never => {
      throw new ConfigurationError(`ENCRYPTION_KEYS: entry ${index + 1} ${what}`);
    };
    const colon = entry.indexOf(':');
    if (colon < 0) wrong('is not id:key, where the key is 32 bytes in base64');
    const id = entry.slice(0, colon);
    if (!/^[\w-]{1,32}$/.test(id)) wrong('must have an id of 1 to 32 letters, digits, "_" or "-"');
    const text = entry.slice(colon + 1);
    const bytes = Buffer.from(text, 'base64');
    // Buffer.from skips what is not base64 and takes base64url too: only what encodes back to the same text is strict.
    if (bytes.toString('base64') !== text) wrong(`("${id}") is not strict base64 with its padding`);
    if (bytes.length !== keyBytes) wrong(`("${id}") has ${bytes.length} bytes where a key has ${keyBytes}`);
    if (byId.has(id)) wrong(`repeats the id "${id}"`);
    byId.set(id, { id, key: createSecretKey(bytes) });
  }
  const [sealing] = byId.values();
  return { sealing: sealing!, byId };
}

/** A fresh key for one account, and the row that keeps it. */
export function newDataKey(
  master: MasterKeys,
  accountId: string,
  clock: Clock,
): { row: SealedDataKey; key: DataKey } {
  const id = clock.randomUUID();
  const bytes = clock.randomBytes(keyBytes);
  return {
    row: sealDataKey(master.sealing, accountId, id, bytes, clock),
    key: { id, key: createSecretKey(bytes) },
  };
}

/** The same data key, sealed by the first master key. Throws `UnsealError`. */
export function resealDataKey(master: MasterKeys, row: SealedDataKey, clock: Clock): SealedDataKey {
  const { key } = openDataKey(master, row);
  return sealDataKey(master.sealing, row.accountId, row.id, key.export(), clock);
}

function sealDataKey(
  { id: masterKeyId, key }: MasterKey,
  accountId: string,
  id: string,
  bytes: Buffer,
  clock: Clock,
): SealedDataKey {
  const nonce = clock.randomBytes(nonceBytes);
  const box = encrypt(key, nonce, dataKeyBinding(accountId, id, masterKeyId), bytes);
  return { accountId, id, masterKeyId, sealedKey: Buffer.concat([Buffer.of(version), nonce, box]) };
}

/** Throws `UnsealError`. */
export function openDataKey(master: MasterKeys, row: SealedDataKey): DataKey {
  const masterKey = master.byId.get(row.masterKeyId);
  if (!masterKey)
    throw new UnsealError('KEY_UNAVAILABLE', `master key "${row.masterKeyId}" is not in ENCRYPTION_KEYS`);
  const { sealedKey } = row;
  if (sealedKey[0] !== version || sealedKey.length !== 1 + nonceBytes + keyBytes + tagBytes)
    throw new UnsealError('CORRUPT', `data key ${row.id} has an unknown form`);
  const nonce = sealedKey.subarray(1, 1 + nonceBytes);
  const binding = dataKeyBinding(row.accountId, row.id, row.masterKeyId);
  const bytes = decrypt(masterKey.key, nonce, binding, sealedKey.subarray(1 + nonceBytes));
  if (!bytes)
    throw new UnsealError('CORRUPT', `data key ${row.id} does not open with master key "${row.masterKeyId}"`);
  return { id: row.id, key: createSecretKey(bytes) };
}

export function seal(key: DataKey, place: Place, plaintext: string, clock: Clock): Buffer {
  const nonce = clock.randomBytes(nonceBytes);
  const box = encrypt(key.key, nonce, valueBinding(place, key.id), Buffer.from(plaintext));
  return Buffer.concat([Buffer.of(version), Buffer.from(key.id.replaceAll('-', ''), 'hex'), nonce, box]);
}

/**
 * The id of the data key that a value names: the one key to open it with. Trying several would let a value be made
 * that opens under two of them, since AES-GCM does not commit to its key. Throws `UnsealError` CORRUPT.
 */
export function sealedWith(sealed: Buffer): string {
  if (sealed[0] !== version || sealed.length < 1 + idBytes + nonceBytes + tagBytes)
    throw new UnsealError('CORRUPT', 'the sealed value has an unknown form');
  const hex = sealed.toString('hex', 1, 1 + idBytes);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Throws `UnsealError` CORRUPT, also where the value was sealed with another key than this one. */
export function open(key: DataKey, place: Place, sealed: Buffer): string {
  if (sealedWith(sealed) !== key.id)
    throw new UnsealError('CORRUPT', `the sealed value names another data key than ${key.id}`);
  const start = 1 + idBytes;
  const nonce = sealed.subarray(start, start + nonceBytes);
  const plaintext = decrypt(key.key, nonce, valueBinding(place, key.id), sealed.subarray(start + nonceBytes));
  if (!plaintext)
    throw new UnsealError('CORRUPT', `the value does not open in ${place.column} with data key ${key.id}`);
  return plaintext.toString();
}

/** AES-256-GCM: the ciphertext, then its tag. Exported for the published vectors; everything else uses `seal`. */
export function encrypt(key: KeyObject, nonce: Buffer, additionalData: Buffer, plaintext: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(additionalData);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The inverse of `encrypt`; undefined where the tag does not prove key, nonce, additional data and ciphertext. */
export function decrypt(
  key: KeyObject,
  nonce: Buffer,
  additionalData: Buffer,
  box: Buffer,
): Buffer | undefined {
  if (box.length < tagBytes) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(box.subarray(-tagBytes));
  // `update` hands out plaintext that nothing has proved yet: it must not leave before `final`.
  const unproved = decipher.update(box.subarray(0, -tagBytes));
  try {
    return Buffer.concat([unproved, decipher.final()]);
  } catch {
    return undefined;
  }
}

const valueBinding = ({ accountId, integrationId, connectionId, column }: Place, keyId: string) =>
  binding('value', accountId, integrationId, connectionId, column, keyId);

const dataKeyBinding = (accountId: string, id: string, masterKeyId: string) =>
  binding('data key', accountId, id, masterKeyId);

/** Every field carries its length, so that no two lists of fields give the same bytes, whatever is in them. */
function binding(...fields: string[]): Buffer {
  const parts = [String(version), ...fields].flatMap((field) => {
    const bytes = Buffer.from(field);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(parts);
}
