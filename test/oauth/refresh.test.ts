import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createRefresher, LeaseLost, type RefreshNews, type RefreshPoint } from '../../src/oauth/refresh.ts';
import { createSealing } from '../../src/oauth/sealing.ts';
import type { Lease, TokenRow, TokenRows } from '../../src/oauth/tokenRows.ts';
import type { ConnectionRef } from '../../src/oauth/accountKeys.ts';
import { databaseKinds } from '../support/databases.ts';
import { failureOf, openGrants, renewed, type Grants } from './grantParts.ts';

const asked = { priority: 'interactive', userId: 'user-1' } as const;
const gone = { status: 400, body: { error: 'invalid_grant' }, headers: { intuit_tid: '1-tid' } };
const second = 1_000;

describe.each(databaseKinds)('one refresh, %s', (_kind, open) => {
  let parts: Grants;
  let rows: TokenRows;
  let random: number;
  /** Fails as often, as a database does that is away. */
  let databaseAway: number;
  let news: string[];
  let active: boolean;
  let reached: RefreshPoint[];
  let at: Partial<Record<RefreshPoint, () => Promise<unknown>>>;
  let slept: number[];
  beforeEach(async () => {
    parts = await openGrants(open, 500);
    [random, databaseAway, active, news, reached, at, slept] = [0.5, 0, true, [], [], {}, []];
    ({ rows } = parts);
  });
  afterEach(() => parts.close());

  const told: RefreshNews = {
    async renewed(_trx, { id, generation }, { scopes, recovered, asked: by }) {
      news.push(`renewed ${id} ${generation} ${scopes.join()} ${recovered} ${by.userId}`);
      return Promise.resolve(active);
    },
    async troubled(_trx, { id, generation }, { code }) {
      news.push(`troubled ${id} ${generation} ${code}`);
      return Promise.resolve();
    },
    async refused(_trx, { id, generation }, { code }) {
      news.push(`refused ${id} ${generation} ${code}`);
      return Promise.resolve();
    },
  };
  const refresher = () =>
    createRefresher({
      ...parts,
      rows,
      sealing: createSealing(parts),
      news: told,
      // A hundred times as fast where it sleeps.
      clock: {
        ...parts.clock,
        random: () => random,
        sleep: (ms, signal) => (slept.push(ms), systemClock.sleep(ms / 100, signal)),
      },
      forAccount(accountId) {
        if (databaseAway-- > 0) throw new Error('the database is away');
        return parts.forAccount(accountId);
      },
      async reached(point) {
        reached.push(point);
        await at[point]?.();
      },
    });

  const connected: Grants['connected'] = (...args) => parts.connected(...args);
  const change = (ref: ConnectionRef, changes: object) =>
    parts.db.updateTable('oauth_tokens').set(changes).where('connection_id', '=', ref.id).execute();
  const rowOf = async (ref: ConnectionRef) => (await rows.find(ref))!.row;
  const lease = async (ref: ConnectionRef, leaseMs = 60_000): Promise<Lease> =>
    (await rows.take(ref, (await rowOf(ref)).version, leaseMs))!;
  const refresh = async (ref: ConnectionRef) => refresher().refresh(await lease(ref), asked);
  const failure = (ref: ConnectionRef) => failureOf(refresh(ref));
  const sent = () => parts.requests.map(({ body }) => new URLSearchParams(body).get('grant_type'));

  it('notes that it may be under way, asks, and stores the new pair over the old one', async () => {
    const ref = await connected();
    parts.answer(renewed);
    let journal: Partial<TokenRow> = {};
    at.journalled = async () => (journal = await rowOf(ref));
    expect(await refresh(ref)).toEqual({ value: 'new-access', version: 2 });
    expect(journal).toMatchObject({
      attempt_at: expect.any(Date) as Date,
      attempt_outcome: null,
      version: 1,
    });
    expect(reached).toEqual([
      ...['leased', 'before journal', 'journalled', 'answered', 'before commit', 'committed'],
    ]);
    expect(parts.requests[0]!.body).toContain('old-refresh');
    const row = await rowOf(ref);
    expect(row).toMatchObject({
      ...{ version: 2, lease_owner: null, lease_until: null, attempt_at: null, refresh_failures: 0 },
    });
    expect(row.refresh_due_at!.getTime()).toBeGreaterThan(parts.now().getTime() + 2_000 * second);
    expect(news).toEqual([`renewed ${ref.id} 4 one false user-1`]);
  });

  it('tells that a trouble is over, and leaves a token alone whose connection is not active any longer', async () => {
    const ref = await connected('single', { refresh_failures: 2 });
    const other = await connected('company');
    active = false;
    parts.answer(renewed);
    await refresh(ref);
    expect(news).toEqual([`renewed ${ref.id} 4 one true user-1`]);
    expect((await rowOf(ref)).refresh_due_at).toBeNull();
    expect((await rowOf(other)).refresh_due_at).not.toBeNull();
  });

  it('asks nothing once somebody else has the lease', async () => {
    const ref = await connected();
    at.leased = () => change(ref, { lease_owner: systemClock.randomUUID() });
    expect(await failure(ref)).toBeInstanceOf(LeaseLost);
    expect([parts.requests, news]).toEqual([[], []]);
    expect((await rowOf(ref)).refresh_failures).toBe(0);
  });

  it('has a lease that outlasts its request', () => {
    expect(refresher().leaseMs).toBe(10_500);
  });

  describe('that the provider refuses for good', () => {
    it('is news, and nothing is tried again', async () => {
      const ref = await connected();
      parts.answer(gone);
      expect(await failure(ref)).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
      expect(await rowOf(ref)).toMatchObject({
        ...{
          version: 1,
          refresh_due_at: null,
          refresh_retry_at: null,
          refresh_failures: 1,
          lease_owner: null,
        },
        ...{ attempt_at: null, attempt_outcome: null },
        refresh_problem: { code: 'REAUTHORIZATION_REQUIRED' },
      });
      expect(news).toEqual([`refused ${ref.id} 4 REAUTHORIZATION_REQUIRED`]);
      expect(sent()).toHaveLength(1);
    });

    it('is somebody else’s matter where the token has been replaced meanwhile', async () => {
      const ref = await connected();
      parts.answer(gone);
      at.journalled = () => change(ref, { version: 7 });
      expect(await failure(ref)).toBeInstanceOf(LeaseLost);
      expect(news).toEqual([]);
      expect((await rowOf(ref)).refresh_problem).toBeNull();
    });

    it('says that the connection is over where it is', async () => {
      const ref = await connected();
      parts.answer(gone);
      at.journalled = () => parts.db.deleteFrom('oauth_tokens').execute();
      const { problem } = await failure(ref);
      expect(problem).toMatchObject({
        ...{ code: 'NOT_CONNECTED', message: 'The connection was ended meanwhile.' },
        occurredAt: expect.any(Date) as Date,
      });
    });

    it.each([
      ['died with a request under way', { attempt_at: new Date(0), attempt_outcome: null }, 2],
      ['knows how its request ended', { attempt_at: new Date(0), attempt_outcome: 'UNCERTAIN' as const }, 1],
      ['sent none', {}, 1],
    ])('is asked for once more where the holder before %s', async (_, before, times) => {
      const ref = await connected('single', before);
      parts.answer(gone, gone, gone, renewed);
      expect(await failure(ref)).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
      expect(sent()).toHaveLength(times);
    });

    it('may succeed then', async () => {
      const ref = await connected('single', { attempt_at: new Date(0) });
      parts.answer(gone, renewed);
      expect(await refresh(ref)).toMatchObject({ value: 'new-access' });
    });
  });

  describe('that fails, and nobody knows what became of it', () => {
    const uncertain = [{ cut: true }, { status: 502 }, { status: 504 }, { body: { nothing: 'usable' } }];

    it.each(uncertain)(
      'is asked for once more at once where a token may be used again: %j',
      async (fault) => {
        const ref = await connected();
        parts.answer(fault, renewed);
        expect(await refresh(ref)).toMatchObject({ value: 'new-access' });
        const other = await connected('company');
        parts.answer(fault, fault, renewed);
        await failure(other);
        expect(sent()).toHaveLength(4);
        const row = await rowOf(other);
        expect(row).toMatchObject({
          ...{ attempt_outcome: 'UNCERTAIN', attempt_at: expect.any(Date) as Date, refresh_failures: 1 },
        });
        expect(row.refresh_retry_at!.getTime()).toBeLessThan(parts.now().getTime() + 10 * second);
        expect(refresher().isHeld(row)).toBe(false);
      },
    );

    it.each(uncertain)('waits for the end of the token where it may not: %j', async (fault) => {
      const ref = await connected('strict');
      parts.answer(fault, renewed);
      await failure(ref);
      expect(sent()).toHaveLength(1);
      const row = await rowOf(ref);
      expect(row.attempt_outcome).toBe('UNCERTAIN');
      expect(row.refresh_retry_at).toEqual(row.expires_at);
      expect(refresher().isHeld(row)).toBe(true);
      expect(refresher().isHeld({ ...row, attempt_outcome: null })).toBe(false);
      expect(refresher().isHeld({ ...row, provider: 'unknown' })).toBe(true);
    });

    it('waits as after any failure where the token has no end', async () => {
      const ref = await connected('strict', { expires_at: null });
      parts.answer({ cut: true });
      await failure(ref);
      const leftMs = (await rowOf(ref)).refresh_retry_at!.getTime() - parts.now().getTime();
      expect(leftMs).toBeGreaterThan(3 * second);
      expect(leftMs).toBeLessThan(5 * second);
    });
  });

  describe('that fails without a doubt', () => {
    it.each([
      ['single', { status: 500 }, 'PROVIDER_ERROR'],
      ['strict', { status: 500 }, 'PROVIDER_ERROR'],
      ['strict', { status: 503 }, 'PROVIDER_ERROR'],
      ['strict', { status: 300 }, 'PROVIDER_ERROR'],
      ['strict', { status: 429 }, 'RATE_LIMITED'],
      ['single', { status: 401, body: { error: 'invalid_client' } }, 'NOT_CONFIGURED'],
      ['strict', { status: 200, body: { error: 'invalid_client' } }, 'NOT_CONFIGURED'],
      ['away', {}, 'NETWORK_ERROR'],
    ] as const)('is tried again later: %s, %j', async (integrationId, fault, code) => {
      const ref = await connected(integrationId);
      parts.answer(fault);
      expect(await failure(ref)).toMatchObject({ code });
      expect(await rowOf(ref)).toMatchObject({
        ...{ attempt_at: null, attempt_outcome: null, refresh_failures: 1, refresh_problem: { code } },
        ...{ lease_owner: null, refresh_due_at: expect.any(Date) as Date },
      });
      expect(news).toEqual([`troubled ${ref.id} 4 ${code}`]);
      expect(sent().length).toBe(integrationId === 'away' ? 0 : 1);
    });

    it.each([
      [0, 0, 3_750],
      [0, 1, 5_000],
      [1, 1, 10_000],
      [3, 0.5, 35_000],
      [20, 1, 300_000],
    ])('waits longer each time: after %i failures, at %f, %i ms', async (failures, at_, ms) => {
      random = at_;
      const ref = await connected('single', { refresh_failures: failures });
      parts.answer({ status: 500 });
      const since = parts.now().getTime();
      await failure(ref);
      const row = await rowOf(ref);
      expect(row.refresh_failures).toBe(failures + 1);
      expect(row.refresh_retry_at!.getTime() - since).toBeGreaterThanOrEqual(ms);
      expect(row.refresh_retry_at!.getTime() - since).toBeLessThan(ms + 2 * second);
    });

    it('waits as long as the provider says', async () => {
      const ref = await connected();
      parts.answer({ status: 429, headers: { 'retry-after': '77' } });
      const since = parts.now().getTime();
      await failure(ref);
      const waitMs = (await rowOf(ref)).refresh_retry_at!.getTime() - since;
      expect(waitMs).toBeGreaterThanOrEqual(77 * second);
      expect(waitMs).toBeLessThan(80 * second);
    });

    it.each([
      ['PROVIDER_ERROR', 0],
      ['TIMEOUT', 1],
    ])('is news only when it is of another kind: after %s', async (code, times) => {
      const before = { code, message: 'before' } as never;
      const ref = await connected('single', { refresh_failures: 1, refresh_problem: before });
      parts.answer({ status: 500 });
      await failure(ref);
      expect(news).toHaveLength(times);
    });

    it('is no news once the lease is another’s', async () => {
      const ref = await connected();
      parts.answer({ status: 500 });
      at.journalled = () => change(ref, { lease_owner: systemClock.randomUUID() });
      await failure(ref);
      expect(news).toEqual([]);
      expect((await rowOf(ref)).refresh_failures).toBe(0);
    });
  });

  describe('with a user name and a password', () => {
    const credentials = { username: 'me', password: 'a secret' };

    it('asks with them where there is no refresh token, or none that is good any more', async () => {
      const ref = await connected('single', {}, { refreshToken: null, credentials });
      parts.answer(renewed);
      await refresh(ref);
      expect(sent()).toEqual(['password']);
      expect(parts.requests[0]!.body).toContain('username=me&password=a+secret');
      const other = await connected('company', {}, { credentials });
      parts.answer(gone, renewed);
      await refresh(other);
      expect(sent()).toEqual(['password', 'refresh_token', 'password']);
      expect(reached.filter((point) => point === 'journalled')).toHaveLength(3);
    });

    it('does not where the refresh only failed', async () => {
      const ref = await connected('single', {}, { credentials });
      parts.answer({ status: 500 });
      await failure(ref);
      expect(sent()).toEqual(['refresh_token']);
    });

    it('needs the person where they are not good either', async () => {
      const ref = await connected('single', {}, { credentials });
      parts.answer(gone);
      const { problem } = await failure(ref);
      expect(problem).toMatchObject({
        ...{ code: 'REAUTHORIZATION_REQUIRED', providerCode: 'invalid_grant', requestId: '1-tid' },
        message: 'The provider no longer accepts the user name and password: connect again.',
      });
      expect(news).toHaveLength(1);
      const other = await connected('company', {}, { refreshToken: null, credentials });
      parts.answer({ status: 400, body: { error: 'invalid_grant' } });
      expect(Object.keys((await failure(other)).problem)).not.toContain('requestId');
    });

    it('says how it failed otherwise', async () => {
      const ref = await connected('single', {}, { refreshToken: null, credentials });
      parts.answer({ status: 500 });
      expect(await failure(ref)).toMatchObject({ code: 'PROVIDER_ERROR' });
    });

    it('cannot be where there is neither', async () => {
      const ref = await connected('single', {}, { refreshToken: null });
      expect((await failure(ref)).problem).toMatchObject({
        ...{
          code: 'REAUTHORIZATION_REQUIRED',
          message: 'The provider gave no refresh token: connect again.',
        },
      });
      expect(parts.requests).toEqual([]);
    });
  });

  describe('whose answer cannot be stored', () => {
    it('is stored when the database is there again', async () => {
      const ref = await connected();
      parts.answer(renewed);
      at.answered = () => Promise.resolve((databaseAway = 3));
      expect(await refresh(ref)).toMatchObject({ version: 2 });
      const lines = parts
        .logs()
        .split('\n')
        .filter((line) => line.includes('a new token is not stored yet: trying again'));
      expect(lines).toHaveLength(3);
      expect(lines[0]).toContain(ref.id);
      expect(parts.logs()).not.toMatch(/new-access|new-refresh/);
    });

    it('is thrown away where another has moved on', async () => {
      const ref = await connected();
      parts.answer(renewed);
      at.answered = () => change(ref, { version: 9 });
      expect(await failure(ref)).toBeInstanceOf(LeaseLost);
      expect(await rowOf(ref)).toMatchObject({ version: 9, refresh_failures: 0 });
      expect(reached.at(-1)).toBe('answered');
    });

    it('is revoked where the connection was ended meanwhile, and nothing else is', async () => {
      const ref = await connected();
      await parts.connection('b', 'company', 'ext');
      parts.answer(renewed);
      at.answered = async () => {
        await parts.db.deleteFrom('oauth_tokens').execute();
        const ended = parts.db.updateTable('connections').set({ status: 'DISCONNECTED' });
        await ended.where('id', '=', ref.id).execute();
      };
      expect((await failure(ref)).problem).toMatchObject({
        ...{ code: 'NOT_CONNECTED', message: 'The connection was ended meanwhile.' },
      });
      expect(await parts.db.selectFrom('token_revocations').selectAll().execute()).toMatchObject([
        { account_id: 'a', connection_id: ref.id, external_id: 'ext' },
      ]);
    });

    it('is lost with its connection where that is gone altogether', async () => {
      const ref = await connected();
      parts.answer(renewed);
      at.answered = async () => {
        await parts.db.deleteFrom('oauth_tokens').execute();
        await parts.db.deleteFrom('connections').execute();
      };
      expect(await failure(ref)).toBeInstanceOf(LeaseLost);
    });
  });

  it('whose failure cannot be written down says so, and fails as it did', async () => {
    const ref = await connected();
    parts.answer({ status: 500 });
    at.journalled = () => Promise.resolve((databaseAway = 1));
    expect(await failure(ref)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(parts.logs()).toContain('a failed refresh could not be written down');
    expect(parts.logs()).toContain(ref.id);
  });

  it('whose secret does not open is no failure of the provider’s, and the next one may try at once', async () => {
    const ref = await connected('single', { attempt_at: new Date(0) });
    await change(ref, { refresh_token_encrypted: Buffer.alloc(90, 1) });
    expect(await failure(ref)).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
    expect(await rowOf(ref)).toMatchObject({
      ...{ lease_owner: null, refresh_failures: 0, refresh_problem: null, attempt_at: new Date(0) },
    });
    expect(news).toEqual([]);
  });

  describe('that takes long', () => {
    const extended: unknown[] = [];
    const watch = (extend: (real: () => Promise<boolean>) => Promise<boolean>) => {
      const real = rows;
      extended.length = 0;
      rows = {
        ...real,
        extend: async (...args) => {
          const kept = await extend(() => real.extend(...args));
          extended.push(kept);
          return kept;
        },
      };
    };

    it('keeps its lease until it is over', async () => {
      const ref = await connected();
      watch((real) => real());
      parts.answer({ ...renewed, afterMs: 300 });
      await refresh(ref);
      expect(extended.length).toBeGreaterThan(3);
      expect(extended.slice(0, 4)).toEqual([true, true, true, true]);
      expect(new Set(slept)).toEqual(new Set([10_500 / 4]));
      const before = extended.length;
      await systemClock.sleep(100);
      expect(extended.length).toBeLessThanOrEqual(before + 1);
    });

    it('looks again soon where the database is away, and no more where the lease is another’s', async () => {
      const ref = await connected();
      let looks = 0;
      watch((real) =>
        looks++ === 0 ? Promise.reject(new Error('away')) : looks > 2 ? Promise.resolve(false) : real(),
      );
      parts.answer({ ...renewed, afterMs: 300 });
      await refresh(ref);
      expect(extended).toEqual([true, false]);
      expect(slept).toEqual([10_500 / 4, 1_000, 10_500 / 4]);
    });
  });
});
