/** What a change of the schema does to the programs that were written against an earlier one. */
import { buildSubgraphSchema } from '@apollo/subgraph';
import {
  DangerousChangeType,
  DirectiveLocation,
  findBreakingChanges,
  findDangerousChanges,
  GraphQLSchema,
  parse,
  print,
  visit,
  type ConstDirectiveNode,
} from 'graphql';

/** Removing one of these takes something from other subgraphs: how they refer to a type, or that they may have it too. */
const neededByOthers = new Set(['key', 'shareable', 'interfaceObject', 'composeDirective']);
/** Adding one of these takes something from the clients of the supergraph, or puts a condition on it. */
const hidesFromClients = new Set(['inaccessible', 'external', 'authenticated', 'requiresScopes', 'policy']);

/** These say that a client written before may send less than it could, which it does anyway. */
const harmless = new Set<string>([
  DangerousChangeType.OPTIONAL_ARG_ADDED,
  DangerousChangeType.OPTIONAL_INPUT_FIELD_ADDED,
]);

/**
 * What breaks clients, other subgraphs or the composition, one line each.
 * @param released a subgraph's SDL, as is `present`
 */
export function breakingChanges(released: string, present: string): string[] {
  const before = directivesOf(released);
  const after = directivesOf(present);
  const gone = [...before].filter(([place, { name }]) => neededByOthers.has(name) && !after.has(place));
  const come = [...after].filter(([place, { name }]) => hidesFromClients.has(name) && !before.has(place));
  return [
    ...findBreakingChanges(schemaOf(released), schemaOf(present)).map(({ description }) => description),
    // What is gone with its type was named above.
    ...gone.map(([place]) => `${place} was removed.`),
    ...come.map(([place]) => `${place} was added.`),
  ];
}

/** What an existing client survives only if it was written with care: a new value of an enum, another default. */
export function dangerousChanges(released: string, present: string): string[] {
  return findDangerousChanges(schemaOf(released), schemaOf(present))
    .filter(({ type }) => !harmless.has(type))
    .map(({ description }) => description);
}

/** What clients see: not the directives of the schema's own text, nor the types that only those have. */
function schemaOf(sdl: string): GraphQLSchema {
  const { directives, types, ...rest } = buildSubgraphSchema([{ typeDefs: parse(sdl) }]).toConfig();
  return new GraphQLSchema({
    ...rest,
    directives: directives.filter(({ locations }) => locations.some((location) => forClients.has(location))),
    types: types.filter(({ name }) => !/^(federation|link)__/.test(name)),
  });
}

const forClients = new Set<string>([
  DirectiveLocation.FIELD,
  DirectiveLocation.FRAGMENT_SPREAD,
  DirectiveLocation.INLINE_FRAGMENT,
  DirectiveLocation.QUERY,
  DirectiveLocation.MUTATION,
  DirectiveLocation.SUBSCRIPTION,
]);

/** Each applied directive by where and what: `Connection @key(fields: "id")`. An import may have renamed its namespace. */
function directivesOf(sdl: string): Map<string, { name: string }> {
  const found = new Map<string, { name: string }>();
  const path: string[] = [];
  visit(parse(sdl), {
    enter(node) {
      if (!('directives' in node)) return;
      path.push('name' in node && node.name ? node.name.value : 'schema');
      for (const directive of (node.directives ?? []) as readonly ConstDirectiveNode[]) {
        const text = print(directive)
          .replace(/^@federation__/, '@')
          .replaceAll(/\s+/g, ' ');
        found.set(`${path.join('.')} ${text}`, { name: /^@(\w+)/.exec(text)![1]! });
      }
    },
    leave(node) {
      if ('directives' in node) path.pop();
    },
  });
  return found;
}
