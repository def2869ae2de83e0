import {
  GraphQLError,
  Kind,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type DirectiveNode,
  type DocumentNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import type { Limits } from './limits.ts';
import { fragmentsOf, measureDocument, measureText } from './measure.ts';

/** Measured, parsed and validated once for all who send the same text. */
export type Documents = (query: string) => DocumentNode | readonly GraphQLError[];

const mostDocuments = 1_000;
const mostCharacters = 4_000_000;
/** Of one document. */
const mostErrors = 20;

/**
 * Keeps what was asked for last, within a number of documents and of characters; what is wrong is not kept.
 * @param hidesSchema refuses introspection, and errors suggest no names
 */
export function createDocuments(schema: GraphQLSchema, hidesSchema: boolean, limits: Limits): Documents {
  const rules = hidesSchema ? [...specifiedRules, NoSchemaIntrospectionCustomRule] : specifiedRules;
  const known = new Map<string, DocumentNode>();
  let characters = 0;
  const drop = (query: string) => {
    if (known.delete(query)) characters -= query.length;
  };
  const read = (query: string): DocumentNode | readonly GraphQLError[] => {
    const tooLong = measureText(query, limits);
    if (tooLong) return [tooLong];
    let document: DocumentNode;
    try {
      document = parse(query);
    } catch (error) {
      return [coded(error as GraphQLError, 'GRAPHQL_PARSE_FAILED')];
    }
    const tooLarge = measureDocument(document, limits);
    if (tooLarge) return [tooLarge];
    const unexecutable = conditionalSubscription(document);
    if (unexecutable) return [unexecutable];
    const errors = validate(schema, document, rules, { maxErrors: mostErrors });
    return errors.length === 0
      ? document
      : errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED', hidesSchema));
  };
  return (query) => {
    const document = known.get(query) ?? read(query);
    if (!('kind' in document)) return document;
    drop(query);
    known.set(query, document);
    characters += query.length;
    for (const oldest of known.keys()) {
      if (known.size <= mostDocuments && characters <= mostCharacters) break;
      drop(oldest);
    }
    return document;
  };
}

/** What is no operation, and what graphql-js and everything that is built on it would break on. */
export class UnexecutableError extends GraphQLError {}

/**
 * A subscription that may leave its one field out: graphql-js 16 lets it pass or, where a variable decides, throws
 * while it validates.
 * https://spec.graphql.org/September2025/#sec-Single-Root-Field
 */
function conditionalSubscription(document: DocumentNode): GraphQLError | undefined {
  const fragments = fragmentsOf(document);
  const seen = new Set<string>();
  const conditionIn = (set: SelectionSetNode): DirectiveNode | undefined => {
    for (const selection of set.selections) {
      const condition = selection.directives?.find(({ name }) => /^(skip|include)$/.test(name.value));
      if (condition) return condition;
      let inner = selection.kind === Kind.INLINE_FRAGMENT ? selection.selectionSet : undefined;
      if (selection.kind === Kind.FRAGMENT_SPREAD && !seen.has(selection.name.value)) {
        seen.add(selection.name.value);
        inner = fragments.get(selection.name.value)?.selectionSet;
      }
      const found = inner && conditionIn(inner);
      if (found) return found;
    }
    return undefined;
  };
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION || definition.operation !== 'subscription') continue;
    const nodes = conditionIn(definition.selectionSet);
    const message =
      'A subscription cannot leave its field out: @skip and @include have no place at its root.';
    if (nodes)
      return new UnexecutableError(message, { nodes, extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } });
  }
  return undefined;
}

/** The same error with Apollo Server's code for it, as over HTTP. */
export function coded(error: GraphQLError, code: string, hidesSchema = false): GraphQLError {
  const { nodes, source, positions } = error;
  const message = hidesSchema ? error.message.replace(/ ?Did you mean(.+?)\?$/, '') : error.message;
  return new GraphQLError(message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    extensions: { ...error.extensions, code: error.extensions.code ?? code },
  });
}
