import type { KyselyPlugin } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { databaseKinds, embeddedDatabase } from '../support/databases.ts';
import { accept, asked, openRouter, type Posted, type Router } from './router.ts';
import { bearer, everything, openEdge, until, type Edge, type TestAccount } from './support.ts';

describe.each(databaseKinds)('a subscription over callbacks, %s', (_kind, open) => {
  let edge: Edge;
  let acme: TestAccount;
  let router: Router;
  beforeAll(async () => {
    edge = await openEdge(open);
    acme = await edge.account('acme');
  });
  beforeEach(async () => {
    router = await openRouter();
  });
  afterEach(() => router.close());
  afterAll(() => edge?.close());

  const ask = (body: object) => edge.post(body, { accept, authorization: acme.authorization });
  const readers = (count: number) => edge.readers(count);
  const nexts = () => router.posted.filter(({ body }) => body.action === 'next');
  /** Ends what the router follows. */
  const end = async () => {
    router.answer = () => 404;
    await acme.append();
    await readers(0);
  };

  it('is confirmed first, then answered, then posts each event once and in order', async () => {
    const body = asked(router);
    const answer = await ask(body);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('subscription-protocol')).toBe('callback/1.0');
    expect(await answer.json()).toEqual({ data: null });
    const { subscriptionId: id } = body.extensions.subscription;
    const message = { kind: 'subscription', id, verifier: 'a verifier' };
    expect(router.posted).toEqual([
      { path: `/callback/${id}`, protocol: 'callback/1.0', body: { ...message, action: 'check' } },
    ]);
    await readers(1);
    const ids = await acme.append('SYNC_STARTED', 20);
    await until(() => nexts().length === 20);
    expect(nexts().map(({ body: { payload } }) => payload!.data.syncEvents.id as string)).toEqual(ids);
    expect(nexts().every(({ protocol, path }) => protocol === 'callback/1.0' && path.endsWith(id))).toBe(
      true,
    );
    const { payload, ...rest } = nexts()[0]!.body;
    expect(rest).toEqual({ ...message, action: 'next' });
    expect(Object.keys(payload!)).toEqual(['data']);
    expect(router.most).toBe(1);
    await end();
  });

  it('resumes after a cursor', async () => {
    const ids = await acme.append('SYNC_STARTED', 3);
    const history = await edge.product.query(
      '{ connections { events(first: 100) { nodes { id cursor } } } }',
    );
    const { nodes } = (history.data as any).connections[0].events; // oxlint-disable-line typescript/no-explicit-any -- an answer
    const after = (nodes as { id: string; cursor: string }[]).find(({ id }) => id === ids[0])!.cursor;
    await ask(asked(router, everything, {}, { after }));
    await until(() => nexts().length === 2);
    expect(nexts().map(({ body: { payload } }) => payload!.data.syncEvents.id as string)).toEqual(
      ids.slice(1),
    );
    await end();
  });

  it('completes with the error of a subscription that cannot start', async () => {
    const answer = await ask(asked(router, everything, {}, { after: 'nonsense' }));
    expect(answer.status).toBe(200);
    await until(() => router.posted.length === 2);
    expect(router.posted[1]!.body).toMatchObject({
      action: 'complete',
      errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
    });
  });
});

