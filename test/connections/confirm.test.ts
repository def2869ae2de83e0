import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { returnAddress } from '../../src/callbackPage.ts';
import { consent, visit } from '../support/browser.ts';
import { openCore, returnTo, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { startProduct } from '../support/product.ts';
import { mainRealmId, otherRealmId } from '../support/sandbox.ts';

const minute = 60_000;
const attacker = { accountId: 'rival', userId: 'mallory' };
const victim = { accountId: 'acme', userId: 'alice' };

/** The attacker begins, and has the victim's browser agree: a link that is sent is enough. */
async function lure(product: TestCore) {
  const link = await product.authorizationUrl(attacker.accountId, { ...attacker, returnTo });
  const answer = await product.callback(await consent(link));
  expect(answer.problem).toBeNull();
  return answer;
}

const only = async (product: TestCore, accountId: string) => {
  const list = await product.connections.list(accountId);
  expect(list).toHaveLength(1);
  return list[0]!;
};

describe.each(databaseKinds)('a connect that somebody else was made to complete, %s', (_kind, open) => {
  let product: TestCore;
  afterEach(() => product.close());

  it('puts their company into the account of who began it, where the callback completes', async () => {
    product = await openCore(open);
    await lure(product);
    expect(await only(product, 'rival')).toMatchObject({ status: 'ACTIVE', externalId: mainRealmId });
  });

  it('puts it nowhere where the person has to confirm: the code is at the one who did not ask', async () => {
    product = await openCore(open, { completion: 'confirm' });
    const { completionCode = '' } = await lure(product);
    const pending = await only(product, 'rival');
    expect(pending).toMatchObject({ status: 'PENDING', externalId: null, problem: null });
    for (const by of [
      victim,
      { ...attacker, userId: 'eve' },
      { ...attacker, userId: null },
      { ...victim, userId: 'mallory' },
    ])
      expect(await product.connections.completeConnect(by, completionCode)).toMatchObject({
        connection: null,
        problem: { code: 'NOT_FOUND' },
      });
    expect(await only(product, 'rival')).toEqual(pending);
    expect(await product.connections.list('acme')).toEqual([]);
    expect(await product.db.selectFrom('oauth_tokens').selectAll().execute()).toEqual([]);
  });
});

describe.each(databaseKinds)('a connect that is to be confirmed, %s', (_kind, open) => {
  let product: TestCore;
  beforeAll(async () => {
    product = await openCore(open, { completion: 'confirm', alsoKnownAs: ['other'] });
    // One whose revocation ends that grant and nothing else.
    const { provider } = product.catalog.find('other')!;
    Object.assign(provider, { oauth: { ...provider.oauth, revokes: 'authorization' } });
  });
  afterAll(() => product.close());

  const by = (accountId: string) => ({ accountId, userId: 'user-1' });
  /** From `connect` to the code. */
  const agreed = async (accountId: string, integrationId = 'quickbooks') => {
    const link = await product.authorizationUrl(accountId, { integrationId, returnTo });
    const answer = await product.callback(await consent(link), integrationId);
    expect(answer).toEqual({
      ...{ returnTo, problem: null, connectionId: expect.any(String) as string },
      completionCode: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    return { code: answer.completionCode!, id: answer.connectionId! };
  };
  const rowsOf = (accountId: string) =>
    product.db.selectFrom('oauth_authorizations').selectAll().where('account_id', '=', accountId).execute();
  const complete = (accountId: string, code: string) =>
    product.connections.completeConnect(by(accountId), code);
  const codeOf = async (accountId: string, code: string) => (await complete(accountId, code)).problem?.code;

  it('is active once its person has confirmed it, and works', async () => {
    const { code } = await agreed('a');
    expect((await only(product, 'a')).status).toBe('PENDING');
    const source = `mutation ($code: String!) { completeConnect(input: { completionCode: $code }) {
      connection { status externalId profile { id } } problem { code } } }`;
    const { data, errors } = await product.query(source, { code }, 'a');
    expect(errors).toBeUndefined();
    expect(data?.completeConnect).toEqual({
      connection: { status: 'ACTIVE', externalId: mainRealmId, profile: { id: mainRealmId } },
      problem: null,
    });
  });

  it('takes a code once, however many bring it', async () => {
    const { code } = await agreed('b');
    const ends = await Promise.all(Array.from({ length: 10 }, () => codeOf('b', code)));
    expect(ends.filter((end) => end === undefined)).toHaveLength(1);
    expect(new Set(ends)).toEqual(new Set([undefined, 'NOT_FOUND']));
    expect((await only(product, 'b')).status).toBe('ACTIVE');
  });

  it('answers the same to every code that is not good', async () => {
    const used = await agreed('c');
    await complete('c', used.code);
    const fresh = await agreed('d');
    const late = await agreed('e');
    const askedAt = product.clock.now();
    const answers = [
      await complete('d', 'x'.repeat(43)),
      await complete('d', "' or 1=1 --"),
      await complete('d', ''),
      await complete('c', used.code),
      await complete('c', fresh.code),
      await product.connections.completeConnect({ accountId: 'd', userId: 'user-2' }, fresh.code),
    ];
    product.clock.shift(10 * minute);
    answers.push(await complete('e', late.code));
    product.clock.shift(-10 * minute);
    for (const { problem } of answers) expect(problem!.occurredAt.getTime()).toBeGreaterThanOrEqual(askedAt);
    const shown = answers.map(({ connection, problem }) => ({ connection, ...problem, occurredAt: null }));
    expect(shown[0]).toMatchObject({ connection: null, code: 'NOT_FOUND' });
    for (const one of shown) expect(one).toEqual(shown[0]);
    expect(await codeOf('d', fresh.code), 'was not used up by others').toBeUndefined();
  });

  it('keeps neither the code nor the grant in the clear', async () => {
    const { code } = await agreed('f');
    const [row] = await rowsOf('f');
    const stored = JSON.stringify(row) + row!.grant_encrypted!.toString('latin1');
    expect(row!.grant_encrypted!.length).toBeGreaterThan(100);
    expect(stored).not.toContain(code);
    expect(stored).not.toContain('accessToken');
    expect(product.logs()).not.toContain(code);
  });

  it.each([
    ['quickbooks', 'dropped: a revocation would end more than it', 0],
    ['other', 'revoked', 1],
  ])('of %s that nobody confirms in time is %s', async (integrationId, _what, revocations) => {
    const accountId = `late-${integrationId}`;
    const { code, id } = await agreed(accountId, integrationId);
    product.clock.shift(10 * minute - 5_000);
    await product.upkeep.dropUnconfirmed();
    expect(await rowsOf(accountId)).toMatchObject([{ grant_encrypted: expect.any(Buffer) as Buffer }]);
    expect((await only(product, accountId)).problem, 'may still be confirmed').toBeNull();
    product.clock.shift(5_001);
    await product.upkeep.dropUnconfirmed();
    expect(await rowsOf(accountId)).toMatchObject([{ grant_encrypted: null, completion_hash: null }]);
    const kept = await product.db
      .selectFrom('token_revocations')
      .select('connection_id')
      .where('account_id', '=', accountId)
      .execute();
    expect(kept).toEqual(Array.from({ length: revocations }, () => ({ connection_id: id })));
    expect(await codeOf(accountId, code)).toBe('NOT_FOUND');
    expect(await only(product, accountId)).toMatchObject({
      status: 'PENDING',
      problem: { code: 'AUTHORIZATION_EXPIRED' },
    });
    product.clock.shift(-10 * minute - 1);
  });

  it('authorizes a dead connection anew only once it is confirmed, and with nobody else’s company', async () => {
    const { code, id } = await agreed('k');
    await complete('k', code);
    await product.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    await product.connections.refresh(by('k'), id);
    const dead = await only(product, 'k');
    expect(dead).toMatchObject({ id, status: 'NEEDS_REAUTHORIZATION' });
    const link = await product.authorizationUrl('k', { returnTo });
    const other = await product.callback(await consent(link, { realmId: otherRealmId }));
    expect(other).toMatchObject({ problem: { code: 'ACCOUNT_MISMATCH' } });
    const again = await agreed('k');
    expect((await only(product, 'k')).status).toBe('NEEDS_REAUTHORIZATION');
    expect(await codeOf('k', again.code)).toBeUndefined();
    expect(await only(product, 'k')).toMatchObject({ id, status: 'ACTIVE', problem: null });
  });

  it('ends with a disconnect, and with a newer link', async () => {
    const ended = await agreed('g');
    await product.connections.disconnect(by('g'), ended.id);
    expect(await codeOf('g', ended.code)).toBe('NOT_FOUND');
    const older = await agreed('h');
    const newer = await agreed('h');
    expect(await codeOf('h', older.code)).toBe('NOT_FOUND');
    expect(await codeOf('h', newer.code)).toBeUndefined();
    expect((await only(product, 'h')).status).toBe('ACTIVE');
  });

  it('needs an address to return to, and nothing is written without', async () => {
    const request = { ...by('i'), integrationId: 'quickbooks' };
    const { problem } = await product.connections.connect(request);
    expect(problem).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('returnTo') });
    expect(await product.connections.list('i')).toEqual([]);
  });

  it('does not come to pass where the provider was declined', async () => {
    const link = await product.authorizationUrl('j', { returnTo });
    const answer = await product.callback(await consent(link, {}, /cancel/i));
    expect(answer).toMatchObject({ problem: { code: 'AUTHORIZATION_DENIED' } });
    expect(answer.completionCode).toBeUndefined();
  });
});

describe('the address that a callback returns to', () => {
  it('carries the code, and does not say that it is connected', () => {
    const answer = { returnTo, connectionId: 'c1', problem: null, completionCode: 'the-code' };
    expect(returnAddress(answer)).toBe(`${returnTo}?connectionId=c1&status=confirm&completionCode=the-code`);
    expect(returnAddress({ ...answer, returnTo: null })).toBeUndefined();
  });
});

describe('a product that is set to confirm', () => {
  it('hands the code to the page, whose session completes the connect', async () => {
    const origin = 'https://app.example.com';
    const product = await startProduct({ CONNECT_COMPLETION: 'confirm', RETURN_TO_ORIGINS: origin });
    try {
      const as = (user: string) => ({ 'x-account-id': 'acme', 'x-user-id': user });
      const connect = `mutation { connect(input: { integrationId: "quickbooks", returnTo: "${origin}/done" }) { authorizationUrl } }`;
      const { data } = await product.graphql(connect, {}, as('alice'));
      const { pathname, search } = new URL(await consent(data.connect.authorizationUrl as string));
      const { status, location } = await visit(product.url + pathname + search);
      expect(status).toBe(303);
      const { origin: to, searchParams } = new URL(location!);
      const code = searchParams.get('completionCode');
      expect([to, searchParams.get('status')]).toEqual([origin, 'confirm']);
      const complete = `mutation ($code: String!) { completeConnect(input: { completionCode: $code }) {
        connection { id status } problem { code } } }`;
      const answers = [];
      for (const user of ['bob', 'alice', 'alice'])
        answers.push((await product.graphql(complete, { code }, as(user))).data.completeConnect);
      const active = { id: searchParams.get('connectionId'), status: 'ACTIVE' };
      const refused = { connection: null, problem: { code: 'NOT_FOUND' } };
      expect(answers).toEqual([refused, { connection: active, problem: null }, refused]);
      expect(product.output()).not.toContain(code);
    } finally {
      await product.stop();
      await product.remove();
    }
  });
});
