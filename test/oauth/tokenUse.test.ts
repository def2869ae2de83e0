import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createWakeups, type Wakeups } from '../../src/db/wakeups.ts';
import type { ConnectionRef } from '../../src/oauth/accountKeys.ts';
import { createRefresher } from '../../src/oauth/refresh.ts';
import { createSealing } from '../../src/oauth/sealing.ts';
import type { TokenRow, TokenRows } from '../../src/oauth/tokenRows.ts';
import { createTokens, type Tokens } from '../../src/oauth/tokens.ts';
import { databaseKinds } from '../support/databases.ts';
import { failureOf, openGrants, renewed, type Grants } from './grantParts.ts';

const second = 1_000;
const gone = { status: 400, body: { error: 'invalid_grant' } };
const stored = (code: string) =>
  ({
    code,
    message: 'As it was.',
    retryable: true,
    actor: 'PROVIDER',
    occurredAt: '2026-01-01T00:00:00Z',
  }) as never;

describe.each(databaseKinds)('the token of a connection, %s', (_kind, open) => {
  let parts: Grants;
  let rows: TokenRows;
  let wakeups: Wakeups;
  let tokens: Tokens;
  let outcomes: string[];
  beforeEach(async () => {
    parts = await openGrants(open, 3_000);
    parts.answer(renewed);
    outcomes = [];
    ({ rows } = parts);
    wakeups = createWakeups(systemClock);
    make();
  });
  afterEach(() => parts.close());

  const make = () => {
    const sealing = createSealing(parts);
    const nothing = () => Promise.resolve();
    const news = { renewed: () => Promise.resolve(true), troubled: nothing, refused: nothing };
    tokens = createTokens({
      ...{ ...parts, rows, sealing, wakeups },
      refresher: createRefresher({ ...parts, rows, sealing, news }),
      onRefreshed: (integrationId, outcome) => outcomes.push(`${integrationId} ${outcome}`),
    });
  };
  const at = (seconds: number) => new Date(parts.now().getTime() + seconds * second);
  const expired = () => ({ expires_at: at(-1), refresh_due_at: at(-60) });
  const connected = (more: Partial<TokenRow> = {}, integrationId = 'single') =>
    parts.connected(integrationId, more);
  const rowOf = async (ref: ConnectionRef) => (await rows.find(ref))!.row;
  const old = { value: 'old-access', version: 1 };
  const fresh = { value: 'new-access', version: 2 };

  describe('is used', () => {
    it('as it is while it is young', async () => {
      const ref = await connected({ refresh_due_at: at(60) });
      expect(await tokens.accessToken(ref)).toEqual(old);
      expect(await tokens.present(ref)).toEqual(old);
      expect([parts.requests, outcomes]).toEqual([[], []]);
    });

    it('renewed once it is due, once for all who ask', async () => {
      const ref = await connected();
      const all = await Promise.all(Array.from({ length: 20 }, () => tokens.accessToken(ref)));
      expect(new Set(all.map(({ value }) => value))).toEqual(new Set(['new-access']));
      expect(parts.requests).toHaveLength(1);
      expect([outcomes, parts.priorities]).toEqual([['single OK'], ['interactive']]);
    });

    it('by its own connection, however many are renewed at one moment', async () => {
      const [a, b] = [await connected(), await parts.connected('single', {}, { accountId: 'b' })];
      const body = (name: string) => ({ body: { ...renewed.body, access_token: name }, afterMs: 100 });
      parts.answer(body('one'), body('two'));
      const [ofA, ofB] = await Promise.all([tokens.accessToken(a), tokens.accessToken(b)]);
      expect([ofA.value, ofB.value].toSorted()).toEqual(['one', 'two']);
      expect(await Promise.all([tokens.present(a), tokens.present(b)])).toEqual([ofA, ofB]);
    });

    it('as it is where it has no end', async () => {
      const ref = await connected({ expires_at: null, refresh_due_at: null });
      expect(await tokens.accessToken(ref)).toEqual(old);
    });

    it('no more where the connection is ended while it is renewed', async () => {
      const ref = await connected();
      parts.answer({ ...gone, afterMs: 150 });
      const asked = failureOf(tokens.accessToken(ref));
      while (parts.requests.length === 0) await sleep(5);
      await parts.db.deleteFrom('oauth_tokens').execute();
      expect(await asked).toMatchObject({ code: 'NOT_CONNECTED' });
    });

    it('as it is where its refresh takes longer than a second, which goes on for the next', async () => {
      const ref = await connected();
      parts.answer({ ...renewed, afterMs: 1_800 });
      const since = performance.now();
      expect(await tokens.accessToken(ref)).toEqual(old);
      expect(performance.now() - since).toBeGreaterThan(900);
      expect(performance.now() - since).toBeLessThan(1_750);
      await sleep(1_200);
      expect(await tokens.accessToken(ref)).toEqual(fresh);
      expect(parts.requests).toHaveLength(1);
    });

    it('only renewed once it has run out, however long that takes', async () => {
      const ref = await connected(expired());
      parts.answer({ ...renewed, afterMs: 1_300 });
      expect(await tokens.accessToken(ref)).toEqual(fresh);
    });

    it.each([
      ['fails', { status: 500 }, 'PROVIDER_ERROR'],
      ['is refused for our own sake', { status: 401, body: { error: 'invalid_client' } }, 'NOT_CONFIGURED'],
    ])('as it is while it is valid and its refresh %s', async (_, fault, code) => {
      const ref = await connected();
      parts.answer(fault);
      expect(await tokens.accessToken(ref)).toEqual(old);
      expect(outcomes).toEqual([`single ${code}`]);
      const other = await connected(expired(), 'company');
      expect(await failureOf(tokens.accessToken(other))).toMatchObject({ code });
    });

    it('no more where the grant is gone, and nobody asks again', async () => {
      const ref = await connected();
      parts.answer(gone);
      for (let i = 0; i < 3; i++)
        expect(await failureOf(tokens.accessToken(ref))).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
      expect(await failureOf(tokens.renew(ref, 'user-1'))).toMatchObject({
        code: 'REAUTHORIZATION_REQUIRED',
      });
      expect(parts.requests).toHaveLength(1);
    });

    it('not where there is none', async () => {
      const ref = { accountId: 'a', id: systemClock.randomUUID(), integrationId: 'single' };
      expect((await failureOf(tokens.accessToken(ref))).problem).toMatchObject({
        ...{ code: 'REAUTHORIZATION_REQUIRED', message: 'The connection has no tokens.' },
      });
      for (const ask of [tokens.present(ref), tokens.renew(ref, null)])
        expect((await failureOf(ask)).problem).toMatchObject({
          ...{ code: 'NOT_CONNECTED', message: 'The connection has no tokens.' },
          occurredAt: expect.any(Date) as Date,
        });
    });

    it('as it is while an earlier failure cools down, which others are told once it has run out', async () => {
      const cooling = { refresh_retry_at: at(90.5), refresh_failures: 1 };
      const ref = await connected(cooling);
      expect(await tokens.accessToken(ref)).toEqual(old);
      const told = { ...cooling, ...expired(), refresh_problem: stored('TIMEOUT') };
      const other = await connected(told, 'company');
      const { problem } = await failureOf(tokens.accessToken(other));
      expect(problem).toMatchObject({ code: 'TIMEOUT', message: 'As it was.' });
      expect(problem.retryAfterSeconds).toBeGreaterThan(85);
      expect(problem.retryAfterSeconds).toBeLessThanOrEqual(91);
      const unknown = await connected({ ...cooling, ...expired() }, 'strict');
      expect((await failureOf(tokens.accessToken(unknown))).problem).toMatchObject({
        ...{ code: 'PROVIDER_ERROR', message: 'The last refresh failed.' },
      });
      expect(parts.requests).toEqual([]);
    });
  });

  describe('is renewed when somebody asks for it', () => {
    it('whatever its age, once for all who ask', async () => {
      const ref = await connected({ refresh_due_at: at(1_000) });
      await Promise.all([tokens.renew(ref, 'user-1'), tokens.renew(ref, 'user-2'), tokens.renew(ref, null)]);
      expect(parts.priorities).toEqual(['interactive']);
      expect(await tokens.present(ref)).toEqual(fresh);
    });

    it('also while a failure cools down, but not where that could end the grant', async () => {
      const cooling = { refresh_retry_at: at(60), refresh_failures: 2, refresh_problem: stored('TIMEOUT') };
      const ref = await connected(cooling);
      await tokens.renew(ref, 'user-1');
      expect(parts.requests).toHaveLength(1);
      const held = await connected({ ...cooling, attempt_outcome: 'UNCERTAIN' }, 'strict');
      expect(await failureOf(tokens.renew(held, 'user-1'))).toMatchObject({ code: 'TIMEOUT' });
      expect(parts.requests).toHaveLength(1);
    });

    it('unless there is nothing to renew it with', async () => {
      const ref = await parts.connected('single', {}, { refreshToken: null });
      await tokens.renew(ref, 'user-1');
      expect(parts.requests).toEqual([]);
      const user = { username: 'me', password: 'secret' };
      const other = await parts.connected('company', {}, { refreshToken: null, credentials: user });
      await tokens.renew(other, 'user-1');
      expect(parts.requests).toHaveLength(1);
    });
  });

  describe('that the provider has refused is replaced', () => {
    it('by a refresh, or by what another has stored already', async () => {
      const ref = await connected({ refresh_due_at: at(1_000) });
      expect(await tokens.replace(ref, old)).toEqual(fresh);
      expect(await tokens.replace(ref, old)).toEqual(fresh);
      expect(parts.requests).toHaveLength(1);
      expect(await tokens.replace(ref, fresh)).toMatchObject({ version: 3 });
      expect(parts.priorities).toEqual(['interactive', 'interactive']);
    });

    it('not while a failure cools down: that is for a person to ask', async () => {
      const cooling = { refresh_retry_at: at(60), refresh_failures: 1, refresh_problem: stored('TIMEOUT') };
      const ref = await connected(cooling);
      expect(await failureOf(tokens.replace(ref, old))).toMatchObject({ code: 'TIMEOUT' });
      expect(parts.requests).toEqual([]);
    });

    it('by one that is newer, where a flight under way ends with the very one', async () => {
      const ref = await connected();
      parts.answer({ ...renewed, afterMs: 200 }, renewed);
      const flight = tokens.accessToken(ref);
      while (parts.requests.length === 0) await sleep(5);
      expect(await tokens.replace(ref, fresh)).toMatchObject({ version: 3 });
      expect(await flight).toEqual(fresh);
    });
  });

  describe('that another process renews', () => {
    const taken = async (ref: ConnectionRef) => (await rows.take(ref, 1, 60_000))!;

    it('is waited for, until its news comes', async () => {
      const ref = await connected(expired());
      const lease = await taken(ref);
      const asked = tokens.accessToken(ref);
      await sleep(150);
      const values = {
        ...lease.row,
        refresh_problem: null,
        expires_at: at(3_600),
        refresh_due_at: at(3_000),
      };
      await parts.db.transaction().execute((trx) => rows.replace(trx, lease, values));
      wakeups.wake(ref.id);
      expect(await asked).toEqual({ value: 'old-access', version: 2 });
      expect(parts.requests).toEqual([]);
    });

    it('fails for all who wait where it fails there', async () => {
      const ref = await connected(expired());
      const lease = await taken(ref);
      const asked = failureOf(tokens.accessToken(ref));
      await sleep(100);
      const problem = JSON.stringify(stored('NETWORK_ERROR')) as never;
      await rows.release(parts.db, lease, { refresh_failures: 1, refresh_problem: problem });
      expect(await asked).toMatchObject({ code: 'NETWORK_ERROR', problem: { message: 'As it was.' } });
      expect(parts.requests).toEqual([]);
    });

    it('is renewed here where it has let go', async () => {
      const ref = await connected(expired());
      const lease = await taken(ref);
      const asked = tokens.accessToken(ref);
      await sleep(100);
      await rows.release(parts.db, lease, {});
      expect(await asked).toEqual(fresh);
    });

    it('is not waited for when this one closes', async () => {
      const ref = await connected(expired());
      await taken(ref);
      const asked = failureOf(tokens.accessToken(ref));
      await sleep(100);
      await tokens.close();
      expect((await asked).problem).toMatchObject({
        ...{ code: 'QUEUE_FULL', message: 'The service is shutting down.' },
      });
    });
  });

  it('is renewed to its end when the process closes', async () => {
    const ref = await connected();
    parts.answer({ ...renewed, afterMs: 300 });
    const flight = tokens.accessToken(ref);
    while (parts.requests.length === 0) await sleep(5);
    await tokens.close();
    expect((await rowOf(ref)).version).toBe(2);
    expect(await flight).toEqual(fresh);
  });

  describe('is renewed in time', () => {
    it('for all that are due, whatever becomes of one, and together with who asks meanwhile', async () => {
      const [one, two] = [await connected(), await connected({}, 'company')];
      const later = await connected({ refresh_due_at: at(60) }, 'strict');
      parts.answer({ ...renewed, afterMs: 200 }, { status: 500 }, renewed);
      const due = tokens.refreshDue(10);
      while (parts.requests.length < 1) await sleep(5);
      const asked = [tokens.accessToken(one), tokens.accessToken(two)];
      expect(await due).toBe(2);
      await Promise.all(asked);
      expect(parts.priorities).toEqual(['poll', 'poll']);
      expect(outcomes).toHaveLength(2);
      expect(outcomes.filter((outcome) => outcome.endsWith(' OK'))).toHaveLength(1);
      expect((await rowOf(later)).version).toBe(1);
      expect(parts.logs()).not.toContain('a due refresh failed');
      expect(await tokens.refreshDue(10)).toBe(0);
    });

    it('and says where something of ours has failed', async () => {
      const ref = await connected();
      const real = rows;
      rows = { ...real, journal: () => Promise.reject(new Error('a mistake')) };
      make();
      expect(await tokens.refreshDue(10)).toBe(1);
      expect(parts.logs()).toContain('a due refresh failed');
      expect(parts.logs()).toContain(ref.id);
      expect(outcomes).toEqual(['single INTERNAL_SERVER_ERROR']);
      await expect(tokens.accessToken(ref)).rejects.toThrow('a mistake');
    });

    it('by whoever has the lease by then', async () => {
      const ref = await connected();
      const real = rows;
      let lost = 0;
      rows = {
        ...real,
        journal: (...args) => (lost++ === 0 ? Promise.resolve(false) : real.journal(...args)),
      };
      make();
      expect(await tokens.refreshDue(10)).toBe(1);
      expect([outcomes, parts.logs().includes('a due refresh failed')]).toEqual([[], false]);
      await real.release(
        parts.db,
        { ...(await real.find(ref))!, ref, owner: (await rowOf(ref)).lease_owner! },
        {},
      );
      expect(await tokens.accessToken(ref)).toEqual(fresh);
    });
  });

  it('is stored over the one before, with nothing left of the trouble that had', async () => {
    const trouble = { refresh_failures: 3, refresh_retry_at: at(60), attempt_outcome: 'UNCERTAIN' } as const;
    const ref = await connected({ ...trouble, refresh_problem: stored('TIMEOUT') });
    const set = {
      ...{ accessToken: 'granted', refreshToken: 'granted-refresh', issuedAt: at(0), expiresAt: at(600) },
      ...{
        scopes: ['all'],
        externalId: null,
        externalUserId: 'person',
        refreshExpiresAt: null,
        hardExpiresAt: null,
      },
    };
    const grant = { externalId: 'other', generation: 9 };
    await parts.db.transaction().execute((trx) => tokens.store(trx, ref, set, grant));
    expect(await tokens.present(ref)).toEqual({ value: 'granted', version: 2 });
    expect(await rowOf(ref)).toMatchObject({
      ...{ generation: 9, external_id: 'other', external_user_id: 'person', scopes: ['all'] },
      ...{ refresh_failures: 0, refresh_retry_at: null, refresh_problem: null, attempt_outcome: null },
      credentials_encrypted: null,
    });
    await parts.db.deleteFrom('oauth_tokens').execute();
    const credentials = { username: 'me', password: 'secret' };
    await parts.db.transaction().execute((trx) => tokens.store(trx, ref, set, { ...grant, credentials }));
    const row = await rowOf(ref);
    expect(row.version).toBe(1);
    expect(row.credentials_encrypted).toBeInstanceOf(Buffer);
  });

  describe('is erased', () => {
    const erase = (ref: ConnectionRef) => parts.db.transaction().execute((trx) => tokens.erase(trx, ref));

    it('and kept for its revocation, its own row and no other', async () => {
      const ref = await connected();
      const other = await connected({}, 'company');
      expect(await erase({ ...ref, id: other.id })).toBeUndefined();
      expect(await erase({ ...ref, accountId: 'b' })).toBeUndefined();
      const id = await erase(ref);
      expect(await rows.find(ref)).toBeUndefined();
      expect(await rows.find(other)).toBeDefined();
      const [kept] = await parts.db.selectFrom('token_revocations').selectAll().execute();
      expect(kept).toMatchObject({ id, connection_id: ref.id, external_id: 'ext' });
      expect(await parts.revocations.attempt('a', id!, 2_000)).toBe('REVOKED');
      expect(parts.requests[0]!.body).toContain('old-refresh');
      expect(await erase(ref)).toBeUndefined();
    });

    it('where there is an access token alone', async () => {
      const ref = await parts.connected('single', {}, { refreshToken: null });
      const id = await erase(ref);
      await parts.revocations.attempt('a', id!, 2_000);
      expect(parts.requests[0]!.body).toContain('old-access');
    });

    it('even where it does not open, with a line in the log', async () => {
      const ref = await connected({ access_token_encrypted: Buffer.alloc(90, 1) });
      expect(await erase(ref)).toBeUndefined();
      expect(await rows.find(ref)).toBeUndefined();
      expect(parts.logs()).toMatch(new RegExp(`${ref.id}.*a token that does not open cannot be revoked`));
      expect(await parts.db.selectFrom('token_revocations').selectAll().execute()).toEqual([]);
    });
  });
});
