import { createSecretKey } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock as clock } from '../../src/clock.ts';
import { ConfigurationError } from '../../src/errors.ts';
import {
  decrypt,
  encrypt,
  newDataKey,
  open,
  openDataKey,
  parseMasterKeys,
  resealDataKey,
  seal,
  sealedWith,
  UnsealError,
  type DataKey,
  type Place,
} from '../../src/oauth/encryption.ts';

const base64 = (fill: number, length = 32) => Buffer.alloc(length, fill).toString('base64');
const master = parseMasterKeys(`m1:${base64(1)}`);
const place: Place = {
  accountId: 'a',
  integrationId: 'quickbooks',
  connectionId: 'c',
  column: 'oauth_tokens.x',
};
const { key } = newDataKey(master, 'a', clock);
const secret = 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4';

/** The code of the refusal, or what was opened. */
function outcome(attempt: () => unknown): unknown {
  try {
    return { opened: attempt() };
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error;
    // A message with the secret in it equals no code.
    return error.message.includes(secret) ? error.message : error.code;
  }
}

/** With what is bound to it written out by hand, so that no change of the format goes unnoticed. */
async function sealedByWebCrypto(bytes: Buffer, iv: Buffer, fields: readonly string[], plain: Buffer) {
  const additionalData = Buffer.concat(fields.flatMap((f) => [Buffer.of(0, 0, 0, f.length), Buffer.from(f)]));
  const raw = Uint8Array.from(bytes);
  const webKey = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']);
  const algorithm = {
    name: 'AES-GCM',
    iv: Uint8Array.from(iv),
    additionalData: Uint8Array.from(additionalData),
  };
  return Buffer.from(await crypto.subtle.encrypt(algorithm, webKey, Uint8Array.from(plain)));
}

