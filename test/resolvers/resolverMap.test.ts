import { buildSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { assertResolversFit, createSchema, resolvers } from '../../resolvers/index.ts';

/** No database: it tells in a moment whether the schema can be made at all. */
describe('a map of resolvers', () => {
  it('fits where it is the product’s', () => {
    const types = Object.keys(createSchema().getTypeMap());
    expect(types).toEqual(expect.arrayContaining(Object.keys(resolvers)));
  });

  it('makes no schema where it has something that is not there', () => {
    Object.assign(resolvers, { Misspelt: {} });
    try {
      expect(() => createSchema()).toThrow('resolvers: the schema has no Misspelt');
    } finally {
      delete (resolvers as { Misspelt?: object }).Misspelt;
    }
  });

  const small = buildSchema(`scalar Time
    type Query { time: Time }
    type Thing { id: ID } input Asked { id: ID } enum Kind { ONE } interface Named { id: ID } union Any = Thing`);

  it.each([
    {},
    { Query: {} },
    { Query: { time: 1 } },
    { Thing: { id: 1, __resolveReference: 1 }, Query: { time: 1 } },
    { Time: { serialize: 1, parseValue: 1 } },
  ])('fits where the schema has all of it: %j', (map) => {
    expect(() => assertResolversFit(small, map)).not.toThrow();
  });

  it.each([
    [{ Query: { times: 1 } }, 'Query.times'],
    [{ Query: { time: 1, stray: 1, second: 1 } }, 'Query.stray'],
    [{ Time: {}, Thing: { id: 1 }, Query: { id: 1 } }, 'Query.id'],
    [{ Nothing: {} }, 'Nothing'],
    [{ Nothing: { id: 1 } }, 'Nothing.id'],
    [{ Nothing: { __resolveReference: 1 } }, 'Nothing'],
    [{ Asked: { id: 1 } }, 'Asked.id'],
    [{ Kind: {} }, 'Kind'],
    [{ Named: {} }, 'Named'],
    [{ Any: { __resolveReference: 1 } }, 'Any'],
  ])('does not fit where it names what is not there: %j', (map, name) => {
    expect(() => assertResolversFit(small, map)).toThrow(new Error(`resolvers: the schema has no ${name}`));
  });
});
