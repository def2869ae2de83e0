import {
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type GraphQLSchema,
} from 'graphql';
import type { Limits } from './limits.ts';
import { measureDocument, measureText } from './measure.ts';

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