describe('callbacks', () => {
  let edge: Edge;
  let acme: TestAccount;
  let router: Router;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, {
      subscriptions: { callbackOrigins: undefined, perAccount: 2, total: 100 },
    });
    acme = await edge.account('acme');
  });
  beforeEach(async () => {
    router = await openRouter();
  });
  afterEach(async () => {
    router.answer = () => 404;
    await acme.append('CONNECTION_CHANGED');
    await edge.readers(0, 5_000);
    await router.close();
  });
  afterAll(() => edge?.close());

  const ask = (body: object, headers: Record<string, string> = {}) =>
    edge.post(body, { accept, authorization: acme.authorization, ...headers });
  const codeOf = async (answer: Response) =>
    ((await answer.json()) as { errors: { extensions: { code: string } }[] }).errors[0]!.extensions.code;
  const actions = () => router.posted.map(({ body }) => body.action);
  const readers = (count: number) => edge.readers(count);

  it.each<[string, () => { body: object; headers?: Record<string, string> }, number, string]>([
    [
      'another host',
      () => ({ body: asked(router, everything, { callbackUrl: 'https://evil.example/callback' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'a private address',
      () => ({ body: asked(router, everything, { callbackUrl: 'http://10.0.0.1/callback' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      "a cloud's metadata",
      () => ({ body: asked(router, everything, { callbackUrl: 'http://169.254.169.254/latest' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'a host that only begins like ours',
      () => ({ body: asked(router, everything, { callbackUrl: 'http://127.0.0.1.evil.example/' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'credentials in the URL',
      () => ({
        body: asked(router, everything, { callbackUrl: router.url.replace('127.', 'user:password@127.') }),
      }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'another protocol',
      () => ({ body: asked(router, everything, { callbackUrl: 'file:///etc/passwd' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'what is no URL',
      () => ({ body: asked(router, everything, { callbackUrl: '/callback' }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'no verifier',
      () => ({ body: asked(router, everything, { verifier: undefined }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'no subscription id',
      () => ({ body: asked(router, everything, { subscriptionId: 7 }) }),
      400,
      'BAD_USER_INPUT',
    ],
    [
      'a heartbeat that is none',
      () => ({ body: asked(router, everything, { heartbeatIntervalMs: 0.5 }) }),
      400,
      'BAD_USER_INPUT',
    ],
    ['no extension', () => ({ body: { query: everything } }), 400, 'BAD_USER_INPUT'],
    [
      'a document that does not parse',
      () => ({ body: asked(router, 'subscription {') }),
      400,
      'GRAPHQL_PARSE_FAILED',
    ],
    [
      'a document that is not valid',
      () => ({ body: asked(router, 'subscription { nothing }') }),
      400,
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      'a variable that does not fit',
      () => ({ body: asked(router, everything, {}, { after: 7 }) }),
      400,
      'BAD_USER_INPUT',
    ],
    ['no identity', () => ({ body: asked(router), headers: { authorization: '' } }), 401, 'UNAUTHENTICATED'],
  ])('are not started for %s: nothing is posted', async (_, of, status, code) => {
    const { body, headers } = of();
    const answer = await ask(body, headers);
    expect(answer.status).toBe(status);
    expect(await codeOf(answer)).toBe(code);
    expect(router.posted).toEqual([]);
    expect(edge.product.feed.readers()).toBe(0);
  });

  it('are not started for a token that does not verify: nothing is posted', async () => {
    const answer = await ask(asked(router), { authorization: await bearer('acme', 60, 'x'.repeat(40)) });
    expect(answer.status).toBe(401);
    expect(router.posted).toEqual([]);
  });

  it.each<[string, Router['answer']]>([
    ['404', () => 404],
    ['200', () => 200],
    ['a redirect', () => `${router.url}/elsewhere`],
    ['500, again and again', () => 500],
  ])('are not started where the check is answered with %s', async (_, answer) => {
    router.answer = answer;
    const answered = await ask(asked(router));
    expect(answered.status).toBe(502);
    expect(await codeOf(answered)).toBe('CALLBACK_FAILED');
    expect(new Set(actions())).toEqual(new Set(['check']));
    expect(router.posted.every(({ path }) => !path.endsWith('elsewhere'))).toBe(true);
  });

  it('leave queries to the usual way', async () => {
    const answer = await ask({ query: '{ connections { id } }' });
    expect(await answer.json()).toEqual({ data: { connections: [{ id: acme.connection.id }] } });
    expect(router.posted).toEqual([]);
  });

  it('are bounded for each account', async () => {
    expect((await ask(asked(router))).status).toBe(200);
    expect((await ask(asked(router))).status).toBe(200);
    const third = await ask(asked(router));
    expect(third.status).toBe(503);
    expect(await codeOf(third)).toBe('TOO_MANY_SUBSCRIBERS');
    await readers(2);
  });

  it('send checks in between, which stop with the subscription', async () => {
    await ask(asked(router, everything, { heartbeatIntervalMs: 100 }));
    await until(() => actions().length >= 4);
    expect(new Set(actions())).toEqual(new Set(['check']));
    router.answer = () => 404;
    await readers(0);
    const count = router.posted.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(router.posted).toHaveLength(count);
  });

  it('send a check well before a router that counts exactly would give up', async () => {
    const heartbeatIntervalMs = 4_000;
    await ask(asked(router, everything, { heartbeatIntervalMs }));
    await until(() => actions().length === 2, heartbeatIntervalMs);
    expect(actions()).toEqual(['check', 'check']);
    router.answer = () => 404;
    await readers(0);
  });

  it('end at a 404, and send not even a goodbye', async () => {
    await ask(asked(router));
    await readers(1);
    router.answer = () => 404;
    await acme.append('SYNC_STARTED', 5);
    await readers(0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(actions()).toEqual(['check', 'next']);
  });

  it('try again after a 5xx, in order, and end when it lasts', async () => {
    await ask(asked(router));
    await readers(1);
    let failures = 2;
    router.answer = () => (failures-- > 0 ? 503 : 200);
    const ids = await acme.append('SYNC_STARTED', 3);
    await until(() => router.posted.length === 6);
    expect(router.posted.slice(1).map(({ body }) => body.payload!.data.syncEvents.id as string)).toEqual([
      ...[ids[0], ids[0], ids[0]],
      ...[ids[1], ids[2]],
    ]);
    router.answer = () => 500;
    await acme.append();
    await edge.readers(0, 8_000);
    expect(router.posted).toHaveLength(10);
  });

  it('end with the token: UNAUTHENTICATED within a second, and nothing after', async () => {
    await ask(asked(router), { authorization: await bearer('acme', 3) });
    const expiresAt = Math.floor(Date.now() / 1000) * 1000 + 3_000;
    await readers(1);
    await acme.append();
    await until(() => actions().includes('complete'));
    expect(Date.now() - expiresAt).toBeLessThan(1_000);
    expect(actions()).toEqual(['check', 'next', 'complete']);
    expect(router.posted[2]!.body.errors![0]!.extensions).toEqual({ code: 'UNAUTHENTICATED' });
    await acme.append();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(router.posted).toHaveLength(3);
  });

  it('complete a router that is too slow, with the cursor of the last event that it took', async () => {
    await ask(asked(router));
    await readers(1);
    let taken = 0;
    const held = Promise.withResolvers<number>();
    router.answer = ({ body }) => (body.action === 'next' && ++taken > 2 ? held.promise : 200);
    await acme.append('SYNC_PROGRESSED', 300);
    await until(() => actions().includes('complete'), 20_000);
    held.resolve(200);
    const complete = router.posted.find(({ body }) => body.action === 'complete')!.body;
    const cursors = router.posted.flatMap(({ body }) => body.payload?.data.syncEvents.cursor as string);
    expect(complete.errors![0]!.extensions).toEqual({ code: 'TOO_SLOW', cursor: cursors[2] });
  });

  it('are refused in production while no origin is named', async () => {
    const strict = await openEdge(embeddedDatabase, { production: true });
    const answer = await strict.post(asked(router), { accept, authorization: acme.authorization });
    expect(answer.status).toBe(400);
    const { errors } = (await answer.json()) as { errors: { message: string }[] };
    expect(errors[0]!.message).toContain('SUBSCRIPTION_CALLBACK_ORIGINS');
    await strict.close();
    const { origin } = new URL(router.url);
    const named = await openEdge(embeddedDatabase, {
      production: true,
      subscriptions: { callbackOrigins: [origin], perAccount: 2, total: 2 },
    });
    const { authorization } = acme;
    expect((await named.post(asked(router), { accept, authorization })).status).toBe(200);
    const other = router.url.replace('127.0.0.1', 'localhost');
    const refused = await named.post(asked(router, everything, { callbackUrl: other }), {
      accept,
      authorization,
    });
    expect(refused.status).toBe(400);
    await named.stop();
    expect(actions()).toEqual(['check', 'complete']);
    await named.product.close();
  });
});

describe('a subscription over callbacks that is behind', () => {
  it('ends with an error that tells nothing, where the table cannot be read', async () => {
    const router = await openRouter();
    let isBroken = false;
    const failing: KyselyPlugin = {
      transformQuery({ node }) {
        const text = node.kind === 'RawNode' ? node.sqlFragments.join() : '';
        if (isBroken && text.includes('cross join lateral')) throw new Error('the line was cut: secret');
        return node;
      },
      transformResult: ({ result }) => Promise.resolve(result),
    };
    const edge = await openEdge(async (options) => {
      const database = await embeddedDatabase(options);
      return { ...database, db: database.db.withPlugin(failing) };
    });
    try {
      const acme = await edge.account('acme');
      await acme.append('SYNC_STARTED', 5);
      isBroken = true;
      const after = Buffer.from('1').toString('base64url');
      const headers = { accept, authorization: acme.authorization };
      const answer = await edge.post(asked(router, everything, {}, { after }), headers);
      expect(answer.status).toBe(200);
      await until(() => router.posted.length === 2);
      const [, { body }] = router.posted as [Posted, Posted];
      expect(body).toMatchObject({
        action: 'complete',
        errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
      });
      expect(JSON.stringify(body)).not.toContain('secret');
      expect(edge.product.feed.readers()).toBe(0);
    } finally {
      await edge.close();
      await router.close();
    }
  });
});
