import { createHmac, randomBytes } from 'node:crypto';
import { sign as octokitSign, verify as octokitVerify } from '@octokit/webhooks-methods';
import { verifySlackRequest } from '@slack/bolt';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import { describe, expect, it } from 'vitest';
import {
  githubScheme,
  intuitScheme,
  myCarrierPacketsScheme,
  slackScheme,
  standardScheme,
  stripeScheme,
  type SignatureScheme,
} from '../../src/providers/signatures.ts';
import { builtInProviders } from '../../src/providers/catalog.ts';
import { readIntegrations } from '../../src/providers/configured/read.ts';
import { sign, verify } from '../../src/webhooks/verify.ts';

const slackBody =
  'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar' +
  '&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=' +
  '&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN' +
  '&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';

/** Published by the vendors, or computed with their own packages. */
const vectors: [
  name: string,
  SignatureScheme,
  secret: string,
  headers: Record<string, string>,
  body: string,
  at: number,
][] = [
  [
    'Standard Webhooks',
    standardScheme,
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    '{"test": 2432232314}',
    1_614_265_330,
  ],
  [
    'GitHub',
    githubScheme,
    "It's a Secret to Everybody",
    { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' },
    'Hello, World!',
    0,
  ],
  [
    'Stripe',
    stripeScheme,
    'whsec_test',
    {
      'stripe-signature': 't=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925',
    },
    '{"id":"evt_1"}',
    1_700_000_000,
  ],
  [
    'Slack',
    slackScheme,
    '8f742231b10e8888abcd99yyyzzz85a5',
    {
      'x-slack-request-timestamp': '1531420618',
      'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    },
    slackBody,
    1_531_420_618,
  ],
  [
    'Intuit',
    intuitScheme,
    'verifier-token-test',
    { 'intuit-signature': 'lAS6c3c7hDd7XEFzaqbcj+/6OSNmjf8eHEHl+BYZqnw=' },
    '{"eventNotifications":[{"realmId":"1185883450","dataChangeEvent":{"entities":[{"name":"Customer","id":"1","operation":"Create","lastUpdated":"2015-10-05T14:42:19-0700"}]}}]}',
    0,
  ],
  [
    'MyCarrierPackets',
    myCarrierPacketsScheme,
    'mcp-secret-test',
    { 'mcp-signature': '09131a63bacec03e12262a386f863ab4f84360a0a9ab1ced05f3060a2a652a9d' },
    '{"eventType":"carrier.packet.completed"}',
    0,
  ],
];
const schemes = vectors.map(([name, scheme]) => [name, scheme] as const);
/** One that every scheme takes. */
const secret = `whsec_${randomBytes(32).toString('base64')}`;
const at = 1_700_000_000;
const body = Buffer.from('{"id":"evt_1","amount":"12,50 €"}');
const signed = (scheme: SignatureScheme, more = {}) =>
  sign(scheme, secret, body, { timestamp: at, id: 'msg_1', ...more });
const check = (scheme: SignatureScheme, headers: object, of = body, nowMs = at * 1_000, secrets = [secret]) =>
  verify(scheme, secrets, { headers: { ...headers }, body: of }, nowMs);

describe.each(vectors)('the published vector of %s', (_name, scheme, key, headers, text, seconds) => {
  const request = { headers, body: Buffer.from(text) };

  it('is accepted, whatever other secrets are', () => {
    expect(verify(scheme, [key], request, seconds * 1_000)).toMatchObject({ verified: true });
    expect(verify(scheme, ['another', '', key], request, seconds * 1_000)).toMatchObject({ verified: true });
  });

  it('is what we sign', () => {
    const made = sign(scheme, key, request.body, { timestamp: seconds, id: headers['webhook-id'] ?? '' });
    const plain = {
      ...made,
      ...(made['mcp-signature'] && { 'mcp-signature': made['mcp-signature'].slice(7) }),
    };
    expect(plain).toEqual(headers);
  });

  it('is refused with another body, another secret, or none', () => {
    expect(verify(scheme, [key], { headers, body: Buffer.from(`${text} `) }, seconds * 1_000)).toEqual({
      verified: false,
      reason: 'wrong signature',
    });
    expect(verify(scheme, [`${key.slice(0, -1)}A`], request, seconds * 1_000)).toMatchObject({
      verified: false,
    });
    for (const secrets of [[], [''], ['  ']])
      expect(verify(scheme, secrets, request, seconds * 1_000)).toEqual({
        verified: false,
        reason: 'no secret',
      });
  });
});

describe.each(schemes)('a request in the style of %s', (_name, scheme) => {
  it('is accepted as signed', () => {
    expect(check(scheme, signed(scheme))).toMatchObject({ verified: true });
  });

  it('is refused without its signature, blank or malformed', () => {
    const headers = signed(scheme);
    for (const value of [
      undefined,
      '',
      ' ',
      'x',
      ',',
      '=',
      'v1',
      'v1=',
      'v0=zz',
      'sha256=',
      'a'.repeat(10_000),
    ])
      expect(check(scheme, { ...headers, [scheme.header]: value })).toMatchObject({ verified: false });
  });

  it('is refused for each bit of the body and each character of the signature that is changed', () => {
    const headers = signed(scheme);
    const { toleranceSeconds: _, ...timeless } = scheme;
    for (let bit = 0; bit < body.length * 8; bit++) {
      const other = Buffer.from(body);
      other[bit >> 3]! ^= 1 << (bit & 7);
      expect(check(scheme, headers, other).verified).toBe(false);
    }
    const value = headers[scheme.header]!;
    for (let i = 0; i < value.length; i++) {
      const flipped = String.fromCharCode(value.charCodeAt(i) ^ 1);
      const other = value.slice(0, i) + flipped + value.slice(i + 1);
      expect(check(timeless, { ...headers, [scheme.header]: other }).verified).toBe(false);
    }
  });

  it('is refused in other spellings of the same signature', () => {
    const headers = signed(scheme);
    const value = headers[scheme.header]!;
    const [label, digest] = [value.slice(0, -44), value.slice(-44)];
    const spellings = [label + digest.toUpperCase(), `${value}=`, `${value}0`, value.slice(0, -1)];
    const accepted = spellings.filter(
      (other) => check(scheme, { ...headers, [scheme.header]: other }).verified,
    );
    expect(accepted).toEqual([]);
  });

  it('looks at twenty signatures and no more', () => {
    const headers = signed(scheme);
    const [wrong, separator] =
      scheme.form === 'list' ? [`v1,${'A'.repeat(43)}=`, ' '] : [`v1=${'0'.repeat(64)}`, ','];
    const behind = (count: number) => {
      const many = Array.from({ length: count }, () => wrong).join(separator);
      const value = `${many}${separator}${headers[scheme.header]!}`;
      return check(scheme, { ...headers, [scheme.header]: value }).verified;
    };
    // A header that holds one signature is none with several in it.
    expect(behind(19)).toBe(scheme.form !== 'plain');
    for (const count of [20, 10_000]) expect(behind(count)).toBe(false);
  });
});

describe.each(schemes.filter(([, scheme]) => scheme.timestamp))('the time of %s', (_name, scheme) => {
  const withTime = (text: string) => {
    const headers = signed(scheme);
    const { timestamp } = scheme;
    if (!timestamp) throw new Error('It has none.');
    // Signed with the odd time, so that only the time can be the reason.
    const fresh = sign(
      { ...scheme, signed: scheme.signed.replace('{timestamp}', () => text) },
      secret,
      body,
      {
        timestamp: 0,
        id: 'msg_1',
      },
    );
    if ('header' in timestamp) return { ...fresh, [timestamp.header]: text };
    return { ...headers, [scheme.header]: fresh[scheme.header]!.replace(/^t=0/, () => `t=${text}`) };
  };

  it.each([
    [-301, false],
    [-300, true],
    [0, true],
    [300, true],
    [301, false],
    [1_000_000, false],
  ])('%i seconds from ours: accepted %s', (apart, accepted) => {
    expect(check(scheme, withTime(String(at + apart))).verified).toBe(accepted);
  });

  it.each(['NaN', '', ' ', `${at}.5`, `-${at}`, '1e9', '1e20', `${at}000`, `+${at}`, `0x6553f100`, `${at} `])(
    'is refused as %j',
    (text) => {
      expect(check(scheme, withTime(text)).verified).toBe(false);
    },
  );
});

describe('our signatures and those of the vendors’ packages', () => {
  const text = body.toString();
  const now = Math.floor(Date.now() / 1_000);

  it.each([
    ['standardwebhooks', new StandardWebhook(secret)],
    ['svix', new SvixWebhook(secret)],
  ])('agree with %s', (name, theirs) => {
    const made = sign(standardScheme, secret, body, { timestamp: now, id: 'msg_1' });
    const renamed = Object.fromEntries(
      Object.entries(made).map(([key, value]) => [
        key.replace('webhook', name === 'svix' ? 'svix' : 'webhook'),
        value,
      ]),
    );
    expect(() => theirs.verify(text, renamed)).not.toThrow();
    const signature = theirs.sign('msg_1', new Date(now * 1_000), text);
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(now),
      'webhook-signature': signature,
    };
    expect(check(standardScheme, headers, body, now * 1_000).verified).toBe(true);
  });

  it('agree with stripe', () => {
    const made = sign(stripeScheme, secret, body, { timestamp: now });
    const stripe = new Stripe('sk_test_1');
    expect(stripe.webhooks.constructEvent(text, made['stripe-signature']!, secret)).toMatchObject({
      id: 'evt_1',
    });
    const header = stripe.webhooks.generateTestHeaderString({ payload: text, secret, timestamp: now });
    expect(check(stripeScheme, { 'stripe-signature': header }, body, now * 1_000).verified).toBe(true);
  });

  it('agree with @octokit/webhooks-methods', async () => {
    expect(await octokitVerify(secret, text, sign(githubScheme, secret, body)['x-hub-signature-256']!)).toBe(
      true,
    );
    const header = await octokitSign(secret, text);
    expect(check(githubScheme, { 'x-hub-signature-256': header }).verified).toBe(true);
  });

  it('agree with @slack/bolt, which takes times from the future', () => {
    const slack = (timestamp: number) => {
      const made = sign(slackScheme, secret, body, { timestamp });
      const headers = {
        'x-slack-signature': made['x-slack-signature']!,
        'x-slack-request-timestamp': timestamp,
      };
      return () => verifySlackRequest({ signingSecret: secret, body: text, headers });
    };
    expect(slack(now)).not.toThrow();
    expect(slack(now - 400)).toThrow('stale');
    expect(slack(now + 1_000)).not.toThrow();
    const late = sign(slackScheme, secret, body, { timestamp: now + 1_000 });
    expect(check(slackScheme, late, body, now * 1_000)).toEqual({ verified: false, reason: 'out of time' });
  });
});

it('no random request is accepted', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...schemes.map(([, scheme]) => scheme)),
      fc.string(),
      fc.string(),
      fc.uint8Array(),
      (scheme, signature, id, bytes) => {
        const headers = { ...signed(scheme), [scheme.header]: signature, 'webhook-id': id };
        expect(check(scheme, headers, Buffer.from(bytes)).verified).toBe(false);
      },
    ),
    { numRuns: 2_000 },
  );
});

