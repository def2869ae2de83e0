import { readFileSync } from 'node:fs';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { isObjectType, isScalarType, parse, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql';
import { Account } from './account.ts';
import { Connection, connectionQueries } from './connection.ts';
import { badUserInput, requireScope, viewer, type Context } from './context.ts';
import { ExternalRecord } from './externalRecord.ts';
import { Integration, integrationQueries } from './integration.ts';
import { Mutation } from './mutations.ts';
import { DateTime, JSONScalar } from './scalars.ts';
import { Subscription } from './subscription.ts';
import { SyncEvent } from './syncEvent.ts';
import { SyncStatus } from './syncStatus.ts';
import type { Resolvers } from './types.generated.ts';

export const typeDefs = parse(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'));

const WebhookDelivery: Resolvers['WebhookDelivery'] = {
  integration: ({ integrationId }) => ({ id: integrationId }),
  connection: ({ connectionId }, _, { loaders }) =>
    connectionId === null ? null : loaders.connection.load(connectionId),
};

export const resolvers: Resolvers = {
  DateTime,
  JSON: JSONScalar,
  Query: { ...integrationQueries, ...connectionQueries },
  Mutation,
  Subscription,
  Account,
  Integration,
  Connection,
  SyncStatus,
  ExternalRecord,
  SyncEvent,
  WebhookDelivery,
};

/** The executable subgraph, every root field of which refuses to run without an identity. */
export function createSchema(): GraphQLSchema {
  const schema = buildSubgraphSchema([{ typeDefs, resolvers: resolvers as never }]);
  assertResolversFit(schema, resolvers as Record<string, object>);
  checkRepresentations(schema);
  guardRootFields(schema);
  return schema;
}

/** `buildSubgraphSchema` silently ignores what the schema does not have: a misspelt resolver would never run. */
export function assertResolversFit(schema: GraphQLSchema, map: Record<string, object>): void {
  for (const [typeName, members] of Object.entries(map)) {
    const type = schema.getType(typeName);
    if (isScalarType(type)) continue;
    const fields = isObjectType(type) ? type.getFields() : {};
    const stray = Object.keys(members).find((name) => name !== '__resolveReference' && !(name in fields));
    if (!isObjectType(type) || stray !== undefined)
      throw new Error(`resolvers: the schema has no ${typeName}${stray === undefined ? '' : `.${stray}`}`);
  }
}

type Resolver = GraphQLFieldResolver<unknown, Context>;

/** `_service` is the schema itself, which the composition fetches without an identity. */
const open = new Set(['_service']);

function guardRootFields(schema: GraphQLSchema): void {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      if (open.has(field.name)) continue;
      const writes = type === schema.getMutationType();
      const guarded =
        (inner: Resolver | undefined): Resolver =>
        (source, args, context, info) => {
          viewer(context);
          if (writes) requireScope(context, 'integrations:write');
          return inner!(source, args, context, info);
        };
      field.resolve = guarded(field.resolve);
      if (field.subscribe) field.subscribe = guarded(field.subscribe);
    }
  }
}

const entities = new Set(['Account', 'Integration', 'Connection', 'SyncStatus', 'ExternalRecord']);

/** A representation that is none fails alone, as its sender's mistake; the others are resolved. */
function checkRepresentations(schema: GraphQLSchema): void {
  const field = schema.getQueryType()!.getFields()._entities!;
  const resolve = field.resolve!;
  const checked: GraphQLFieldResolver<unknown, Context, { representations: unknown[] }> = (
    source,
    args,
    context,
    info,
  ) => {
    const wrong = args.representations.map(mistakeIn);
    const representations = args.representations.filter((_, i) => wrong[i] === undefined);
    const resolved = (resolve(source, { representations }, context, info) as unknown[]).values();
    return wrong.map((mistake) => (mistake === undefined ? resolved.next().value : badUserInput(mistake)));
  };
  field.resolve = checked as typeof resolve;
}

function mistakeIn(representation: unknown): string | undefined {
  const { __typename: type, id } = (representation ?? {}) as { __typename?: unknown; id?: unknown };
  if (typeof type !== 'string' || !entities.has(type))
    return `representations: __typename must be one of ${[...entities].join(', ')}.`;
  return typeof id === 'string' ? undefined : 'representations: id must be a string.';
}
