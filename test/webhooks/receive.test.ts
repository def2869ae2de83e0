import { randomUUID } from 'node:crypto';
import { connect as dial } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConfiguredProvider } from '../../src/providers/catalog.ts';
import {
  githubScheme,
  intuitScheme,
  myCarrierPacketsScheme,
  slackScheme,
  standardScheme,
  stripeScheme,
  type SignatureScheme,
} from '../../src/providers/signatures.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { openCore, webhookSecret, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { setUp } from '../support/described.ts';
import { cloudEvents, openReceiver, type TestReceiver } from '../support/webhooks.ts';

const configuredSecret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
const ownSecret = 'the-secret-of-this-connection';
const otherOwnSecret = 'the-secret-of-another-connection';
const bad = { status: 401, text: '{"error":"The signature does not verify."}' };

const hmac = {
  scheme: 'hmac',
  header: 'X-Acme-Signature',
  signedTemplate: '{ts}.{body}',
  timestampHeader: 'X-Acme-Time',
  encoding: 'base64',
  algo: 'sha512',
};
const hmacScheme: SignatureScheme = {
  ...{ header: 'x-acme-signature', form: 'plain', algorithm: 'sha512', encoding: 'base64' },
  ...{ secretEncoding: 'utf8', signed: '{timestamp}.{body}', timestamp: { header: 'x-acme-time' } },
};

/** An integration from a file: deals, whose changes are announced. */
function deals(id: string, verifier: object, webhookSecrets = [configuredSecret]): ConfiguredProvider {
  const yaml = {
    ...{ id, displayName: 'Acme', authorizeUrl: 'https://login.acme.example/authorize' },
    ...{ tokenUrl: 'https://login.acme.example/token', api: { baseUrl: 'https://api.acme.example' } },
    profile: { path: '/me', idPath: 'id' },
    resources: { Deal: { path: '/deals/{id}' } },
    webhook: {
      ...{ verifier, tenantIdPath: 'account', typePath: 'type' },
      events: [{ type: 'deal.changed', resource: 'Deal', idPath: 'deal' }],
    },
  };
  return { ...setUp(JSON.stringify({ integrations: [yaml] })), webhookSecrets };
}

interface Route {
  name: string;
  scheme: SignatureScheme;
  secret(): string;
  path(): string;
  body(): Buffer;
}