describe('the log is told', () => {
  const reason = (verdict: ReturnType<typeof verify>) => (verdict.verified ? 'verified' : verdict.reason);

  it.each(schemes)('whether the signature of %s is missing or malformed', (_name, scheme) => {
    for (const missing of [undefined, '', '  '])
      expect(reason(check(scheme, { ...signed(scheme), [scheme.header]: missing }))).toBe('no signature');
    for (const malformed of ['x', '=', `${scheme.label ?? ''}`.padEnd(2, ',')])
      expect(reason(check(scheme, { ...signed(scheme), [scheme.header]: malformed }))).toBe(
        'malformed signature',
      );
  });

  it('that the time is missing, where it is signed', () => {
    for (const missing of [undefined, '', 'now'])
      expect(
        reason(check(slackScheme, { ...signed(slackScheme), 'x-slack-request-timestamp': missing })),
      ).toBe('no time');
  });

  it('that the id is missing, where it is signed', () => {
    for (const missing of [undefined, '', ' ', 'two words', 'x'.repeat(257)])
      expect(reason(check(standardScheme, { ...signed(standardScheme), 'webhook-id': missing }))).toBe(
        'no id',
      );
  });

  it.each([
    ['whsec', 'whsec_'],
    ['whsec', 'whsec_ '],
    ['whsec', 'AAAAwhsec_AAAA'],
    ['whsec', 'whsec_not base64'],
    ['base64', '===='],
    ['base64', `whsec_${Buffer.alloc(32).toString('base64')}`],
  ] as const)('that a secret is none as %s: %j', (secretEncoding, unusable) => {
    // The empty key, which anybody has, is what some of these decode to.
    const keyed = createHmac('sha256', Buffer.alloc(0)).update(`msg_1.${at}.`).update(body).digest('base64');
    const headers = { ...signed(standardScheme), 'webhook-signature': `v1,${keyed}` };
    const scheme = { ...standardScheme, secretEncoding };
    expect(reason(check(scheme, headers, body, at * 1_000, [unusable]))).toBe('no secret');
    expect(() => sign(scheme, unusable, body)).toThrow(/^The secret is not one of the scheme\.$/);
  });
});

