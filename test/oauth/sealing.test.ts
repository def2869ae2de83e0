import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { createLog } from '../../src/log.ts';
import { createAccountKeys, type Open } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys, UnsealError } from '../../src/oauth/encryption.ts';
import type { TokenSet } from '../../src/oauth/protocol.ts';
import { createSealing, placeOf, SecretLost, type SealedColumn } from '../../src/oauth/sealing.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';
import { masterKey } from '../support/sealedAccounts.ts';

const ref = { accountId: 'a', id: '00000000-0000-4000-8000-000000000001', integrationId: 'quickbooks' };
const minute = 60_000;

describe('what a token answer becomes in its row', () => {
  const clock = manualClock();
  const now = clock.now();
  const at = (minutes: number) => new Date(now + minutes * minute);
  let database: Database;
  let logged: string;
  let open: Open;
  let sealing: ReturnType<typeof createSealing>;
  beforeEach(async () => {
    database = await embeddedDatabase();
    logged = '';
    const keys = createAccountKeys(parseMasterKeys(masterKey('k1', 1)), clock);
    const log = createLog('info', { write: (text) => void (logged += text) });
    sealing = createSealing({ keys, clock, log });
    await keys.sealer(database.db, 'a');
    open = await keys.opener(database.db, 'a');
  });
  afterEach(() => database.close());

  const old = {
    ...{ external_id: '9341', external_user_id: 'user', generation: 3, refresh_token_encrypted: null },
    ...{ hard_expires_at: null, refresh_token_expires_at: null, credentials_encrypted: null },
  };
  const set: TokenSet = {
    ...{ accessToken: 'access', issuedAt: at(0), expiresAt: at(60), scopes: ['one'], externalId: null },
    ...{ externalUserId: null, refreshExpiresAt: null, hardExpiresAt: null },
  };
  const valuesOf = (more: Partial<TokenSet> = {}, before: object = {}) =>
    sealing.values(database.db, ref, { ...set, ...more }, { ...old, ...before });
  const plain = (column: SealedColumn, sealed: unknown) =>
    sealing.unseal(ref, open, column, sealed as Buffer);

  it('is sealed for its own column, with everything else beside it', async () => {
    const values = await valuesOf({ refreshToken: 'refresh', externalUserId: 'person' });
    expect(plain('access_token_encrypted', values.access_token_encrypted)).toBe('access');
    expect(plain('refresh_token_encrypted', values.refresh_token_encrypted)).toBe('refresh');
    expect(() => plain('refresh_token_encrypted', values.access_token_encrypted)).toThrow(SecretLost);
    expect(values).toMatchObject({
      ...{ account_id: 'a', provider: 'quickbooks', connection_id: ref.id, generation: 3, scopes: ['one'] },
      ...{ external_id: '9341', external_user_id: 'person', issued_at: at(0), expires_at: at(60) },
      ...{ credentials_encrypted: null, hard_expires_at: null, refresh_token_expires_at: null },
      updated_at: at(0),
    });
    const due = (values.refresh_due_at as Date).getTime() - now;
    expect(due).toBeGreaterThanOrEqual(45 * minute);
    expect(due).toBeLessThanOrEqual(48 * minute);
  });

  it('has what the row before it had, where the answer does not say it again', async () => {
    const first = await valuesOf({ refreshToken: 'refresh' });
    const kept = {
      refresh_token_encrypted: first.refresh_token_encrypted,
      ...{ refresh_token_expires_at: at(500), hard_expires_at: at(900) },
    };
    const values = await valuesOf({}, kept);
    expect(values).toMatchObject({ ...kept, external_user_id: 'user' });
    expect(values.refresh_due_at).toBeInstanceOf(Date);
    // A new one has its own end, or none that is known.
    expect(await valuesOf({ refreshToken: 'next', refreshExpiresAt: at(100) }, kept)).toMatchObject({
      refresh_token_expires_at: at(100),
      hard_expires_at: at(900),
    });
    expect(await valuesOf({ refreshToken: 'next' }, { refresh_token_expires_at: at(500) })).toMatchObject({
      refresh_token_expires_at: null,
    });
    // Whichever end comes first.
    expect(await valuesOf({ refreshExpiresAt: at(700), hardExpiresAt: at(600) }, kept)).toMatchObject({
      refresh_token_expires_at: at(600),
      hard_expires_at: at(600),
    });
  });

  it('is refreshed only by what there is to refresh it with', async () => {
    expect((await valuesOf()).refresh_due_at).toBeNull();
    expect((await valuesOf({ refreshToken: 'refresh', expiresAt: null })).refresh_due_at).toBeNull();
    const credentials = { username: 'me', password: 'secret' };
    const values = await valuesOf({}, { credentials_encrypted: credentials });
    expect(values.refresh_due_at).toBeInstanceOf(Date);
    expect(JSON.parse(plain('credentials_encrypted', values.credentials_encrypted))).toEqual(credentials);
    const again = await valuesOf({}, { credentials_encrypted: values.credentials_encrypted });
    expect(again.credentials_encrypted).toBe(values.credentials_encrypted);
  });

  it.each([
    ['CORRUPT', 'USER', /^The stored authorization can no longer be read: connect again\.$/],
    ['KEY_UNAVAILABLE', 'OPERATOR', /missing from ENCRYPTION_KEYS: restore it, or connect again/],
  ] as const)('that does not open is a line in the log and a problem: %s', (code, actor, message) => {
    const closed = () => {
      throw new UnsealError(code, 'data key 7 does not open');
    };
    const failed = (() => {
      try {
        sealing.unseal(ref, closed, 'access_token_encrypted', Buffer.from('sealed-secret'));
      } catch (error) {
        return error as SecretLost;
      }
    })()!;
    expect(failed).toBeInstanceOf(SecretLost);
    expect(failed.problem).toMatchObject({
      ...{ code: 'REAUTHORIZATION_REQUIRED', actor, occurredAt: at(0) },
      message: expect.stringMatching(message) as string,
    });
    expect(JSON.parse(logged)).toMatchObject({
      ...{ connectionId: ref.id, column: 'access_token_encrypted', reason: code },
      msg: 'a stored secret does not open',
      err: { message: 'data key 7 does not open' },
    });
    expect(logged).not.toContain('sealed-secret');
  });

  it('lets through what is no matter of sealing', () => {
    const broken = () => {
      throw new TypeError('a mistake');
    };
    expect(() => sealing.unseal(ref, broken, 'access_token_encrypted', Buffer.of(1))).toThrow(TypeError);
    expect(logged).toBe('');
  });
});

it('a column’s place is in the table of tokens', () => {
  expect(placeOf(ref, 'access_token_encrypted').column).toBe('oauth_tokens.access_token_encrypted');
});
