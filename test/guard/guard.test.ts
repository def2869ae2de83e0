import { getIntrospectionQuery, getOperationAST, parse, type DocumentNode } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createSchema } from '../../resolvers/index.ts';
import { createCostOf } from '../../src/guard/cost.ts';
import { createGuard } from '../../src/guard/guard.ts';
import { fragmentsOf } from '../../src/guard/measure.ts';
import { hostile, large, megabyte } from './hostile.ts';

const schema = createSchema();
const guard = createGuard(schema, { hidesSchema: false });

/** Of one run, in milliseconds, with everything that the process does meanwhile. */
const cpuOf = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
};
/** The best of three: a collection of garbage is nobody's. */
const bestOf = (work: () => void) => Math.min(...[1, 2, 3].map(() => cpuOf(work)));

describe('the guard', () => {
  it.each([...hostile, megabyte])('refuses $title within 50 ms, and names the limit', ({ names, body }) => {
    const error = guard.overLimit(body);
    expect(error?.message).toMatch(names);
    expect(error?.extensions).toEqual({ code: 'OPERATION_TOO_COMPLEX' });
    expect(bestOf(() => guard.overLimit(body))).toBeLessThan(50);
  });

  it.each(Object.entries(large))('reads the largest that it lets through within 50 ms: %s', (_, query) => {
    expect(guard.overLimit({ query })).toBeUndefined();
    // Each time another text, which nobody has read yet.
    let n = 0;
    expect(bestOf(() => guard.document(`${query}#${n++}`))).toBeLessThan(50);
  });

  it('lets the introspection of graphql-js pass, and a screen that asks for everything', () => {
    const everything = `query ($first: Int) { integrations { id name health } connections {
      id status problem { code message } profile { name } rateLimit { remaining }
      syncStatuses { resource state problem { message } }
      records(resource: "Invoice", first: $first) { nodes { id payload } pageInfo { hasNextPage } }
      events(first: 100) { nodes { id kind connection { integration { name } } } } } }`;
    expect(
      guard.overLimit({ query: getIntrospectionQuery({ inputValueDeprecation: true }) }),
    ).toBeUndefined();
    expect(guard.overLimit({ query: everything, variables: { first: 100 } })).toBeUndefined();
  });

  it('lets a thousand representations pass, and not one more, however they are spread', () => {
    const query =
      'query ($r: [_Any!]! = [], $s: [_Any!]! = []) { _entities(representations: $r) { __typename } b: _entities(representations: $s) { __typename } }';
    const some = (count: number) => Array.from({ length: count }, () => ({ __typename: 'Account', id: 'a' }));
    expect(guard.overLimit({ query, variables: { r: some(400), s: some(600) } })).toBeUndefined();
    expect(guard.overLimit({ query, variables: { r: some(400), s: some(601) } })?.message).toContain('1,001');
    expect(guard.overLimit({ query, variables: { r: some(1_000) } })).toBeUndefined();
  });

  it('looks at variables as they are given: a smaller page costs less', () => {
    const query = `query ($n: Int = 100) { connections { events(first: $n) { nodes { connection { events(first: $n) { nodes { id } } } } } } }`;
    expect(guard.overLimit({ query, variables: { n: 10 } })).toBeUndefined();
    expect(guard.overLimit({ query })?.message).toContain('points of cost');
  });

  it('leaves what is wrong in another way to who executes it', () => {
    for (const request of [
      {},
      null,
      [],
      { query: 1 },
      { query: '{' },
      { query: '{ nothing }' },
      { query: '{ a: __typename } query B { __typename }' },
    ])
      expect(guard.overLimit(request)).toBeUndefined();
  });

  it('reads a text once for all who send it', () => {
    const query = '{ connections { id } }';
    expect(guard.document(query)).toBe(guard.document(query));
    expect('kind' in guard.document(query)).toBe(true);
  });
});

describe('the cost of', () => {
  const costOf = createCostOf(schema, 1_000);
  const of = (query: string, variables?: Record<string, unknown>) => {
    const document: DocumentNode = parse(query);
    return costOf(getOperationAST(document)!, fragmentsOf(document), variables);
  };

  it.each<[string, number, Record<string, unknown>?]>([
    ['{ connection(id: "a") { id status } }', 1],
    ['{ connection(id: "a") { profile { name } } }', 11],
    ['{ connections { id } }', 10],
    ['{ connections { integration { id } } }', 20],
    // The page, and its fifty nodes.
    ['{ connection(id: "a") { events { nodes { id } } } }', 52],
    ['{ connection(id: "a") { events(first: 3) { nodes { id } pageInfo { endCursor } } } }', 6],
    ['query ($n: Int) { connection(id: "a") { events(first: $n) { nodes { id } } } }', 102],
    ['query ($n: Int) { connection(id: "a") { events(first: $n) { nodes { id } } } }', 7, { n: 5 }],
    ['query ($n: Int) { connection(id: "a") { events(first: $n) { nodes { id } } } }', 102, { n: 1e9 }],
    ['query ($n: Int) { connection(id: "a") { events(first: $n) { nodes { id } } } }', 2, { n: -1 }],
    ['{ connection(id: "a") { ...F ...F } } fragment F on Connection { account { id } }', 3],
    [
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Connection { account { id } } } }',
      2_000,
    ],
    [
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Connection { account { id } } ... on Account { id } } }',
      4,
      { r: [{}, {}] },
    ],
    ['mutation { refresh(input: { connectionId: "a" }) { connection { id } } }', 11],
    ['subscription { syncEvents { connection { id } } }', 2],
    ['{ __schema { types { fields { type { name } } } } }', 0],
  ])('%s is %d', (query, cost, variables) => expect(of(query, variables)).toBe(cost));
});
