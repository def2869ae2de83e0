import {
  getArgumentValues,
  getDirectiveValues,
  getNamedType,
  getVariableValues,
  GraphQLError,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isObjectType,
  Kind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Connection } from '../src/connections/connection.ts';
import { batchesOf } from '../src/providers/batches.ts';
import type { Context } from './context.ts';
import { readsProvider } from './externalRecord.ts';

/**
 * How many provider calls an operation is certain to cause, read from its selection before anything runs: `profile`,
 * `record` and references to records that may not be answered from what is stored, for each connection, batched as
 * the loaders do.
 */
export type PlannedCalls = ReadonlyMap<Connection, number>;

/** Which connections a selection is about, as far as the arguments tell; all of the account's otherwise. */
interface Where {
  ids?: readonly string[];
  integrationId?: string;
  status?: readonly string[];
}

type Read = { profile: true } | { resource: string; externalId: string };

/** Documents without a field that could ask a provider, which are most, are walked once. */
const quiet = new WeakMap<DocumentNode, boolean>();
const asking = new Set(['profile', 'record', '_entities']);

export async function plannedCalls(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
  context: Context,
): Promise<PlannedCalls> {
  const none: PlannedCalls = new Map();
  if (!context.identity || operation.operation === 'subscription' || isQuiet(document)) return none;
  const { coerced } = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  // What does not fit is refused by who executes it.
  if (!coerced) return none;
  const reads = readsOf(schema, document, operation, coerced, context.core);
  if (reads.length === 0) return none;
  return countOf(reads, context);
}

function isQuiet(document: DocumentNode): boolean {
  let known = quiet.get(document);
  if (known === undefined) {
    const asks = (set: SelectionSetNode | undefined): boolean =>
      set?.selections.some(
        (one) =>
          one.kind !== Kind.FRAGMENT_SPREAD &&
          ((one.kind === Kind.FIELD && asking.has(one.name.value)) || asks(one.selectionSet)),
      ) ?? false;
    known = !document.definitions.some((one) => 'selectionSet' in one && asks(one.selectionSet));
    quiet.set(document, known);
  }
  return known;
}

function readsOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
  { recordMaxAgeSeconds: usualMaxAge, catalog }: Context['core'],
): [Where, Read][] {
  const fragments: Record<string, FragmentDefinitionNode | undefined> = {};
  for (const one of document.definitions)
    if (one.kind === Kind.FRAGMENT_DEFINITION) fragments[one.name.value] = one;
  const found: [Where, Read][] = [];

  const isLeftOut = (node: SelectionNode) =>
    getDirectiveValues(GraphQLSkipDirective, node, variables)?.if === true ||
    getDirectiveValues(GraphQLIncludeDirective, node, variables)?.if === false;

  const walk = (set: SelectionSetNode | undefined, type: GraphQLObjectType, where: Where): void => {
    for (const selection of set?.selections ?? []) {
      if (isLeftOut(selection)) continue;
      if (selection.kind === Kind.FIELD) walkField(selection, type, where);
      else {
        const fragment =
          selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments[selection.name.value];
        const wanted = fragment?.typeCondition?.name.value;
        if (fragment && (wanted === undefined || wanted === type.name || wanted === '_Entity'))
          walk(fragment.selectionSet, type, where);
      }
    }
  };
  const walkField = (node: FieldNode, type: GraphQLObjectType, where: Where): void => {
    const field = type.getFields()[node.name.value];
    if (!field) return;
    const args = argumentsOf(field, node, variables);
    if (!args) return;
    if (field.name === '_entities') return walkEntities(node, args.representations as unknown[]);
    if (type.name === 'Connection' && field.name === 'profile') found.push([where, { profile: true }]);
    if (type.name === 'Connection' && field.name === 'record') {
      const { resource, externalId, maxAgeSeconds } = args as Record<string, string>;
      if (Number(maxAgeSeconds ?? usualMaxAge) === 0)
        found.push([where, { resource: resource!, externalId: externalId! }]);
    }
    const inner = getNamedType(field.type);
    if (isObjectType(inner)) walk(node.selectionSet, inner, narrowed(type, field.name, args, where));
  };
  const walkEntities = (node: FieldNode, representations: readonly unknown[]): void => {
    const sets = node.selectionSet ? [node.selectionSet] : [];
    const areRead = usualMaxAge === 0 && readsProvider(sets, fragments);
    const idsOf = new Map<string, Set<string>>();
    for (const one of representations) {
      const { __typename: name, id } = (one ?? {}) as { __typename?: unknown; id?: unknown };
      if (typeof name !== 'string' || typeof id !== 'string') continue;
      const [connectionId = '', resource = '', ...rest] = id.split('/');
      const ids = idsOf.get(name) ?? new Set();
      idsOf.set(name, ids.add(name === 'Integration' ? id : connectionId));
      if (name === 'ExternalRecord' && areRead)
        found.push([{ ids: [connectionId] }, { resource, externalId: rest.join('/') }]);
    }
    // Once for each type, however many there are of it.
    for (const [name, ids] of idsOf) {
      const type = schema.getType(name);
      if (!isObjectType(type)) continue;
      if (name === 'Account') walk(node.selectionSet, type, {});
      else if (name !== 'Integration') walk(node.selectionSet, type, { ids: [...ids] });
      else
        for (const integrationId of ids)
          if (catalog.find(integrationId)) walk(node.selectionSet, type, { integrationId });
    }
  };
  walk(operation.selectionSet, schema.getRootType(operation.operation)!, {});
  return found;
}

