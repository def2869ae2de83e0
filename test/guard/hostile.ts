/** Requests that ask for more than anybody needs, each past one limit, as the bodies that are sent. */

export interface Hostile {
  title: string;
  /** What the message names. */
  names: RegExp;
  body: { query: string; variables?: Record<string, unknown> };
}

const scalars =
  'id status externalId scopes createdAt connectedAt disconnectedAt checkedAt tokenExpiresAt tokenRefreshedAt';
const many = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join(' ');
const nested = (levels: number) =>
  `${'connection { integration { '.repeat(levels)}id${' } }'.repeat(levels)}`;

export const hostile: Hostile[] = [
  {
    title: 'a text of 100 kB',
    names: /100,000 characters/,
    body: { query: `{ connections { id } } #${'x'.repeat(100_000)}` },
  },
  {
    title: '5,000 tokens',
    names: /4,000 tokens/,
    body: { query: `{ connections { ${'id '.repeat(5_000)}} }` },
  },
  {
    title: 'a list within a list, 2,000 times',
    names: /50 brackets within brackets/,
    body: { query: `{ connections(status: ${'['.repeat(1_000)}${']'.repeat(1_000)}) { id } }` },
  },
  {
    title: 'depth 50',
    names: /16 fields within fields/,
    body: { query: `{ integrations { ${nested(23)} } }` },
  },
  {
    title: 'depth by fragments',
    names: /16 fields within fields/,
    body: {
      query: `{ integrations { ...F0 } } ${many(20, (i) => `fragment F${i} on Integration { connection { integration { ${i < 19 ? `...F${i + 1}` : 'id'} } } }`)}`,
    },
  },
  {
    title: '1,000 aliases',
    names: /50 aliases|4,000 tokens/,
    body: { query: `{ connections { ${many(1_000, (i) => `a${i}: id`)} } }` },
  },
  {
    title: '51 aliases',
    names: /50 aliases; this one has 51/,
    body: { query: `{ connections { ${many(51, (i) => `a${i}: id`)} } }` },
  },
  {
    title: 'aliases by fragments, doubled 20 times',
    names: /50 aliases/,
    body: {
      query: `{ connections { ...F0 } } ${many(20, (i) => `fragment F${i} on Connection { ${i < 19 ? `...F${i + 1} ... on Connection { ...F${i + 1} }` : 'a: id'} }`)}`,
    },
  },
  {
    title: 'a field 500 times',
    names: /30 repetitions of one field/,
    body: { query: `{ connections { ${'id '.repeat(500)}} }` },
  },
  {
    title: 'repetitions within repetitions',
    names: /30 repetitions of one field/,
    body: { query: `{ connections { ${`integration { ${'id '.repeat(20)}} `.repeat(20)}} }` },
  },
  {
    title: '100 root fields',
    names: /50 root fields/,
    body: { query: `{ ${'__typename '.repeat(100)}}` },
  },
  {
    title: '1,000 directives',
    names: /directives in one place/,
    body: { query: `{ connections { id ${'@aa '.repeat(1_000)}} }` },
  },
  {
    title: 'a directive on each of 60 fields',
    names: /50 directives/,
    body: {
      query: `{ connections { ${many(3, () => `integration { ${many(20, () => 'id @skip(if: false)')} } `)} } }`,
    },
  },
  {
    title: 'fragments that contain themselves',
    names: /no end/,
    body: {
      query:
        '{ connections { ...A } } fragment A on Connection { id integration { ...B } } fragment B on Integration { connection { ...A } }',
    },
  },
  {
    title: '10,000 representations',
    names: /1,000 representations; this one has 10,000/,
    body: {
      query: 'query ($r: [_Any!]!) { _entities(representations: $r) { __typename } }',
      variables: {
        r: Array.from({ length: 10_000 }, (_, i) => ({ __typename: 'Connection', id: `${i}` })),
      },
    },
  },
  {
    title: 'pages within pages',
    names: /20,000 points of cost/,
    body: {
      query: `query ($n: Int) { connections { events(first: $n) { nodes { connection { events(first: 100) { nodes { id } } } } } } }`,
      variables: { n: 100 },
    },
  },
];

/** More bytes than a message may have; a transport may refuse them before they are read. */
export const megabyte: Hostile = {
  title: 'a query of 1 MB',
  names: /100,000 characters/,
  body: { query: `{ connections { id } } #${'x'.repeat(1_000_000)}` },
};

/** As much as the limits let through, made to be slow to validate. */
export const large: Record<string, string> = {
  'many fields under many aliases': `{ ${many(45, (i) => `r${i}: connections { ${scalars} account { id } }`)} }`,
  'fragments spread by fragments': `{ connections { ${many(30, (i) => `...F${i}`)} } } ${many(30, (i) => `fragment F${i} on Connection { id integration { id name auth scopes health } }`)}`,
  'repeated fields with arguments': `{ ${'connection(id: "a") { id status integration { id name } } '.repeat(30)}}`,
  'unknown fields': `{ connections { ${many(900, (i) => `f${i}`)} } }`,
};