describe('what a scheme leaves out', () => {
  it('is not in what is signed', () => {
    expect(Object.keys(sign(githubScheme, secret, body))).toEqual(['x-hub-signature-256']);
    expect(Object.keys(signed(intuitScheme))).toEqual(['intuit-signature']);
    expect(Object.keys(signed(slackScheme))).toEqual(['x-slack-request-timestamp', 'x-slack-signature']);
  });

  it('is not asked for: pairs without a time, or with the time in a header', () => {
    const { timestamp: _, toleranceSeconds: __, ...timeless } = { ...stripeScheme, signed: '{body}' };
    const mac = createHmac('sha256', secret).update(body).digest('hex');
    expect(signed(timeless)).toEqual({ 'stripe-signature': `v1=${mac}` });
    expect(check(timeless, signed(timeless))).toEqual({ verified: true, id: undefined });
    const beside = { ...stripeScheme, timestamp: { header: 'x-time' } };
    expect(signed(beside)).toEqual({
      'x-time': String(at),
      'stripe-signature': expect.stringMatching(/^v1=[0-9a-f]{64}$/) as unknown,
    });
    expect(check(beside, signed(beside)).verified).toBe(true);
  });

  it('may name the delivery: without spaces, and nothing where it is blank', () => {
    const named = (id?: string) => check(githubScheme, { ...signed(githubScheme), 'x-github-delivery': id });
    expect(named(' d1 ')).toEqual({ verified: true, id: 'd1' });
    for (const blank of [undefined, '', '  '])
      expect(named(blank)).toEqual({ verified: true, id: undefined });
  });
});

