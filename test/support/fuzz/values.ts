/** What is put where an operation takes a value: mostly what fits, often what should not. */

export type Random = () => number;

/** mulberry32: the same seed gives the same numbers. */
export function sequence(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const oneOf = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

/** What is known of the world that is asked: who asks picks from it. */
export interface Known {
  /** Ids of connections: the asking account's, another account's, and ones that never were. */
  connections: readonly string[];
  accounts: readonly string[];
  integrations: readonly string[];
  resources: readonly string[];
  cursors: readonly string[];
  returnTo: string;
}

const cursor = (position: string) => Buffer.from(position).toString('base64url');

export const hostileTexts: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'a\udfff\ud800b',
  '\u202e\u200b\ufeff',
  '\u{1F69A}'.repeat(50),
  'ä'.normalize('NFD').repeat(20),
  "'; drop table connections; --",
  "1' or '1'='1",
  '" or ""="',
  '$1',
  '\\',
  "\\'; --",
  '%00%0a%0d',
  '%s%n%x',
  '\r\nx-account-id: rival',
  '../../../../etc/passwd',
  '${7*7}{{7*7}}<%= 7*7 %>',
  '<script>alert(1)</script>',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '-1',
  '0',
  '1e309',
  'NaN',
  '99999999999999999999999999',
  '9223372036854775808',
  'x'.repeat(300),
  'x'.repeat(10_000),
  'null',
  '[]',
  '{}',
  'javascript:alert(1)',
  'http://169.254.169.254/latest/meta-data',
  '//evil.test',
  '/\\evil.test',
];

const hostileCursors = [
  '5',
  '0',
  '-1',
  '999999999999999999',
  '9'.repeat(30),
  '1 x',
  '1 \0',
  '0 x\0y',
  '9999999999999999 x',
  `1 ${'\u{1F69A}'.repeat(64)}`,
  `1 ${'x'.repeat(256)}`,
  "1 '; --",
  '1 00000000-0000-4000-8000-000000000000',
  '9999999999999999 00000000-0000-4000-8000-000000000000',
].map(cursor);

const moments = [
  '2026-01-31T09:30:00.000Z',
  '1970-01-01T00:00:00Z',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+23:59',
  '9999-12-31T23:59:59.999999999Z',
  '9999-12-31T23:59:59-23:59',
  '2024-02-30T00:00:00Z',
  '2026-11-29',
];

/** A text for the argument or input field of that name. */
export function textFor(name: string, known: Known, random: Random): string {
  const isName = name === 'resource' || name === 'integrationId';
  if (random() < (isName ? 0.1 : 0.3)) return oneOf(random, hostileTexts);
  switch (name) {
    case 'integrationId':
      return oneOf(random, known.integrations);
    case 'resource':
      return oneOf(random, known.resources);
    case 'externalId':
      return oneOf(random, ['1', '41', '145', '2233541', 'U01ABCDEF', 'C024BE91L', '0']);
    case 'after':
      return random() < 0.4 && known.cursors.length > 0
        ? oneOf(random, known.cursors)
        : oneOf(random, hostileCursors);
    case 'returnTo':
      return random() < 0.5 ? known.returnTo : `${known.returnTo}?a=1&a=2#b`;
    case 'name':
      return oneOf(random, ['Connection', 'Query', '_Any', '__Type', 'Nothing']);
    default:
      return oneOf(random, known.connections);
  }
}

export function momentFor(random: Random): string {
  return oneOf(random, moments);
}

/** Of a page field or a number of seconds. */
export function numberFor(name: string, random: Random): number {
  if (name === 'first' && random() < 0.7) return 1 + Math.floor(random() * 20);
  return oneOf(random, [0, -0, 1, 2, 100, 101, -1, 2_147_483_647, -2_147_483_648]);
}

/** What an entity may be referred to by, and what no gateway would send. */
export function representationFor(known: Known, random: Random): unknown {
  const connection = oneOf(random, known.connections);
  const resource = oneOf(random, known.resources);
  const text = oneOf(random, hostileTexts);
  const good = [
    { __typename: 'Connection', id: connection },
    { __typename: 'SyncStatus', id: `${connection}/${resource}` },
    { __typename: 'ExternalRecord', id: `${connection}/${resource}/${oneOf(random, ['1', '41', '145'])}` },
    { __typename: 'Integration', id: oneOf(random, known.integrations) },
    { __typename: 'Account', id: oneOf(random, known.accounts) },
  ];
  if (random() < 0.5) return oneOf(random, good);
  const odd: unknown[] = [
    { __typename: 'Connection', id: text },
    { __typename: 'SyncStatus', id: `${connection}/${text}` },
    { __typename: 'SyncStatus', id: '/' },
    { __typename: 'ExternalRecord', id: `${connection}/${resource}/${text}` },
    { __typename: 'ExternalRecord', id: `${connection}/${text}/1` },
    { __typename: 'ExternalRecord', id: '///' },
    { __typename: 'Integration', id: text },
    { __typename: 'Account', id: text },
    { __typename: text, id: connection },
    { __typename: 'Query', id: connection },
    { __typename: 'PageInfo' },
    { __typename: ['Connection'], id: connection },
    { __typename: 'Connection', id: [connection] },
    { __typename: 'Connection', id: { toString: 'x' } },
    {
      __typename: 'Connection',
      id: connection,
      account: { id: 'rival' },
      accountId: 'rival',
      status: 'ACTIVE',
    },
    { __typename: 'Connection' },
    { id: connection },
    JSON.parse(`{"__typename":"Connection","id":"x","__proto__":{"accountId":"rival"},"constructor":{}}`),
    nested(60),
    null,
    [],
    [[{ __typename: 'Connection', id: connection }]],
    text,
    7,
    1e308,
    true,
  ];
  return oneOf(random, odd);
}

function nested(levels: number): object {
  let value: object = {};
  for (let i = 0; i < levels; i++) value = { __typename: 'Connection', id: 'x', in: [value] };
  return value;
}
