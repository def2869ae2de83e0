import { createHmac, randomUUID } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  intuitScheme,
  myCarrierPacketsScheme,
  slackScheme,
  type SignatureScheme,
} from '../../src/providers/signatures.ts';
import { sign } from '../../src/webhooks/verify.ts';
import { openCore, webhookSecret, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { describedWith } from '../support/described.ts';
import { cloudEvents, openReceiver, type TestReceiver } from '../support/webhooks.ts';

const ownSecret = 'a-secret-of-this-customer';
const whsec = `whsec_${Buffer.alloc(24, 5).toString('base64')}`;

/** An integration of each further scheme, with the application's secret. */
const described = (['standard', 'github', 'stripe', 'hmac'] as const).map((scheme) => {
  const verifier = scheme === 'hmac' ? { scheme, header: 'x-acme-signature', prefix: 'v1=' } : { scheme };
  const provider = describedWith({
    id: `acme-${scheme}`,
    resources: { Note: { path: '/n/{id}' } },
    webhook: { secretOf: 'application', tenantIdPath: 'tenant', verifier },
  });
  const secret = scheme === 'standard' ? whsec : 'acme-webhook-secret';
  return { provider, endpoints: provider.endpoints, limits: provider.limits, webhookSecrets: [secret] };
});

describe.each(databaseKinds)('what a webhook is refused for, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  let connectionId: string;
  beforeAll(async () => {
    product = await openCore(open, { others: described });
    receiver = await openReceiver(product);
    const { username, password } = product.sandbox.myCarrierPackets;
    const { connection } = await product.connections.connect({
      ...{ accountId: 'acme', userId: null, integrationId: 'mycarrierpackets' },
      credentials: { username, password, webhookSecret: ownSecret },
    });
    connectionId = connection!.id;
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });

  interface Route {
    path(): string;
    scheme: SignatureScheme;
    secret(): string;
    body(): Buffer;
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const routes: [name: string, route: Route][] = [
    [
      'quickbooks',
      {
        path: () => 'quickbooks',
        scheme: intuitScheme,
        secret: () => webhookSecret,
        body: () => json(cloudEvents([{ id: randomUUID(), realm: 'r', entity: 'invoice', externalId: '1' }])),
      },
    ],
    [
      'slack',
      {
        path: () => 'slack',
        scheme: slackScheme,
        secret: () => product.sandbox.slack.signingSecret,
        body: () =>
          json({
            ...{ type: 'event_callback', team_id: 'T0123456789', event_id: randomUUID() },
            event: { type: 'team_rename' },
          }),
      },
    ],
    [
      'mycarrierpackets',
      {
        path: () => `mycarrierpackets/${connectionId}`,
        scheme: myCarrierPacketsScheme,
        secret: () => ownSecret,
        body: () =>
          json({ eventType: 'carrier.updated', id: randomUUID(), eventData: { carrier: { dotNumber: 7 } } }),
      },
    ],
    ...described.map((one): [string, Route] => [
      one.provider.id,
      {
        path: () => one.provider.id,
        scheme: one.provider.webhook!.scheme,
        secret: () => one.webhookSecrets[0]!,
        body: () => json({ tenant: 't1', id: randomUUID() }),
      },
    ]),
  ];
  const nowSeconds = () => Math.floor(product.clock.now() / 1_000);
  const rightly = (route: Route, body: Buffer, at = nowSeconds(), secret = route.secret()) =>
    sign(route.scheme, secret, body, { timestamp: at, id: `msg_${randomUUID()}` });
  const stored = async () =>
    (await sql<{ count: number }>`select count(*)::int as count from webhook_deliveries`.execute(product.db))
      .rows[0]!.count;
  const without = (headers: Record<string, string>, name: string) =>
    Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name));

  describe.each(routes)('%s', (_name, route) => {
    const spoil: [name: string, headers: (body: Buffer) => Record<string, string>][] = [
      ['unsigned', (body) => without(rightly(route, body), route.scheme.header)],
      ['with a blank signature', (body) => ({ ...rightly(route, body), [route.scheme.header]: ' ' })],
      [
        'signed with another secret',
        (body) => rightly(route, body, nowSeconds(), `${route.secret().slice(0, -4)}AAAA`),
      ],
      ['signed for another body', () => rightly(route, json({ another: 1 }))],
      [
        'with half a signature',
        (body) => ({
          ...rightly(route, body),
          [route.scheme.header]: rightly(route, body)[route.scheme.header]!.slice(0, -20),
        }),
      ],
      [
        'with the signature twice',
        (body) => {
          const headers = rightly(route, body);
          const own = headers[route.scheme.header]!;
          // A list, and pairs, may have several: of one that is right and one that is not the right one counts.
          return {
            ...headers,
            [route.scheme.header]: route.scheme.form === 'plain' ? `${own}, ${own}` : 'v1',
          };
        },
      ],
      [
        'in another case',
        (body) => {
          const headers = rightly(route, body);
          const own = headers[route.scheme.header]!;
          const label = route.scheme.label ?? '';
          return {
            ...headers,
            [route.scheme.header]:
              own.includes('=') && route.scheme.form === 'pairs'
                ? own.toUpperCase()
                : label + own.slice(label.length).toUpperCase(),
          };
        },
      ],
      [
        'with ten thousand signatures',
        (body) => ({
          ...rightly(route, body),
          [route.scheme.header]: `${route.scheme.label ?? ''},AAAA `.repeat(700),
        }),
      ],
      ...(route.scheme.timestamp
        ? ([
            ['from five minutes and a second ago', (body) => rightly(route, body, nowSeconds() - 302)],
            ['from as far in the future', (body) => rightly(route, body, nowSeconds() + 302)],
            ['from no time', (body) => rightly(route, body, Number.NaN)],
            ['from a time in milliseconds', (body) => rightly(route, body, Date.now())],
          ] satisfies [string, (body: Buffer) => Record<string, string>][])
        : []),
    ];

    it.each(spoil)('is refused %s, and nothing is stored', async (_case, headersOf) => {
      const body = route.body();
      const before = await stored();
      const answer = await receiver.post(route.path(), body, headersOf(body));
      expect([answer.status, await answer.json()]).toEqual([
        401,
        { error: 'The signature does not verify.' },
      ]);
      expect(await stored()).toBe(before);
    });

    it('is taken when it is right, and stored once when it is replayed', async () => {
      const body = route.body();
      const headers = rightly(route, body);
      const before = await stored();
      for (let i = 0; i < 3; i++) expect((await receiver.post(route.path(), body, headers)).status).toBe(200);
      expect(await stored()).toBe(before + 1);
    });

    it('is refused by its type and encoding, and when it cannot be read', async () => {
      const body = route.body();
      const plain = { ...rightly(route, body), 'content-type': 'text/plain' };
      expect((await receiver.post(route.path(), body, plain)).status).toBe(415);
      const packed = { ...rightly(route, body), 'content-encoding': 'gzip' };
      expect((await receiver.post(route.path(), body, packed)).status).toBe(415);
      const odd = Buffer.from('{"a":');
      expect((await receiver.post(route.path(), odd, rightly(route, odd))).status).toBe(400);
      const large = Buffer.alloc(1024 * 1024 + 1, 'x');
      expect((await receiver.post(route.path(), large, rightly(route, large))).status).toBe(413);
    });
  });

  it('is not signed by an empty key, which an HMAC takes without a word', async () => {
    const body = routes[0]![1].body();
    const signature = createHmac('sha256', '').update(body).digest('base64');
    expect((await receiver.post('quickbooks', body, { 'intuit-signature': signature })).status).toBe(401);
  });

  it('tells nobody which connections there are', async () => {
    const body = routes[2]![1].body();
    const wrong = sign(myCarrierPacketsScheme, 'somebody-elses-secret', body);
    const answers = await Promise.all(
      [connectionId, randomUUID(), 'no-uuid', '', '%00'].map((id) =>
        receiver.post(`mycarrierpackets/${id}`, body, wrong),
      ),
    );
    const said = await Promise.all(answers.map(async (answer) => [answer.status, await answer.text()]));
    const [first] = said;
    expect(first![0]).toBe(401);
    for (const one of said) expect(one).toEqual(first);
    expect((await receiver.post('mycarrierpackets', body, wrong)).status).toBe(401);
    expect((await receiver.post('quickbooks/whatever', body, wrong)).status).toBe(401);
    expect((await receiver.post('nobody', body, wrong)).status).toBe(404);
  });

  it('is any single bit of body or signature', async () => {
    const route = routes[0]![1];
    const body = route.body();
    const signature = Buffer.from(rightly(route, body)['intuit-signature']!, 'base64');
    const before = await stored();
    const flipped = (bytes: Buffer, bit: number) => {
      const copy = Buffer.from(bytes);
      copy[bit >> 3]! ^= 1 << (bit & 7);
      return copy;
    };
    const tries: [Buffer, Buffer][] = [
      ...Array.from({ length: signature.length * 8 }, (_, bit): [Buffer, Buffer] => [
        body,
        flipped(signature, bit),
      ]),
      ...Array.from({ length: Math.min(1_800, body.length * 8) }, (_, bit): [Buffer, Buffer] => [
        flipped(body, bit),
        signature,
      ]),
    ];
    expect(tries.length).toBeGreaterThan(2_000);
    for (let i = 0; i < tries.length; i += 50) {
      const answers = await Promise.all(
        tries.slice(i, i + 50).map(([bytes, mac]) =>
          product.receiver.receive({
            integrationId: 'quickbooks',
            headers: { 'content-type': 'application/json', 'intuit-signature': mac.toString('base64') },
            body: bytes,
          }),
        ),
      );
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    }
    expect(await stored()).toBe(before);
  });

  it(
    'survives whatever is sent to it, rightly signed: no 5xx, and no memory kept',
    { timeout: 120_000 },
    async () => {
      const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
      const texts = fc.oneof(
        fc.json(),
        fc.string({ unit: 'binary', maxLength: 400 }),
        fc.constantFrom(
          '',
          'null',
          '0',
          '[]',
          '{}',
          '[null]',
          '[[]]',
          '{"eventNotifications":[null]}',
          nested(100_000),
          nested(500),
        ),
        fc
          .record({
            id: fc.string({ unit: 'binary' }),
            source: fc.anything(),
            type: fc.constantFrom('qbo.invoice.created.v1', 'qbo.x', '\0', 'qbo.invoice'),
            intuitaccountid: fc.oneof(fc.string({ unit: 'binary' }), fc.anything()),
            intuitentityid: fc.oneof(fc.constant('1'), fc.string({ unit: 'binary' }), fc.anything()),
            time: fc.oneof(fc.string(), fc.anything()),
            data: fc.anything(),
          })
          .map(
            (event) =>
              JSON.stringify([event], (_, value: unknown) =>
                typeof value === 'bigint' ? String(value) : value,
              ) ?? '',
          ),
      );
      const seen = new Set<number>();
      await fc.assert(
        fc.asyncProperty(texts, async (text) => {
          const body = Buffer.from(text);
          const { status } = await product.receiver.receive({
            integrationId: 'quickbooks',
            headers: { 'content-type': 'application/json', ...sign(intuitScheme, webhookSecret, body) },
            body,
          });
          seen.add(status);
          expect(status).toBeLessThan(500);
        }),
        { numRuns: 1_500, seed: 42 },
      );
      expect(seen.has(200)).toBe(true);
      expect(seen.has(400)).toBe(true);
    },
  );

  it('hangs up on who sends slowly or for ever, while others go on', { timeout: 60_000 }, async () => {
    const { port } = new URL(receiver.url);
    const head = 'POST /webhooks/quickbooks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const open = (text: string) => {
      const socket = connectTcp(Number(port), '127.0.0.1');
      const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
      socket.on('error', () => {});
      socket.resume().write(text);
      return { socket, closed };
    };
    const slow = [
      ...Array.from({ length: 150 }, () => open(head)),
      ...Array.from({ length: 150 }, () => open(`${head}content-length: 1000\r\n\r\n{`)),
    ];
    const endless = open(`${head}transfer-encoding: chunked\r\n\r\n`);
    const megabyte = Buffer.concat([
      Buffer.from('100000\r\n'),
      Buffer.alloc(1024 * 1024, 'x'),
      Buffer.from('\r\n'),
    ]);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 1_024 && !endless.socket.destroyed; i++) {
      const flushed = endless.socket.write(megabyte);
      if (!flushed)
        await Promise.race([new Promise((resolve) => endless.socket.once('drain', resolve)), endless.closed]);
    }
    await endless.closed;
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
    for (let i = 0; i < 20; i++) {
      const route = routes[0]![1];
      const body = route.body();
      expect((await receiver.post('quickbooks', body, rightly(route, body))).status).toBe(200);
    }
    await Promise.all(slow.map(({ closed }) => closed));
  });
});
