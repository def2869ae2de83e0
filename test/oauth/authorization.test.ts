import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fail } from '../../src/errors.ts';
import { sealedPlace, type ConnectionRef } from '../../src/oauth/accountKeys.ts';
import type { Authorization, CallbackOutcome } from '../../src/oauth/authorization.ts';
import { databaseKinds } from '../support/databases.ts';
import { openGrants, type Grants } from './grantParts.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
const granted = {
  access_token: 'the-access',
  refresh_token: 'the-refresh',
  token_type: 'bearer',
  expires_in: 60,
};
const asked = { userId: 'user-1', returnTo: 'https://app.example/back', scopes: ['one', 'two'] };

describe.each(databaseKinds)('the browser’s round trip, %s', (_kind, open) => {
  let parts: Grants;
  let begun: Authorization[];
  beforeEach(async () => {
    parts = await openGrants(open);
    parts.answer({ body: granted });
    begun = [];
  });
  afterEach(() => parts.close());

  const begin = (ref: ConnectionRef, request: Partial<typeof asked> = {}) =>
    parts.db.transaction().execute((trx) => parts.authorizations.begin(trx, ref, { ...asked, ...request }));
  const started = async (integrationId = 'single', request: Partial<typeof asked> = {}) => {
    const ref = await parts.connection('a', integrationId, null, 'PENDING');
    const { authorizationUrl, expiresAt } = await begin(ref, request);
    const url = new URL(authorizationUrl);
    return { ref, url, expiresAt, state: url.searchParams.get('state')! };
  };
  const complete = (
    query: Record<string, string>,
    integrationId = 'single',
    before: (authorization: Authorization) => Promise<void> = async (one) => void begun.push(one),
  ) => parts.authorizations.complete(integrationId, new URLSearchParams(query), before);
  const back = (state: string, more: Record<string, string> = {}) => ({
    ...{ state, code: 'the-code', realmId: '9341' },
    ...more,
  });
  const rows = () => parts.db.selectFrom('oauth_authorizations').selectAll().orderBy('created_at').execute();
  /** So that the account may begin another. */
  const ended = ({ id }: ConnectionRef) =>
    parts.db.updateTable('connections').set({ status: 'DISCONNECTED' }).where('id', '=', id).execute();
  const problemIn = (outcome: CallbackOutcome) => {
    if (outcome.kind !== 'failed') throw new Error('it was granted');
    return { code: outcome.problem.code, message: outcome.problem.message, current: outcome.current };
  };
  const used = 'This link has expired or was already used: start the connection again.';

  it('begins with a link of our own, whose state and verifier nobody finds in the database', async () => {
    const { ref, url, expiresAt, state } = await started();
    expect(`${url.origin}${url.pathname}`).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/authorize$/);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      ...{ client_id: 'client', response_type: 'code', scope: 'one two', code_challenge_method: 'S256' },
      redirect_uri: 'https://us.example/oauth/single/callback',
    });
    expect(expiresAt.getTime() - parts.now().getTime()).toBeGreaterThan(9.9 * minute);
    expect(expiresAt.getTime() - parts.now().getTime()).toBeLessThanOrEqual(10 * minute);
    const [row] = await rows();
    expect(row).toMatchObject({
      ...{ account_id: 'a', user_id: 'user-1', integration_id: 'single', connection_id: ref.id },
      ...{ redirect_uri: 'https://us.example/oauth/single/callback', return_to: asked.returnTo },
      ...{ scopes: ['one', 'two'], expires_at: expiresAt, consumed_at: null, grant_encrypted: null },
      state_hash: createHash('sha256').update(state).digest(),
      code_verifier_encrypted: expect.any(Buffer) as Buffer,
    });
  });

  it('sends no challenge where the provider takes none, and no verifier', async () => {
    const { url, state } = await started('workspace', { scopes: [] });
    expect(url.searchParams.has('code_challenge')).toBe(false);
    expect((await rows())[0]!.code_verifier_encrypted).toBeNull();
    parts.answer({ body: { ok: true, ...granted, team: { id: 'T1' } } });
    expect((await complete(back(state), 'workspace')).kind).toBe('granted');
    expect(new URLSearchParams(parts.requests[0]!.body).has('code_verifier')).toBe(false);
  });

  it('ends with what the provider grants for the code, and the verifier that belongs to the challenge', async () => {
    const { ref, url, state } = await started();
    const outcome = await complete(back(state));
    const authorization = {
      ...{ accountId: 'a', id: ref.id, integrationId: 'single', userId: 'user-1', returnTo: asked.returnTo },
      ...{ scopes: ['one', 'two'], stateHash: createHash('sha256').update(state).digest() },
      expiresAt: expect.any(Date) as Date,
    };
    expect(outcome).toMatchObject({
      ...{ kind: 'granted', externalId: '9341', authorization },
      tokens: { accessToken: 'the-access', refreshToken: 'the-refresh', scopes: ['one', 'two'] },
    });
    expect(begun).toEqual([authorization]);
    const form = new URLSearchParams(parts.requests[0]!.body);
    expect(Object.fromEntries(form)).toMatchObject({
      ...{ grant_type: 'authorization_code', code: 'the-code' },
      redirect_uri: 'https://us.example/oauth/single/callback',
    });
    const verifier = form.get('code_verifier')!;
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    expect(url.searchParams.get('code_challenge')).toBe(challenge);
    const [row] = await rows();
    const opener = await parts.keys.opener(parts.db, 'a');
    const place = sealedPlace(ref, 'oauth_authorizations', 'code_verifier_encrypted');
    expect(opener(place, row!.code_verifier_encrypted!)).toBe(verifier);
  });

  it('can be ended once, by one of many who come back', async () => {
    const { state } = await started();
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => complete(back(state))));
    expect(outcomes.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    expect(parts.requests).toHaveLength(1);
    const late = await complete(back(state));
    expect(problemIn(late)).toEqual({ code: 'AUTHORIZATION_EXPIRED', message: used, current: false });
    expect(late).toMatchObject({ authorization: { returnTo: asked.returnTo } });
  });

  it('is over in ten minutes', async () => {
    const { state } = await started();
    parts.shift(10 * minute);
    expect(problemIn(await complete(back(state)))).toMatchObject({ code: 'AUTHORIZATION_EXPIRED' });
    expect(parts.requests).toEqual([]);
    parts.shift(-minute);
    expect((await complete(back(state))).kind).toBe('granted');
  });

  it('is replaced by the next one of its connection, and by no other', async () => {
    const first = await started();
    const other = await started('company');
    await begin(first.ref);
    expect(problemIn(await complete(back(first.state)))).toMatchObject({ code: 'AUTHORIZATION_EXPIRED' });
    expect((await complete(back(other.state), 'company')).kind).toBe('granted');
  });

  it('can be cancelled, with what it was granted and nobody has confirmed', async () => {
    const { ref, state } = await started();
    const inFive = new Date(parts.now().getTime() + 5 * minute);
    await parts.db.updateTable('oauth_authorizations').set({ complete_by: inFive }).execute();
    const other = await started('company');
    const cancel = (one: ConnectionRef) =>
      parts.db.transaction().execute((trx) => parts.authorizations.cancel(trx, one));
    await cancel({ ...ref, accountId: 'b' });
    expect((await rows())[0]!.complete_by).toEqual(inFive);
    await cancel(ref);
    const [row] = await rows();
    expect(row!.expires_at.getTime()).toBeLessThanOrEqual(parts.now().getTime());
    expect(row!.complete_by!.getTime()).toBeLessThanOrEqual(parts.now().getTime());
    const { expires_at: ended } = row!;
    parts.shift(minute);
    await cancel(ref);
    expect((await rows())[0]!.expires_at).toEqual(ended);
    parts.shift(-minute);
    expect(problemIn(await complete(back(state)))).toMatchObject({ code: 'AUTHORIZATION_EXPIRED' });
    expect((await complete(back(other.state), 'company')).kind).toBe('granted');
  });

  describe('that fails', () => {
    it('without a state, or with one that we never gave, tells nobody anything', async () => {
      expect(await complete({ code: 'x' })).toEqual({
        ...{ kind: 'failed', current: false },
        problem: expect.objectContaining({
          ...{ code: 'INVALID_INPUT', message: 'The redirect carried no usable state.' },
        }) as object,
      });
      const unknown = await complete(back('A'.repeat(43)));
      expect(problemIn(unknown)).toEqual({
        ...{ code: 'INVALID_INPUT', current: false },
        message: 'This link is not one of ours: start the connection again.',
      });
      expect(Object.keys(unknown)).not.toContain('authorization');
    });

    it('at another integration than it began with, and stays good for that', async () => {
      const { state } = await started();
      expect(problemIn(await complete(back(state), 'company'))).toEqual({
        ...{ code: 'INVALID_INPUT', message: 'This link belongs to another integration.', current: false },
      });
      expect((await complete(back(state))).kind).toBe('granted');
    });

    it.each([
      ['access_denied', 'AUTHORIZATION_DENIED', /^The authorization was declined at QuickBooks Online\.$/],
      ['server_error', 'PROVIDER_ERROR', /^QuickBooks Online did not authorize the connection\.$/],
    ])('because the provider says %s', async (error, code, message) => {
      const { ref, state } = await started();
      const outcome = await complete({ state, error });
      expect(outcome).toMatchObject({
        ...{ kind: 'failed', current: true, authorization: { id: ref.id } },
        problem: { code, message: expect.stringMatching(message) as string, providerCode: error },
      });
      expect(problemIn(await complete(back(state)))).toMatchObject({ code: 'AUTHORIZATION_EXPIRED' });
    });

    it('because the redirect is not as it must be', async () => {
      const { state } = await started();
      const before = parts.now();
      const outcome = await complete({ state });
      expect(problemIn(outcome)).toMatchObject({ code: 'INVALID_INPUT', current: true });
      const { problem } = outcome as { problem: { occurredAt: Date } };
      expect(problem.occurredAt.getTime()).toBeGreaterThanOrEqual(before.getTime());
      expect(problem.occurredAt.getTime()).toBeLessThanOrEqual(parts.now().getTime());
      expect(parts.requests).toEqual([]);
    });

    it('because the code is not good, or something is wrong before it is exchanged', async () => {
      const one = await started();
      parts.answer({ status: 400, body: { error: 'invalid_grant' } });
      expect(problemIn(await complete(back(one.state)))).toMatchObject({
        ...{ code: 'AUTHORIZATION_EXPIRED', current: true },
      });
      const two = await started('company');
      const busy = async () => fail('QUEUE_FULL', 'Later.', parts.now());
      expect(problemIn(await complete(back(two.state), 'company', busy))).toEqual({
        ...{ code: 'QUEUE_FULL', message: 'Later.', current: true },
      });
      const three = await started('workspace');
      const broken = () => Promise.reject(new Error('a mistake of ours'));
      await expect(complete(back(three.state), 'workspace', broken)).rejects.toThrow('a mistake of ours');
      expect(parts.requests).toHaveLength(1);
    });

    it('because less was granted than is needed', async () => {
      const { state } = await started();
      parts.answer({ body: { ...granted, scope: 'one three' } });
      expect(problemIn(await complete(back(state)))).toEqual({
        ...{ code: 'SCOPES_INSUFFICIENT', current: true },
        message: 'QuickBooks Online granted less than is needed: two is missing.',
      });
      const more = await started('company');
      parts.answer({ body: { ...granted, scope: 'three' } });
      expect(problemIn(await complete(back(more.state), 'company')).message).toBe(
        'QuickBooks Online granted less than is needed: one, two is missing.',
      );
    });

    it('because the verifier does not open', async () => {
      const { ref, state } = await started();
      await parts.db
        .updateTable('oauth_authorizations')
        .set({ code_verifier_encrypted: Buffer.alloc(100, 1) })
        .execute();
      expect(problemIn(await complete(back(state)))).toMatchObject({
        ...{ code: 'AUTHORIZATION_EXPIRED', message: 'Please start the connection again.', current: true },
      });
      expect(parts.logs()).toContain('a code verifier does not open');
      expect(parts.logs()).toContain(ref.id);
      expect(parts.requests).toEqual([]);
    });

    it('because the keys cannot be read throws, and says nothing of the verifier', async () => {
      const { state } = await started();
      await sql`alter table account_keys rename to away`.execute(parts.db);
      try {
        await expect(complete(back(state))).rejects.toThrow('account_keys');
      } finally {
        await sql`alter table away rename to account_keys`.execute(parts.db);
      }
      expect(parts.logs()).not.toContain('a code verifier does not open');
      expect(parts.requests).toEqual([]);
    });
  });

  it('is not needed where there are a user name and a password', async () => {
    expect(
      await parts.authorizations.withCredentials('single', { username: 'me', password: 'secret' }),
    ).toMatchObject({ accessToken: 'the-access' });
    expect(parts.requests[0]!.body).toContain('grant_type=password');
  });

  it('is forgotten a day after its end, a few at a time, unless a grant waits in it', async () => {
    for (let i = 0; i < 3; i++) await started('single', {}).then(({ ref }) => ended(ref));
    const waiting = await started('company');
    await parts.db
      .updateTable('oauth_authorizations')
      .set({ grant_encrypted: Buffer.of(1) })
      .where('connection_id', '=', waiting.ref.id)
      .execute();
    parts.shift(day + 9 * minute);
    expect(await parts.authorizations.prune(10)).toBe(0);
    parts.shift(2 * minute);
    expect(await parts.authorizations.prune(2)).toBe(2);
    expect(await parts.authorizations.prune(2)).toBe(1);
    expect(await parts.authorizations.prune(2)).toBe(0);
    expect(await rows()).toMatchObject([{ connection_id: waiting.ref.id }]);
  });
});
