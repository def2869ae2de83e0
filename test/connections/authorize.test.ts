import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { consent } from '../support/browser.ts';
import { identityOf, openCore, returnTo, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { mainRealmId, otherRealmId } from '../support/sandbox.ts';

const minute = 60_000;

describe.each(databaseKinds)('authorizing a connection, %s', (_kind, open) => {
  let product: TestCore;
  beforeEach(async () => {
    product = await openCore(open, { alsoKnownAs: ['other'], requestTimeoutMs: 1_000 });
  });
  afterEach(() => product.close());

  const only = async (accountId = 'acme') => {
    const list = await product.connections.list(accountId);
    expect(list).toHaveLength(1);
    return list[0]!;
  };
  const rows = async () => ({
    tokens: await product.db.selectFrom('oauth_tokens').selectAll().execute(),
    states: await product.db.selectFrom('oauth_authorizations').selectAll().execute(),
  });
  const tokenRequests = async () => (await product.requests('/tokens/bearer')).length;
  const edited = (location: string, edit: (query: URLSearchParams) => void) => {
    const url = new URL(location);
    edit(url.searchParams);
    return url.href;
  };

  it('sends the browser away with a state and a challenge, and stores neither in the clear', async () => {
    const url = new URL(await product.authorizationUrl('acme'));
    const state = url.searchParams.get('state') ?? '';
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      redirect_uri: 'http://localhost:4000/oauth/quickbooks/callback',
      scope: 'com.intuit.quickbooks.accounting',
      code_challenge_method: 'S256',
    });
    expect(Buffer.from(state, 'base64url')).toHaveLength(32);
    const stored = JSON.stringify(
      (await rows()).states.map((row) => [row.state_hash.toString('latin1'), row]),
    );
    expect(stored).not.toContain(state);
    expect((await only()).status).toBe('PENDING');
  });

  it('stores tokens that only their own place opens, and no plain one anywhere', async () => {
    await product.connected('acme');
    const { tokens } = await rows();
    expect(tokens).toMatchObject([
      { account_id: 'acme', provider: 'quickbooks', external_id: mainRealmId, version: 1 },
    ]);
    expect(tokens[0]?.access_token_encrypted.length).toBeGreaterThan(45);
    expect(await product.requests('companyinfo')).toHaveLength(1);
  });

  it('consumes a state once, however many callbacks race for it', async () => {
    const location = await consent(await product.authorizationUrl('acme', { returnTo }));
    const answers = await Promise.all(Array.from({ length: 50 }, () => product.callback(location)));
    expect(answers.filter((answer) => answer.problem === null)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.problem?.code))).toEqual(
      new Set([undefined, 'AUTHORIZATION_EXPIRED']),
    );
    expect(await tokenRequests()).toBe(1);
    expect((await only()).status).toBe('ACTIVE');
  });

  it('reports a denial, and lets the person try again on the same connection', async () => {
    const location = await consent(await product.authorizationUrl('acme', { returnTo }), {}, /cancel/i);
    expect(await product.callback(location)).toMatchObject({
      returnTo,
      problem: { code: 'AUTHORIZATION_DENIED' },
    });
    const denied = await only();
    expect(denied).toMatchObject({
      status: 'PENDING',
      problem: { code: 'AUTHORIZATION_DENIED', actor: 'USER' },
    });
    expect((await product.connected('acme')).id).toBe(denied.id);
    expect(await only()).toMatchObject({ status: 'ACTIVE', problem: null });
  });

  it('lets an abandoned authorization expire visibly, and refuses its late callback', async () => {
    const location = await consent(await product.authorizationUrl('acme', { returnTo }));
    product.clock.shift(10 * minute + 1);
    expect(await only()).toMatchObject({ status: 'PENDING', problem: { code: 'AUTHORIZATION_EXPIRED' } });
    expect(await product.callback(location)).toMatchObject({
      returnTo,
      problem: { code: 'AUTHORIZATION_EXPIRED' },
    });
    expect(await tokenRequests()).toBe(0);
    expect((await rows()).tokens).toEqual([]);
  });

  it('replaces an earlier link by connecting again', async () => {
    const first = await consent(await product.authorizationUrl('acme'));
    const second = await consent(await product.authorizationUrl('acme'));
    expect(await product.callback(first)).toMatchObject({ problem: { code: 'AUTHORIZATION_EXPIRED' } });
    expect((await product.callback(second)).problem).toBeNull();
    expect((await only()).status).toBe('ACTIVE');
  });

  const tampered: [string, (query: URLSearchParams) => void, string][] = [
    ['a cut-off state', (q) => q.set('state', q.get('state')!.slice(0, -1)), 'INVALID_INPUT'],
    ['another state', (q) => q.set('state', 'x'.repeat(43)), 'INVALID_INPUT'],
    ['no state', (q) => q.delete('state'), 'INVALID_INPUT'],
    ['a state twice', (q) => q.append('state', 'x'), 'INVALID_INPUT'],
    ['SQL for a state', (q) => q.set('state', "' or 1=1 --"), 'INVALID_INPUT'],
    ['an overlong state', (q) => q.set('state', 'x'.repeat(10_000)), 'INVALID_INPUT'],
    ['no code', (q) => q.delete('code'), 'INVALID_INPUT'],
    ['no realm', (q) => q.delete('realmId'), 'INVALID_INPUT'],
    ['a realm that is no number', (q) => q.set('realmId', '../1'), 'INVALID_INPUT'],
    ['a realm twice', (q) => q.append('realmId', otherRealmId), 'INVALID_INPUT'],
  ];
  it.each(tampered)('refuses %s without asking for a token', async (_, edit, code) => {
    const location = edited(await consent(await product.authorizationUrl('acme')), edit);
    expect(await product.callback(location)).toMatchObject({ problem: { code } });
    expect(await tokenRequests()).toBe(0);
    expect((await only()).status).toBe('PENDING');
    expect((await rows()).tokens).toEqual([]);
  });

  it('never sends a code to another integration than the one its state was made for', async () => {
    const location = await consent(await product.authorizationUrl('acme', { returnTo }));
    expect(await product.callback(location, 'other')).toMatchObject({
      returnTo,
      problem: { code: 'INVALID_INPUT' },
    });
    expect(await tokenRequests()).toBe(0);
    expect(await product.callback(location), 'the state was not used up').toMatchObject({ problem: null });
  });

  it('does not believe a realm that the token does not belong to', async () => {
    const location = edited(
      await consent(await product.authorizationUrl('acme'), { realmId: mainRealmId }),
      (query) => query.set('realmId', otherRealmId),
    );
    const answer = await product.callback(location);
    expect(answer.problem?.code).toBe('FORBIDDEN');
    expect(await only()).toMatchObject({
      status: 'PENDING',
      externalId: null,
      problem: { code: 'FORBIDDEN' },
    });
    expect((await rows()).tokens).toEqual([]);
  });

  it('refuses a code that the provider does not know', async () => {
    const location = edited(await consent(await product.authorizationUrl('acme')), (query) =>
      query.set('code', 'AB1'),
    );
    expect(await product.callback(location)).toMatchObject({ problem: { code: 'AUTHORIZATION_EXPIRED' } });
    expect((await only()).problem?.code).toBe('AUTHORIZATION_EXPIRED');
  });

  it('keeps the account that began it, whoever completes it', async () => {
    await product.callback(await consent(await product.authorizationUrl('acme')));
    expect(await product.connections.list('rival')).toEqual([]);
    expect((await only()).accountId).toBe('acme');
  });

  it('authorizes a dead connection anew under the same id, but not with another company', async () => {
    const { id, generation } = await product.connected('acme', { realmId: mainRealmId });
    await product.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    expect(await product.connections.refresh(identityOf('acme'), id)).toMatchObject({
      connection: { status: 'NEEDS_REAUTHORIZATION' },
      problem: { code: 'REAUTHORIZATION_REQUIRED', actor: 'USER' },
    });

    const other = await consent(await product.authorizationUrl('acme'), { realmId: otherRealmId });
    expect(await product.callback(other)).toMatchObject({ problem: { code: 'ACCOUNT_MISMATCH' } });
    expect(await only()).toMatchObject({ id, status: 'NEEDS_REAUTHORIZATION', externalId: mainRealmId });

    const again = await product.connected('acme', { realmId: mainRealmId });
    expect(again).toMatchObject({ id, status: 'ACTIVE', problem: null });
    expect(again.generation).toBe(generation + 1);
  });

  it('compares the granted scopes with the asked ones', async () => {
    await product.admin('PUT', 'settings', { tokenScope: 'openid' });
    const answer = await product.callback(await consent(await product.authorizationUrl('acme')));
    expect(answer).toMatchObject({ problem: { code: 'SCOPES_INSUFFICIENT' } });
    expect(await only()).toMatchObject({ status: 'PENDING', problem: { code: 'SCOPES_INSUFFICIENT' } });
    expect((await rows()).tokens).toEqual([]);
  });

  it.each([
    [
      'a failing token endpoint',
      { status: 503, match: { pathContains: '/tokens/bearer' } },
      'PROVIDER_ERROR',
    ],
    [
      'a token that is cut off',
      { malformed: true, match: { pathContains: '/tokens/bearer' } },
      'PROVIDER_ERROR',
    ],
    ['a lost answer', { drop: true, match: { pathContains: '/tokens/bearer' } }, 'NETWORK_ERROR'],
    ['a silent token endpoint', { delayMs: 5_000, match: { pathContains: '/tokens/bearer' } }, 'TIMEOUT'],
  ])('sends a code once only, even for %s', async (_, fault, code) => {
    const location = await consent(await product.authorizationUrl('acme'));
    await product.admin('POST', 'faults', { count: 10, ...fault });
    expect(await product.callback(location)).toMatchObject({ problem: { code } });
    expect(await tokenRequests()).toBe(1);
    expect(await only()).toMatchObject({ status: 'PENDING', problem: { code } });
    expect((await rows()).tokens).toEqual([]);
  });

  it('connects nothing when a disconnect came first, and revokes what was granted', async () => {
    const location = await consent(await product.authorizationUrl('acme'));
    await product.admin('POST', 'faults', { delayMs: 400, match: { pathContains: 'companyinfo' } });
    const completing = product.callback(location);
    await expect.poll(tokenRequests).toBe(1);
    await product.connections.disconnect(identityOf('acme'), (await only()).id);
    expect(await completing).toMatchObject({ problem: { code: 'NOT_CONNECTED' } });
    expect((await only()).status).toBe('DISCONNECTED');
    expect((await rows()).tokens).toEqual([]);
    const kept = await product.db.selectFrom('token_revocations').select('connection_id').execute();
    expect(kept).toHaveLength(1);
  });

  it('takes the grants of two links that overlap, and revokes neither', async () => {
    const first = await consent(await product.authorizationUrl('acme'));
    await product.admin('POST', 'faults', { delayMs: 400, match: { pathContains: 'companyinfo' } });
    const slow = product.callback(first);
    await expect.poll(tokenRequests).toBe(1);
    const { id } = await product.connected('acme');
    expect(await slow).toMatchObject({ connectionId: id, problem: null });
    expect(await only()).toMatchObject({ id, status: 'ACTIVE', generation: 2 });
    expect(await product.requests('/revoke')).toEqual([]);
    expect((await product.connections.refresh(identityOf('acme'), id)).problem).toBeNull();
  });

  it('ends whatever link is still open when one succeeds', async () => {
    const left = await consent(await product.authorizationUrl('acme', { returnTo }));
    const used = await consent(await product.authorizationUrl('acme', { returnTo }));
    // As if the second had been made by a process that did not see the first.
    const later = new Date(Date.now() + minute);
    await product.db.updateTable('oauth_authorizations').set({ expires_at: later }).execute();
    expect(await product.callback(used)).toMatchObject({ problem: null });
    expect(await product.callback(left)).toMatchObject({
      returnTo,
      problem: { code: 'AUTHORIZATION_EXPIRED' },
    });
    expect(await tokenRequests()).toBe(1);
  });

  it.each([
    [{ integrationId: 'nosuch' }, 'NOT_FOUND'],
    [{ returnTo: 'https://evil.test/' }, 'INVALID_INPUT'],
    [{ scopes: ['two words'] }, 'INVALID_INPUT'],
    [{ scopes: [''] }, 'INVALID_INPUT'],
    [{ credentials: { username: 'u', password: 'p' } }, 'INVALID_INPUT'],
  ])('refuses %o and writes nothing', async (more, code) => {
    const request = {
      accountId: 'acme',
      userId: null,
      integrationId: 'quickbooks',
      ...more,
    };
    const answer = await product.connections.connect(request);
    expect(answer).toMatchObject({ connection: null, authorizationUrl: null, problem: { code } });
    expect(await product.connections.list('acme')).toEqual([]);
  });

  it('makes a new connection when a disconnect ends the one that a connect has found', async () => {
    for (let round = 0; round < 5; round++) {
      await product.authorizationUrl('acme');
      const live = (await product.connections.list('acme')).find(({ status }) => status === 'PENDING')!;
      const ended = product.connections.disconnect(identityOf('acme'), live.id);
      await Promise.all([ended, ...Array.from({ length: 3 }, () => product.authorizationUrl('acme'))]);
    }
    expect(
      (await product.connections.list('acme')).filter(({ status }) => status === 'PENDING').length,
    ).toBeLessThan(2);
  });

  it('makes one connection of many simultaneous connects', async () => {
    await Promise.all(Array.from({ length: 20 }, () => product.authorizationUrl('acme')));
    expect(await product.connections.list('acme')).toHaveLength(1);
  });
});
