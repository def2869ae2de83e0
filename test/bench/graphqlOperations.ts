/** What graphql.ts asks, and the ways in which graphqlServer.ts answers. */
export const wayNames = [
  'ours',
  'bare graphql-js',
  'graphql-jit',
  'Apollo standalone',
  'fixed bytes',
] as const;
export type Way = (typeof wayNames)[number];

const hundred = Array.from({ length: 100 }, (_, i) => i);
export const connectionIds = hundred.map(
  (i) => `0190a000-0000-7000-8000-0000000000${String(i).padStart(2, '0')}`,
);

export const operations = {
  /** 50 objects, 20 KB. */
  list: {
    query: `query List { connections { id status externalId scopes createdAt connectedAt disconnectedAt checkedAt
      tokenExpiresAt nextRefreshAt reauthorizeBy problem { code message } integration { id } account { id } } }`,
  },
  /** 100 `_entities`, as a gateway asks for them. */
  entities: {
    query: `query Entities($representations: [_Any!]!) { _entities(representations: $representations) {
      __typename ... on Connection { id status externalId checkedAt tokenExpiresAt } } }`,
    variables: { representations: connectionIds.map((id) => ({ __typename: 'Connection', id })) },
  },
  typename: { query: '{ __typename }' },
} as const;