describe('parseMasterKeys', () => {
  it('seals with the first key and keeps all', () => {
    const keys = parseMasterKeys(`new-1:${base64(1)},OLD_2:${base64(2)}`);
    expect(keys.sealing.id).toBe('new-1');
    expect([...keys.byId.keys()]).toEqual(['new-1', 'OLD_2']);
    expect(keys.byId.get('OLD_2')?.key.export()).toEqual(Buffer.alloc(32, 2));
  });

  const unusual = Buffer.alloc(32, 0xff).toString('base64');
  it.each([
    ['nothing', '', 'entry 1 is not id:key'],
    ['a key without an id', base64(1), 'entry 1 is not id:key'],
    ['a comma at the end', `a:${base64(1)},`, 'entry 2 is not id:key'],
    ['an empty id', `:${base64(1)}`, 'entry 1 must have an id'],
    ['an id with a dot', `a.b:${base64(1)}`, 'entry 1 must have an id'],
    ['an id of 33 characters', `${'a'.repeat(33)}:${base64(1)}`, 'entry 1 must have an id'],
    ['a space after the comma', `a:${base64(1)}, b:${base64(2)}`, 'entry 2 must have an id'],
    ['id and key in the wrong order', `${base64(3)}:a`, 'entry 1 must have an id'],
    ['31 bytes', `a:${base64(1, 31)}`, 'entry 1 ("a") has 31 bytes'],
    ['33 bytes', `a:${base64(1)},b:${base64(1, 33)}`, 'entry 2 ("b") has 33 bytes'],
    ['no bytes', 'a:', 'entry 1 ("a") has 0 bytes'],
    ['missing padding', `a:${base64(1).replace('=', '')}`, 'entry 1 ("a") is not strict base64'],
    ['base64url', `a:${unusual.replaceAll('/', '_')}`, 'entry 1 ("a") is not strict base64'],
    ['a line break at the end', `a:${base64(1)}\n`, 'entry 1 ("a") is not strict base64'],
    [
      'a character in the middle',
      `a:${base64(1).replace('AQE', 'A*QE')}`,
      'entry 1 ("a") is not strict base64',
    ],
    ['bits behind the last byte', `a:${'A'.repeat(42)}B=`, 'entry 1 ("a") is not strict base64'],
    ['hexadecimal', `a:${'ab'.repeat(32)}`, 'entry 1 ("a") has 48 bytes'],
    ['one id twice', `a:${base64(1)},a:${base64(2)}`, 'entry 2 repeats the id "a"'],
  ])('refuses %s in one line without key material', (_, setting, message) => {
    const error = (() => {
      try {
        return parseMasterKeys(setting);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(ConfigurationError);
    const text = (error as Error).message;
    expect(text).toContain(`ENCRYPTION_KEYS: ${message}`);
    expect(text).not.toContain('\n');
    for (const [run] of setting.matchAll(/[A-Za-z0-9+/]{12,}/g)) expect(text).not.toContain(run);
  });
});

describe('data keys', () => {
  it('open again from their rows', () => {
    const made = newDataKey(master, 'a', clock);
    const opened = openDataKey(master, made.row);
    expect(opened.id).toBe(made.row.id);
    expect(open(opened, place, seal(made.key, place, secret, clock))).toBe(secret);
  });

  it('open after their master key has stopped sealing, and not when it is gone', () => {
    const { row } = newDataKey(master, 'a', clock);
    const rotated = parseMasterKeys(`m2:${base64(2)},m1:${base64(1)}`);
    expect(openDataKey(rotated, row).id).toBe(row.id);
    expect(newDataKey(rotated, 'a', clock).row.masterKeyId).toBe('m2');
    const removed = parseMasterKeys(`m2:${base64(2)}`);
    expect(() => openDataKey(removed, row)).toThrow('master key "m1" is not in ENCRYPTION_KEYS');
    expect(outcome(() => openDataKey(removed, row))).toBe('KEY_UNAVAILABLE');
  });

  const two = parseMasterKeys(`m1:${base64(1)},m2:${base64(2)},same:${base64(1)}`);
  const { row } = newDataKey(two, 'a', clock);
  it.each([
    ['another account', { accountId: 'b' }],
    ['another id', { id: '00000000-0000-4000-8000-000000000000' }],
    ['another master key', { masterKeyId: 'm2' }],
    ['the same master key by another id', { masterKeyId: 'same' }],
    ['a byte less', { sealedKey: row.sealedKey.subarray(0, -1) }],
    ['a byte more', { sealedKey: Buffer.concat([row.sealedKey, Buffer.of(0)]) }],
    ['no bytes', { sealedKey: Buffer.alloc(0) }],
    ['the version of the future', { sealedKey: Buffer.concat([Buffer.of(2), row.sealedKey.subarray(1)]) }],
  ])('do not open from a row with %s', (_, change) => {
    expect(outcome(() => openDataKey(two, row))).toEqual({
      opened: { id: row.id, key: expect.anything() as unknown },
    });
    expect(outcome(() => openDataKey(two, { ...row, ...change }))).toBe('CORRUPT');
  });

  it('do not open with any bit flipped', () => {
    for (const changed of flips(row.sealedKey))
      expect(outcome(() => openDataKey(two, { ...row, sealedKey: changed }))).toBe('CORRUPT');
  });

  it('are sealed to the documented bytes', async () => {
    const id = '00112233-4455-4677-8899-aabbccddeeff';
    const nonce = Buffer.from('cafebabefacedbaddecaf888', 'hex');
    const bytes = Buffer.alloc(32, 9);
    const random = [bytes, nonce];
    const fixed = { ...clock, randomUUID: () => id, randomBytes: () => random.shift()! };
    const box = await sealedByWebCrypto(Buffer.alloc(32, 1), nonce, ['1', 'data key', 'a', id, 'm1'], bytes);
    const { sealedKey } = newDataKey(master, 'a', fixed).row;
    expect(sealedKey.toString('hex')).toBe(Buffer.concat([Buffer.of(1), nonce, box]).toString('hex'));
  });

  it('stay the same when another master key seals them', () => {
    const made = newDataKey(master, 'a', clock);
    const rotated = parseMasterKeys(`m2:${base64(2)},m1:${base64(1)}`);
    const again = resealDataKey(rotated, made.row, clock);
    expect(again).toMatchObject({ accountId: 'a', id: made.row.id, masterKeyId: 'm2' });
    const opened = openDataKey(parseMasterKeys(`m2:${base64(2)}`), again);
    expect(open(opened, place, seal(made.key, place, secret, clock))).toBe(secret);
  });

  it('say why they do not open', () => {
    const { row } = newDataKey(master, 'a', clock);
    const why = (sealedKey: Buffer) => () => openDataKey(master, { ...row, sealedKey });
    const form = { name: 'UnsealError', code: 'CORRUPT', message: `data key ${row.id} has an unknown form` };
    expect(why(Buffer.concat([Buffer.of(2), row.sealedKey.subarray(1)]))).toThrow(
      expect.objectContaining(form),
    );
    expect(why(row.sealedKey.subarray(0, -1))).toThrow(expect.objectContaining(form));
    expect(why(Buffer.concat([row.sealedKey, Buffer.of(0)]))).toThrow(expect.objectContaining(form));
    expect(why(Buffer.concat([row.sealedKey.subarray(0, -1), Buffer.of(0)]))).toThrow(
      `data key ${row.id} does not open with master key "m1"`,
    );
  });

  it('show nothing of themselves when printed', () => {
    const bytes = key.key.export();
    for (const text of [
      inspect(key, { depth: 9, showHidden: true }),
      JSON.stringify(key),
      inspect(master, { depth: 9 }),
    ])
      for (const plain of [bytes, Buffer.alloc(32, 1)])
        for (const form of [plain.toString('hex'), plain.toString('base64')])
          expect(text).not.toContain(form);
  });
});

describe('seal and open', () => {
  it('give back any text, and name the data key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const sealed = seal(key, place, text, clock);
        expect(open(key, place, sealed)).toBe(text);
        expect(sealedWith(sealed)).toBe(key.id);
      }),
    );
  });

  it('seal to the documented bytes', async () => {
    const id = '00112233-4455-4677-8899-aabbccddeeff';
    const bytes = Buffer.alloc(32, 7);
    const nonce = Buffer.from('cafebabefacedbaddecaf888', 'hex');
    const fields = ['1', 'value', 'a', 'quickbooks', 'c', 'oauth_tokens.x', id];
    const box = await sealedByWebCrypto(bytes, nonce, fields, Buffer.from('tök'));
    const header = Buffer.from(`01${id.replaceAll('-', '')}`, 'hex');
    const fixed = { ...clock, randomBytes: () => nonce };
    expect(seal({ id, key: createSecretKey(bytes) }, place, 'tök', fixed).toString('hex')).toBe(
      Buffer.concat([header, nonce, box]).toString('hex'),
    );
  });

  it('refuse a value in every other place of 4 accounts, 3 providers and 3 columns', () => {
    const shared = newDataKey(master, 'shared', clock).key;
    const places = ['a', 'b', 'a:b', ''].flatMap((accountId) => {
      const own = newDataKey(master, accountId, clock).key;
      return ['quickbooks', 'slack', 'b:quickbooks'].flatMap((integrationId) =>
        ['access', 'refresh', 'verifier'].map((column) => ({
          at: { accountId, integrationId, connectionId: 'c', column },
          own,
        })),
      );
    });
    const sealed = places.map(({ at, own }) => ({
      own: seal(own, at, secret, clock),
      shared: seal(shared, at, secret, clock),
    }));
    let refused = 0;
    for (const [i, source] of places.entries()) {
      for (const [j, target] of places.entries()) {
        const attempts = [
          outcome(() => open(target.own, target.at, sealed[i]!.own)),
          // Whoever moves rows moves the key's too: the place alone must be enough to refuse.
          outcome(() => open(source.own, target.at, sealed[i]!.own)),
          outcome(() => open(shared, target.at, sealed[i]!.shared)),
        ];
        expect(attempts).toEqual(Array(3).fill(i === j ? { opened: secret } : 'CORRUPT'));
        if (i !== j) refused += 1;
      }
    }
    expect(refused).toBe(36 * 35);
  });

  it('refuse a value of another connection, and fields that only look the same when joined', () => {
    const sealed = seal(key, { ...place, integrationId: 'ab', connectionId: 'c' }, secret, clock);
    expect(outcome(() => open(key, { ...place, integrationId: 'ab', connectionId: 'd' }, sealed))).toBe(
      'CORRUPT',
    );
    expect(outcome(() => open(key, { ...place, integrationId: 'a', connectionId: 'bc' }, sealed))).toBe(
      'CORRUPT',
    );
    expect(outcome(() => open(key, { ...place, integrationId: 'abc', connectionId: '' }, sealed))).toBe(
      'CORRUPT',
    );
  });

  it('refuse a value with any bit flipped', () => {
    let tried = 0;
    for (const text of ['', 'x', secret, 'ü'.repeat(100)]) {
      for (let blob = 0; blob < 5; blob++) {
        for (const changed of flips(seal(key, place, text, clock))) {
          expect(outcome(() => open(key, place, changed))).toBe('CORRUPT');
          tried += 1;
        }
      }
    }
    expect(tried).toBeGreaterThan(10_000);
  });

  it.each(['', 'x', secret])(
    'refuse the value of %j cut to any length, tags of 4, 8 and 12 bytes among them',
    (text) => {
      const sealed = seal(key, place, text, clock);
      for (let length = 0; length < sealed.length; length++)
        expect(outcome(() => open(key, place, sealed.subarray(0, length)))).toBe('CORRUPT');
      expect(outcome(() => open(key, place, Buffer.concat([sealed, Buffer.of(0)])))).toBe('CORRUPT');
    },
  );

  it('refuse a value that names another key, although the bytes of the key are right', () => {
    const other: DataKey = { id: newDataKey(master, 'a', clock).row.id, key: key.key };
    expect(outcome(() => open(other, place, seal(key, place, secret, clock)))).toBe('CORRUPT');
  });

  it('say why they refuse', () => {
    const sealed = seal(key, place, '', clock);
    expect(sealed).toHaveLength(1 + 16 + 12 + 16);
    expect(() => open(key, place, sealed.subarray(0, -1))).toThrow('the sealed value has an unknown form');
    expect(() => sealedWith(Buffer.concat([Buffer.of(2), sealed.subarray(1)]))).toThrow(
      'the sealed value has an unknown form',
    );
    const other: DataKey = { id: newDataKey(master, 'a', clock).row.id, key: key.key };
    expect(() => open(other, place, sealed)).toThrow(
      `the sealed value names another data key than ${other.id}`,
    );
    expect(() => open(key, { ...place, accountId: 'b' }, sealed)).toThrow(
      `the value does not open in oauth_tokens.x with data key ${key.id}`,
    );
  });

  it('never use a nonce twice', () => {
    const count = 50_000;
    const nonces = new Set<string>();
    for (let i = 0; i < count; i++) nonces.add(seal(key, place, 'x', clock).toString('latin1', 17, 29));
    expect(nonces.size).toBe(count);
  });

  it('hold nothing of the plain text', () => {
    expect(seal(key, place, secret, clock).includes(Buffer.from(secret).subarray(0, 8))).toBe(false);
  });
});