describe.each(databaseKinds)('what is posted to a webhook’s address, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  const ids = { own: '', other: '', without: '' };
  beforeAll(async () => {
    product = await openCore(open, {
      others: [
        deals('acme-standard', { scheme: 'standard' }),
        deals('acme-github', { scheme: 'github' }),
        deals('acme-stripe', { scheme: 'stripe' }),
        deals('acme-hmac', hmac),
        deals('acme-unset', { scheme: 'github' }, []),
        deals('acme-blank', { scheme: 'github' }, ['', '  ']),
      ],
    });
    receiver = await openReceiver(product);
    const { username, password } = product.sandbox.myCarrierPackets;
    const connect = async (accountId: string, webhookSecret?: string) => {
      const { connection } = await product.connections.connect({
        ...{ accountId, userId: null, integrationId: 'mycarrierpackets' },
        credentials: { username, password, ...(webhookSecret !== undefined && { webhookSecret }) },
      });
      return connection!.id;
    };
    ids.own = await connect('one', ownSecret);
    ids.other = await connect('two', otherOwnSecret);
    ids.without = await connect('three');
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });

  const bytes = (body: unknown) => Buffer.from(JSON.stringify(body));
  const deal = () => bytes({ account: 'acme-1', type: 'deal.changed', deal: randomUUID() });
  const event = () => ({
    ...{ type: 'event_callback', team_id: 'T0NOBODY1', event_id: `Ev${randomUUID()}` },
    ...{ event_time: 1, event: { type: 'channel_created', channel: { id: 'C0GENERAL' } } },
  });
  const packet = () => ({
    eventType: 'carrier.packet.completed',
    eventDateTime: `2026-04-29T22:16:41.${String(Math.random()).slice(2, 9)}Z`,
    eventData: { carrier: { dotNumber: 9_999_997 } },
  });
  const configured = (name: string, scheme: SignatureScheme): Route => ({
    ...{ name, scheme, secret: () => configuredSecret, path: () => name, body: deal },
  });
  const routes: Route[] = [
    {
      ...{ name: 'quickbooks', scheme: intuitScheme, secret: () => webhookSecret, path: () => 'quickbooks' },
      body: () => bytes(cloudEvents([{ id: randomUUID(), realm: '1', entity: 'invoice', externalId: '41' }])),
    },
    {
      ...{ name: 'slack', scheme: slackScheme, path: () => 'slack' },
      ...{ secret: () => product.sandbox.slack.signingSecret, body: () => bytes(event()) },
    },
    {
      ...{ name: 'mycarrierpackets', scheme: myCarrierPacketsScheme, secret: () => ownSecret },
      ...{ path: () => `mycarrierpackets/${ids.own}`, body: () => bytes(packet()) },
    },
    configured('acme-standard', standardScheme),
    configured('acme-github', githubScheme),
    configured('acme-stripe', stripeScheme),
    configured('acme-hmac', hmacScheme),
  ];

  const nowSeconds = () => Math.floor(product.clock.now() / 1_000);
  const signed = (route: Route, body: Buffer, more: { timestamp?: number; id?: string } = {}) =>
    sign(route.scheme, route.secret(), body, { timestamp: nowSeconds(), id: randomUUID(), ...more });
  const post = async (path: string, body: Buffer, headers: Record<string, string>) => {
    const answer = await receiver.post(path, body, headers);
    return { status: answer.status, text: await answer.text() };
  };
  const stored = async () => {
    const { count } = await product.db
      .selectFrom('webhook_deliveries')
      .select((row) => row.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return Number(count);
  };

  describe.each(routes.map((route) => [route.name, route] as const))('%s', (_name, route) => {
    const { header } = route.scheme;

    it('is stored before it is acknowledged, and once however often it is sent', async () => {
      const before = await stored();
      const body = route.body();
      const id = randomUUID();
      const told = () => post(route.path(), body, signed(route, body, { id }));
      expect(await told()).toEqual({ status: 200, text: '{}' });
      const after = await stored();
      expect(after).toBeGreaterThan(before);
      expect(await told()).toEqual({ status: 200, text: '{}' });
      expect(await stored()).toBe(after);
    });

    it('is refused without, with a blank, a wrong, an upper-case and a repeated signature', async () => {
      const before = await stored();
      const body = route.body();
      const headers = signed(route, body);
      const value = headers[header]!;
      const { [header]: _, ...without } = headers;
      expect(await post(route.path(), body, without)).toEqual(bad);
      // Whoever lists signatures may list one twice.
      const twice = route.scheme.form === 'plain' ? [`${value}${value}`, `${value}, ${value}`] : [];
      for (const other of ['', ' ', 'null', value.toUpperCase(), value.slice(0, -1), ...twice])
        expect(await post(route.path(), body, { ...headers, [header]: other })).toEqual(bad);
      expect(await post(route.path(), Buffer.concat([body, Buffer.from(' ')]), headers)).toEqual(bad);
      const others = ['', ' ', 'some-other-secret', otherOwnSecret, `${route.secret()} `];
      for (const secret of others.filter((one) => one.trim() !== '')) {
        const key = route.scheme.secretEncoding === 'whsec' ? Buffer.from(secret).toString('base64') : secret;
        expect(
          await post(
            route.path(),
            body,
            sign(route.scheme, key, body, { timestamp: nowSeconds(), id: 'msg_1' }),
          ),
        ).toEqual(bad);
      }
      expect(await stored()).toBe(before);
    });

    it('is refused with 10,000 signatures, by a line that Node itself ends', async () => {
      const body = route.body();
      const headers = signed(route, body);
      const many = Array.from({ length: 10_000 }, () => headers[header]!).join(
        route.scheme.form === 'list' ? ' ' : ',',
      );
      expect((await post(route.path(), body, { ...headers, [header]: many })).status).toBe(431);
    });

    it('is refused as another type, encoded, too long or unreadable, and then leaves nothing', async () => {
      const before = await stored();
      const body = route.body();
      const headers = signed(route, body);
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'x'])
        expect((await post(route.path(), body, { ...headers, 'content-type': type })).status).toBe(415);
      for (const encoding of ['gzip', 'br', 'deflate', 'identity, gzip'])
        expect((await post(route.path(), body, { ...headers, 'content-encoding': encoding })).status).toBe(
          415,
        );
      const long = Buffer.alloc(1024 * 1024 + 1, 0x20);
      expect((await post(route.path(), long, signed(route, long))).status).toBe(413);
      for (const text of ['', '{', 'null', '[1]', '"x"', '{"type":', '\ufeff{}', '['.repeat(100_000)]) {
        const other = Buffer.from(text);
        expect([text.slice(0, 9), (await post(route.path(), other, signed(route, other))).status]).toEqual([
          text.slice(0, 9),
          400,
        ]);
      }
      const latin = Buffer.concat([
        body.subarray(0, -1),
        Buffer.from([0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      ]);
      expect((await post(route.path(), latin, signed(route, latin))).status).toBe(400);
      expect(await stored()).toBe(before);
    });

    it('is refused for every bit that is not as it was signed', async () => {
      const body = route.body();
      const headers = signed(route, body);
      const value = headers[header]!;
      const { receive } = product.receiver;
      const [integrationId, connectionId] = route.path().split('/') as [string, string?];
      const ask = (of: Buffer, own: string) =>
        receive({
          ...{ integrationId, connectionId, body: of },
          headers: { 'content-type': 'application/json', ...headers, [header]: own },
        });
      expect((await ask(body, value)).status).toBe(200);
      const before = await stored();
      await fc.assert(
        fc.asyncProperty(fc.nat(body.length * 8 + value.length * 7 - 1), fc.boolean(), async (at, inBody) => {
          const mutant = Buffer.from(inBody ? body : Buffer.from(value));
          const bit = at % (mutant.length * 7);
          mutant[Math.floor(bit / 7)]! ^= 1 << (bit % 7);
          const answer = inBody ? await ask(mutant, value) : await ask(body, mutant.toString());
          // The order and the names in a header of pairs are not signed, nor is a space around it.
          return answer.status === 401 || mutant.toString().trim() === value;
        }),
        { numRuns: 300, seed: 20_261_123 },
      );
      expect(await stored()).toBe(before);
    });
  });

  const timed = routes.filter(({ scheme }) => scheme.timestamp).map((route) => [route.name, route] as const);
  it.each(timed)('%s is taken within five minutes of its time, on both sides', async (_name, route) => {
    const answers: number[] = [];
    for (const apart of [-302, -299, 0, 299, 302]) {
      const body = route.body();
      answers.push(
        (await post(route.path(), body, signed(route, body, { timestamp: nowSeconds() + apart }))).status,
      );
    }
    expect(answers).toEqual([401, 200, 200, 200, 401]);
  });

  it('answers 404 for an integration that is unknown or sends no webhooks, signed or not', async () => {
    for (const id of ['nobody', '__proto__', 'constructor', '%00', 'QUICKBOOKS'])
      expect((await post(id, bytes({}), {})).status).toBe(404);
  });

  it('answers an unknown connection as it answers a bad signature, to the byte', async () => {
    const body = bytes(packet());
    const headers = sign(myCarrierPacketsScheme, ownSecret, body);
    const paths = [
      ...[randomUUID(), 'x', '00000000-0000-0000-0000-000000000000', `${ids.own}0`, ids.other, ids.without],
      ...['%00', "'", '__proto__'],
    ].map((id) => `mycarrierpackets/${id}`);
    const raw = (path: string, own: Record<string, string>) =>
      new Promise<string>((resolve) => {
        const url = new URL(receiver.url);
        const socket = dial(Number(url.port), url.hostname);
        let text = '';
        socket.on('data', (data) => (text += String(data)));
        socket.on('close', () => resolve(text.replace(/^date: .*$/im, '')));
        const lines = Object.entries({ 'content-type': 'application/json', ...own }).map(
          ([name, value]) => `${name}: ${value}\r\n`,
        );
        socket.write(
          `POST /webhooks/${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n${lines.join('')}\r\n`,
        );
        socket.write(body);
      });
    const wrong = await raw(
      `mycarrierpackets/${ids.own}`,
      sign(myCarrierPacketsScheme, 'wrong-secret', body),
    );
    expect(wrong).toContain('401');
    for (const path of [
      ...paths,
      'mycarrierpackets',
      'quickbooks/some-connection',
      'acme-unset',
      'acme-blank',
    ])
      expect(await raw(path, headers)).toBe(wrong);
    expect((await post(`mycarrierpackets/${ids.own.toUpperCase()}`, body, headers)).status).toBe(200);
  });

  it('takes a request with each of two signatures, where only one may be right, by the scheme’s own list', async () => {
    const route = routes.find(({ name }) => name === 'acme-standard')!;
    const body = route.body();
    const headers = signed(route, body);
    const two = { ...headers, 'webhook-signature': `v1,${'A'.repeat(43)}= ${headers['webhook-signature']}` };
    expect((await post('acme-standard', body, two)).status).toBe(200);
  });

  it('tells two requests apart whose id is blank, and one from its repetition', async () => {
    const before = await stored();
    for (const _ of [1, 2]) {
      const body = deal();
      const headers = { ...sign(githubScheme, configuredSecret, body), 'x-github-delivery': ' ' };
      for (const __ of [1, 2]) expect((await post('acme-github', body, headers)).status).toBe(200);
    }
    expect(await stored()).toBe(before + 2);
  });

  it('stores nothing that the database could not hold, and what came with it all the same', async () => {
    const before = await stored();
    const event = (more: object) => ({
      ...cloudEvents([{ id: randomUUID(), realm: 'r', entity: 'invoice', externalId: '41' }])[0],
      ...more,
    });
    const odd = [
      ...[
        event({ intuitaccountid: 'a\0b' }),
        event({ intuitentityid: '4\0' }),
        event({ intuitentityid: '' }),
      ],
      ...[event({ intuitaccountid: '\ud800' }), event({ intuitaccountid: 'x'.repeat(10_000) })],
    ];
    const kept = [
      ...[event({ id: 'a\0b' }), event({ id: '\udc00' }), event({ id: 'ü'.repeat(100_000) }), event({})],
      ...[event({ time: '9999-12-31T23:59:59-23:59' }), event({ time: '0000-01-01T00:00:00Z' })],
    ];
    expect((await receiver.quickbooks([...odd, ...kept])).status).toBe(200);
    expect(await stored()).toBe(before + kept.length);
  });

  it('lets a connection whose secret cannot be opened spoil nobody else’s webhooks', async () => {
    await product.db
      .updateTable('webhook_secrets')
      .set({ secret_encrypted: Buffer.from('nothing that opens') })
      .where('connection_id', '=', ids.other)
      .execute();
    // In one tick, so that they are looked for in one statement.
    const answers = await Promise.all(
      [ids.own, ids.other, ids.own].map((connectionId) => {
        const body = bytes(packet());
        const secret = connectionId === ids.own ? ownSecret : otherOwnSecret;
        const headers = { 'content-type': 'application/json', ...sign(myCarrierPacketsScheme, secret, body) };
        return product.receiver.receive({ integrationId: 'mycarrierpackets', connectionId, headers, body });
      }),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 503, 200]);
  });
});
