import { ApolloGateway, LocalGraphQLDataSource, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { composeServices } from '@apollo/composition';
import { stripIgnoredCharacters } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bearer, openEdge, type Edge, type Result } from '../subscriptions/support.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { inventorySchema, productsSchema, typeDefsOf, usersSchema } from './products/subgraphs.ts';

/**
 * What @apollo/federation-subgraph-compatibility-tests 1.2.1 asks, asked of this server with its `products` schema, but
 * for `ftv1`: traces are off. docs/conformance.md tells of a run of its own files.
 */
describe("Apollo's subgraph compatibility suite", () => {
  let edge: Edge;
  let gateway: ApolloServer;
  let authorization: string;
  let sdl: string;
  const ask = async (query: string, variables: object = {}) =>
    (await (await edge.post({ query, variables }, { authorization })).json()) as Result;
  const entities = async (selection: string, ...representations: object[]) => {
    const query = `query ($representations: [_Any!]!) { _entities(representations: $representations) { ${selection} } }`;
    const { data, errors } = await ask(query, { representations });
    expect(errors).toBeUndefined();
    return data._entities as unknown[];
  };
  const askGateway = async (query: string, variables: Record<string, unknown> = {}) => {
    const { body } = await gateway.executeOperation({ query, variables });
    if (body.kind !== 'single') throw new Error('an incremental answer');
    expect(body.singleResult.errors).toBeUndefined();
    // Its objects have no prototype.
    return JSON.parse(JSON.stringify(body.singleResult.data)) as Record<string, unknown>;
  };

  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { schema: productsSchema() });
    authorization = await bearer('acme');
    const { data } = await ask('{ _service { sdl } }');
    sdl = stripIgnoredCharacters(data._service.sdl as string);
    const { supergraphSdl, errors } = composeServices(
      (['products', 'users', 'inventory'] as const).map((name) => ({
        ...{ name, typeDefs: typeDefsOf(name) },
        url: name === 'products' ? `${edge.url}/graphql` : `http://${name}.internal`,
      })),
    );
    if (!supergraphSdl) throw new Error(errors?.join('\n'));
    gateway = new ApolloServer({
      gateway: new ApolloGateway({
        supergraphSdl,
        buildService: ({ name, url }) => {
          if (name === 'users') return new LocalGraphQLDataSource(usersSchema());
          if (name === 'inventory') return new LocalGraphQLDataSource(inventorySchema());
          return new RemoteGraphQLDataSource({
            url: url!,
            willSendRequest: ({ request }) => request.http?.headers.set('authorization', authorization),
          });
        },
      }),
    });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway?.stop();
    await edge?.close();
  });

  it('introspection: `_service` has every type of the schema', () => {
    for (const type of ['CaseStudy', 'DeprecatedProduct', 'Product', 'ProductDimension', 'ProductResearch'])
      expect(sdl).toContain(`type ${type}`);
    expect(sdl).toContain('product(id:ID!):Product');
    expect(sdl).toContain('deprecatedProduct(sku:String!package:String!):DeprecatedProduct');
  });

  it('@link: the federation that it imports is linked once, in a version and with names that there are', () => {
    const links = [...sdl.matchAll(/@link\(url:"https:\/\/specs\.apollo\.dev\/federation\/v([\d.]+)"/g)];
    expect(links.map(([, version]) => version)).toEqual(['2.3']);
  });

  it('@composeDirective: a directive of its own is linked, composed, defined and applied', () => {
    expect(sdl).toMatch(
      /@link\(url:"https:\/\/myspecs\.dev\/myCustomDirective\/v1\.0" import:\["@custom"\]\)/,
    );
    expect(sdl).toContain('@composeDirective(name:"@custom")');
    expect(sdl).toContain('directive@custom on OBJECT');
    expect(sdl).toMatch(/type Product[^{]*@custom/);
  });

  it('@key: one field, several fields, an object, and several keys, as declared', () => {
    expect(sdl).toMatch(/type User@key\(fields:"email"/);
    expect(sdl).toMatch(/type DeprecatedProduct@key\(fields:"sku package"/);
    expect(sdl).toMatch(/type ProductResearch@key\(fields:"study \{ caseNumber \}"/);
    for (const fields of ['id', 'sku package', 'sku variation { id }'])
      expect(/type Product@[^{]*\{[^{]*\}?[^{]*\{/.exec(sdl)![0]).toContain(`@key(fields:"${fields}"`);
  });

  it('@key: an entity is found by each of them', async () => {
    expect(await entities('... on User { email name }', { __typename: 'User', email })).toEqual([
      { email, name: 'Jane Smith' },
    ]);
    const old = { sku: 'apollo-federation-v1', package: '@apollo/federation-v1' };
    expect(
      await entities('... on DeprecatedProduct { sku package reason }', {
        __typename: 'DeprecatedProduct',
        ...old,
      }),
    ).toEqual([{ ...old, reason: 'Migrate to Federation V2' }]);
    expect(
      await entities('... on ProductResearch { study { caseNumber description } }', {
        __typename: 'ProductResearch',
        study: { caseNumber: '1234' },
      }),
    ).toEqual([{ study: { caseNumber: '1234', description: 'Federation Study' } }]);
    expect(
      await entities(
        '... on Product { id sku }',
        { __typename: 'Product', id: 'apollo-federation' },
        { __typename: 'Product', sku: 'federation', package: '@apollo/federation' },
        { __typename: 'Product', sku: 'studio', variation: { id: 'platform' } },
      ),
    ).toEqual([
      { id: 'apollo-federation', sku: 'federation' },
      { id: 'apollo-federation', sku: 'federation' },
      { id: 'apollo-studio', sku: 'studio' },
    ]);
  });

  it('@provides: a field of another subgraph is answered here where it is provided', async () => {
    const query = 'query ($id: ID!) { product(id: $id) { createdBy { email totalProductsCreated } } }';
    expect((await ask(query, federation)).data).toEqual({
      product: { createdBy: { email, totalProductsCreated: 1_337 } },
    });
    expect(await askGateway(query, federation)).toEqual({
      product: { createdBy: { email, totalProductsCreated: 1_337 } },
    });
  });

  it('@requires: a field is computed from what the gateway brings of others, and theirs from ours', async () => {
    const query =
      'query ($id: ID!) { product(id: $id) { createdBy { averageProductsCreatedPerYear email } } }';
    expect(await askGateway(query, federation)).toEqual({
      product: { createdBy: { averageProductsCreatedPerYear: expect.any(Number) as number, email } },
    });
    const delivery = 'query ($id: ID!) { product(id: $id) { delivery(zip: "94111") { estimatedDelivery } } }';
    expect(await askGateway(delivery, federation)).toEqual({
      product: { delivery: { estimatedDelivery: '5/1/2019' } },
    });
  });

  it('@override: a field is answered here and no more by the subgraph that had it', async () => {
    expect(sdl).toContain('@override(from:"users")');
    const query = 'query ($id: ID!) { product(id: $id) { createdBy { name } } }';
    expect(await askGateway(query, federation)).toEqual({ product: { createdBy: { name: 'Jane Smith' } } });
  });

  it('@shareable: a type is answered beside other subgraphs', async () => {
    expect(sdl).toMatch(/type ProductDimension@shareable/);
    const query = 'query ($id: ID!) { product(id: $id) { dimensions { size weight } } }';
    expect(await askGateway(query, federation)).toEqual({
      product: { dimensions: { size: 'small', weight: 1 } },
    });
  });

  it('@inaccessible: a field is answered here, and hidden by the gateway', async () => {
    expect(sdl).toContain('unit:String@inaccessible');
    const query = 'query ($id: ID!) { product(id: $id) { dimensions { unit } } }';
    expect((await ask(query, federation)).data).toEqual({ product: { dimensions: { unit: 'kg' } } });
    const { body } = await gateway.executeOperation({ query, variables: federation });
    expect(body).toMatchObject({
      singleResult: { errors: [{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] },
    });
  });

  it('@tag: stays on the field', () => {
    expect(sdl).toContain('notes:String@tag(name:"internal")');
  });

  it('@interfaceObject: fields are added to every entity of an interface', async () => {
    expect(sdl).toMatch(/type Inventory[^{]*@interfaceObject/);
    expect(sdl).toMatch(/type Inventory[^{]*@key\(fields:"id"/);
    const query = 'query ($id: ID!) { inventory(id: $id) { deprecatedProducts { sku reason } } }';
    expect(await askGateway(query, { id: 'apollo-oss' })).toEqual({
      inventory: {
        deprecatedProducts: [{ sku: 'apollo-federation-v1', reason: 'Migrate to Federation V2' }],
      },
    });
  });
});

const email = 'support@apollographql.com';
const federation = { id: 'apollo-federation' };