/** Test cases 13 to 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega), which NIST points to. */
describe('encrypt and decrypt', () => {
  const zeros = '00'.repeat(32);
  const feff = 'feffe9928665731c6d6a8f9467308308'.repeat(2);
  const text =
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
    '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
  const cipher =
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
    '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
  const hex = (digits: string) => Buffer.from(digits, 'hex');

  it.each([
    [13, zeros, '00'.repeat(12), '', '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
    [
      14,
      zeros,
      '00'.repeat(12),
      '',
      '00'.repeat(16),
      'cea7403d4d606b6e074ec5d3baf39d18',
      'd0d1c8a799996bf0265b98b5d48ab919',
    ],
    [15, feff, 'cafebabefacedbaddecaf888', '', text, cipher, 'b094dac5d93471bdec1a502270e3cc6c'],
    [
      16,
      feff,
      'cafebabefacedbaddecaf888',
      'feedfacedeadbeeffeedfacedeadbeefabaddad2',
      text.slice(0, 120),
      cipher.slice(0, 120),
      '76fc6ece0f4e1768cddf8853bb2d551b',
    ],
  ])('agree with test case %i', (_, keyHex, nonce, additional, plaintext, ciphertext, tag) => {
    const secretKey = createSecretKey(hex(keyHex));
    const box = encrypt(secretKey, hex(nonce), hex(additional), hex(plaintext));
    expect(box.toString('hex')).toBe(ciphertext + tag);
    expect(decrypt(secretKey, hex(nonce), hex(additional), box)).toEqual(hex(plaintext));
    expect(
      decrypt(secretKey, hex(nonce), hex(additional), hex(ciphertext + tag.slice(0, 24))),
    ).toBeUndefined();
    expect(decrypt(secretKey, hex(nonce), hex(`${additional}00`), box)).toBeUndefined();
  });
});

function* flips(bytes: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    yield changed;
  }
}