it('spaces around a header are not part of it', () => {
  for (const [, scheme] of schemes) {
    const headers = signed(scheme);
    expect(check(scheme, { ...headers, [scheme.header]: ` ${headers[scheme.header]!} ` }).verified).toBe(
      true,
    );
  }
});

it('of several times in one header the first counts', () => {
  const header = signed(stripeScheme)['stripe-signature']!;
  const withTimes = (first: number, last: number) =>
    check(stripeScheme, { 'stripe-signature': `t=${first},${header.replace(/^t=\d+,/, '')},t=${last}` });
  expect(withTimes(at, at + 1).verified).toBe(true);
  expect(withTimes(at + 1, at).verified).toBe(false);
});

it('an id cannot borrow from the time', () => {
  const made = sign(standardScheme, secret, body, { timestamp: at, id: 'msg.1700000000' });
  expect(check(standardScheme, made)).toEqual({ verified: false, reason: 'no id' });
});

describe('MyCarrierPackets, as a file says that it signs', () => {
  it('takes Base64 and a Base64 secret, and then no other', () => {
    const file = { file: 'test.yaml', production: false, builtIn: builtInProviders };
    const yaml =
      'integrations:\n  - id: mycarrierpackets\n    webhook: { encoding: base64, secretEncoding: base64 }\n';
    const { scheme } = readIntegrations(yaml, file).find(
      ({ provider }) => provider.id === 'mycarrierpackets',
    )!.provider.webhook!;
    const secret = Buffer.from('a secret of twenty-four b').toString('base64');
    const body = Buffer.from('{"eventType":"carrier.updated"}');
    const mac = createHmac('sha256', Buffer.from(secret, 'base64')).update(body);
    const signed = { headers: { 'mcp-signature': mac.digest('base64') }, body };
    expect(verify(scheme, [secret], signed, 0)).toMatchObject({ verified: true });
    expect(verify(myCarrierPacketsScheme, [secret], signed, 0)).toMatchObject({ verified: false });
  });
});
