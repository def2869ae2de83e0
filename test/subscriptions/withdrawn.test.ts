import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createResolveIdentity } from '../../src/identity.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { scriptedServer, type ScriptedServer } from '../support/httpServer.ts';
import { accept, asked, openRouter, type Router } from './router.ts';
import { everything, openEdge, stream, until, type Edge, type TestAccount } from './support.ts';

/** A minute between two looks at the keys is a second here. */
const hurried = { ...systemClock, timer: (ms: number, work: () => void) => systemClock.timer(ms / 60, work) };

async function made(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' };
  const bearer = async (accountId: string) =>
    `Bearer ${await new SignJWT({ account_id: accountId, scope: 'integrations:read' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setExpirationTime('1h')
      .sign(privateKey)}`;
  return { jwk, bearer };
}

describe('a key that the identity provider withdraws', () => {
  let provider: ScriptedServer;
  let router: Router;
  let edge: Edge;
  let acme: TestAccount;
  let keys: Awaited<ReturnType<typeof made>>[];
  const publish = (...published: typeof keys) =>
    provider.script({ body: JSON.stringify({ keys: published.map(({ jwk }) => jwk) }) });

  beforeAll(async () => {
    [provider, router] = await Promise.all([scriptedServer(), openRouter()]);
    keys = await Promise.all([made('stolen'), made('good')]);
    publish(...keys);
    const config = { kind: 'jwks', url: provider.url, accountClaim: 'account_id' } as const;
    edge = await openEdge(embeddedDatabase, {
      resolveIdentity: createResolveIdentity({ ...config, issuer: undefined, audience: undefined }, hurried),
    });
    acme = await edge.account('acme');
  });
  afterAll(async () => {
    await edge?.close();
    await Promise.all([provider.close(), router.close()]);
  });

  it('ends what goes on with its tokens within a second, 4403 or UNAUTHENTICATED, and nothing else', async () => {
    const [stolen, good] = await Promise.all(keys.map(({ bearer }) => bearer('acme')));
    const sockets = [stolen!, stolen!, good!].map((bearer) => edge.listen(bearer, everything));
    const events = await stream(`${edge.url}/graphql/stream?${new URLSearchParams({ query: everything })}`, {
      headers: { authorization: stolen! },
    });
    await edge.post(asked(router), { accept, authorization: stolen! });
    await edge.readers(5);
    let writing = true;
    const writer = (async () => {
      while (writing) {
        await acme.append();
        await systemClock.sleep(20);
      }
    })();
    await until(() => sockets.every(({ received }) => received.length > 5));

    publish(keys[1]!);
    const before = provider.requests.length;
    await until(() => provider.requests.length > before, 5_000);
    const withdrawnAt = performance.now();
    const closes = await Promise.all(sockets.slice(0, 2).map(({ ended }) => ended));
    await events.ended;
    await until(() => router.posted.at(-1)!.body.action === 'complete');
    expect(performance.now() - withdrawnAt).toBeLessThan(1_000);

    const counts = () => [...sockets.slice(0, 2).map((one) => one.received.length), router.posted.length];
    const last = counts();
    const others = sockets[2]!.received.length;
    await until(() => sockets[2]!.received.length > others + 10);
    writing = false;
    await writer;
    expect(counts()).toEqual(last);
    for (const close of closes) expect(close).toMatchObject({ code: 4403, reason: 'Key withdrawn' });
    const errors = [
      { message: expect.stringMatching(/withdrawn/) as string, extensions: { code: 'UNAUTHENTICATED' } },
    ];
    expect(events.results().at(-1)).toEqual({ errors });
    expect(router.posted.at(-1)!.body.errors).toEqual(errors);
    const answer = await edge.post({ query: '{ connections { id } }' }, { authorization: stolen! });
    expect(answer.status).toBe(401);
    sockets[2]!.stop();
    await edge.readers(0);
  });

  it('is looked for while somebody follows with it, and not for nobody', async () => {
    await edge.readers(0);
    const idle = provider.requests.length;
    await systemClock.sleep(2_500);
    expect(provider.requests.length).toBe(idle);
    const listening = edge.listen(await keys[1]!.bearer('acme'), everything);
    await edge.readers(1);
    await until(() => provider.requests.length > idle + 1, 5_000);
    listening.stop();
  });
});