/** Undefined where a variable leaves them unfit: the field fails alone. */
function argumentsOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  variables: Record<string, unknown>,
): Record<string, unknown> | undefined {
  try {
    return getArgumentValues(field, node, variables);
  } catch (error) {
    if (error instanceof GraphQLError) return undefined;
    throw error;
  }
}

/** What the arguments of a field that leads to connections say about which. */
function narrowed(
  type: GraphQLObjectType,
  field: string,
  args: Record<string, unknown>,
  where: Where,
): Where {
  const { id, integrationId, status, input } = args as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  if (type.name === 'Query' && field === 'connection') return { ids: [text(id) ?? ''] };
  if (type.name === 'Query' && field === 'integration') return { integrationId: text(id) ?? '' };
  const changed = text((input as { connectionId?: unknown } | undefined)?.connectionId);
  if (changed !== undefined) return { ids: [changed] };
  const wanted = text(integrationId);
  return {
    ...where,
    ...(wanted !== undefined && { integrationId: wanted }),
    ...(Array.isArray(status) && { status: status as string[] }),
  };
}

async function countOf(reads: readonly [Where, Read][], context: Context): Promise<PlannedCalls> {
  const { loaders, core } = context;
  const all = reads.some(([{ ids }]) => ids === undefined) ? await loaders.connections() : [];
  const named = [...new Set(reads.flatMap(([{ ids }]) => ids ?? []))];
  const byId = new Map(
    await Promise.all(named.map(async (id) => [id, await loaders.connection.load(id)] as const)),
  );
  const profiles = new Set<Connection>();
  const records = new Map<Connection, Map<string, Set<string>>>();
  for (const [{ ids, integrationId, status }, read] of reads) {
    for (const connection of ids ? ids.flatMap((id) => byId.get(id) ?? []) : all) {
      if (connection.status !== 'ACTIVE') continue;
      if (integrationId !== undefined && connection.integrationId !== integrationId) continue;
      if (status && !status.includes(connection.status)) continue;
      const provider = core.catalog.find(connection.integrationId)?.provider;
      if ('profile' in read) {
        if (provider?.identity) profiles.add(connection);
        continue;
      }
      const { resource, externalId } = read;
      const { only, idPattern } = provider?.records ?? {};
      const isAsked = provider?.resources.includes(resource) && (!only || only.includes(resource));
      if (!isAsked || !idPattern?.test(externalId)) continue;
      const own = records.get(connection) ?? new Map<string, Set<string>>();
      records.set(connection, own.set(resource, (own.get(resource) ?? new Set()).add(externalId)));
    }
  }
  const counts = new Map<Connection, number>();
  for (const connection of new Set([...profiles, ...records.keys()])) {
    let count = profiles.has(connection) ? 1 : 0;
    const batches = core.catalog.find(connection.integrationId)!.provider.records;
    for (const [resource, externalIds] of records.get(connection) ?? [])
      count += batchesOf(batches, resource, [...externalIds]).length;
    counts.set(connection, count);
  }
  return counts;
}
