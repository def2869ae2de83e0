/**
 * The subgraphs that Apollo's compatibility suite is about, with the records that it asks for: `products`, which the
 * server under test serves, and the two that it is joined with. The resolvers are ours; the records are those of its
 * COMPATIBILITY.md.
 */
import { readFileSync } from 'node:fs';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse, type GraphQLSchema } from 'graphql';

export const typeDefsOf = (name: 'products' | 'users' | 'inventory') =>
  parse(readFileSync(new URL(`${name}.graphql`, import.meta.url), 'utf8'));

const email = 'support@apollographql.com';
const deprecated = {
  sku: 'apollo-federation-v1',
  package: '@apollo/federation-v1',
  reason: 'Migrate to Federation V2',
  createdBy: { email },
};
const studies = [
  { study: { caseNumber: '1234', description: 'Federation Study' } },
  { study: { caseNumber: '1235', description: 'Studio Study' } },
];
const dimensions = { size: 'small', weight: 1, unit: 'kg' };
const products = [
  {
    id: 'apollo-federation',
    sku: 'federation',
    package: '@apollo/federation',
    variation: { id: 'OSS' },
    dimensions,
    research: [studies[0]],
  },
  {
    id: 'apollo-studio',
    sku: 'studio',
    package: '',
    variation: { id: 'platform' },
    dimensions,
    research: [studies[1]],
  },
];

interface ProductKey {
  id?: string;
  sku?: string;
  package?: string;
  variation?: { id: string };
}
interface UserReference {
  email: string;
  totalProductsCreated?: number;
  yearsOfEmployment?: number;
}

const findProduct = (key: ProductKey) =>
  products.find((product) =>
    key.id !== undefined
      ? product.id === key.id
      : product.sku === key.sku &&
        (key.package !== undefined
          ? product.package === key.package
          : product.variation.id === key.variation?.id),
  );
const isDeprecated = (key: { sku: string; package: string }) =>
  key.sku === deprecated.sku && key.package === deprecated.package;

export function productsSchema(): GraphQLSchema {
  const resolvers = {
    Query: {
      product: (_: unknown, key: { id: string }) => findProduct(key) ?? null,
      deprecatedProduct: (_: unknown, key: { sku: string; package: string }) =>
        isDeprecated(key) ? deprecated : null,
    },
    Product: {
      __resolveReference: (key: ProductKey) => findProduct(key) ?? null,
      createdBy: () => ({ email, totalProductsCreated: 1_337 }),
    },
    DeprecatedProduct: {
      __resolveReference: (key: { sku: string; package: string }) => (isDeprecated(key) ? deprecated : null),
    },
    ProductResearch: {
      __resolveReference: ({ study }: { study: { caseNumber: string } }) =>
        studies.find((one) => one.study.caseNumber === study.caseNumber) ?? null,
    },
    User: {
      __resolveReference: (reference: UserReference) => reference,
      name: () => 'Jane Smith',
      averageProductsCreatedPerYear: ({ totalProductsCreated, yearsOfEmployment }: UserReference) =>
        Math.round(totalProductsCreated! / yearsOfEmployment!),
    },
    Inventory: {
      __resolveReference: (reference: { id: string }) => reference,
      deprecatedProducts: () => [deprecated],
    },
  };
  return buildSubgraphSchema([{ typeDefs: typeDefsOf('products'), resolvers }]);
}

export function usersSchema(): GraphQLSchema {
  const resolvers = {
    User: {
      __resolveReference: () => ({
        ...{ email, name: 'overridden by products' },
        ...{ totalProductsCreated: 10, yearsOfEmployment: 10 },
      }),
    },
  };
  return buildSubgraphSchema([{ typeDefs: typeDefsOf('users'), resolvers }]);
}

export function inventorySchema(): GraphQLSchema {
  const resolvers = {
    Query: {
      inventory: (_: unknown, { id }: { id: string }) => ({ id, products: [{ id: 'apollo-federation' }] }),
    },
    Inventory: { __resolveType: () => 'OpenSourceInventory' },
    Product: {
      // Null unless the gateway has brought what @requires names.
      delivery: ({ dimensions: brought }: { dimensions?: typeof dimensions }) =>
        brought?.size === 'small' && brought.weight === 1 ? { estimatedDelivery: '5/1/2019' } : null,
    },
  };
  return buildSubgraphSchema([{ typeDefs: typeDefsOf('inventory'), resolvers }]);
}
