import {
  GraphQLError,
  Kind,
  Lexer,
  Source,
  TokenKind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { endless, over, type Limits } from './limits.ts';

const opening = new Set<string>([TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L]);
const closing = new Set<string>([TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R]);

/**
 * Before the text is parsed: its length, its tokens, and how deep the parser would call itself. Reads no further than
 * the first limit that is passed. What is no GraphQL is the parser's to refuse.
 */
export function measureText(query: string, limits: Limits): GraphQLError | undefined {
  if (query.length > limits.characters) return over(limits, 'characters', query.length);
  const lexer = new Lexer(new Source(query));
  let tokens = 0;
  let nesting = 0;
  try {
    for (let token = lexer.advance(); token.kind !== TokenKind.EOF; token = lexer.advance()) {
      if (++tokens > limits.tokens) return over(limits, 'tokens', null);
      if (opening.has(token.kind) && ++nesting > limits.nesting) return over(limits, 'nesting', null);
      if (closing.has(token.kind)) nesting--;
    }
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
  }
  return undefined;
}

interface Size {
  /** Infinite where a fragment contains itself. */
  depth: number;
  fields: number;
  aliases: number;
  topFields: number;
}

const nothing: Size = { depth: 0, fields: 0, aliases: 0, topFields: 0 };
const unending: Size = { ...nothing, depth: Infinity };

/** Before it is validated: how large each operation is with its fragments spread. */
export function measureDocument(document: DocumentNode, limits: Limits): GraphQLError | undefined {
  const fragments = fragmentsOf(document);
  const counted = countDirectives(document, limits);
  if (counted) return counted;
  const sizeOf = sizes(fragments);
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION)
      continue;
    const { depth, fields, aliases, topFields } = sizeOf(definition.selectionSet);
    if (depth === Infinity) return endless();
    if (depth > limits.depth) return over(limits, 'depth', depth);
    if (aliases > limits.aliases) return over(limits, 'aliases', aliases);
    if (definition.kind === Kind.OPERATION_DEFINITION && topFields > limits.rootFields)
      return over(limits, 'rootFields', topFields);
    if (fields > limits.fields) return over(limits, 'fields', fields);
  }
  // From here on the spread document is known to be small.
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION)
      continue;
    const most = mostRepeated([definition.selectionSet], fragments);
    if (most > limits.repetitions) return over(limits, 'repetitions', most);
  }
  return undefined;
}

export type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

export function fragmentsOf(document: DocumentNode): Fragments {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  return fragments;
}

/** Each fragment is counted once, however often it is spread. */
function sizes(fragments: Fragments): (set: SelectionSetNode | undefined) => Size {
  const known = new Map<string, Size>();
  const of = (set: SelectionSetNode | undefined): Size => {
    const sum = { ...nothing };
    for (const selection of set?.selections ?? []) {
      const { depth, fields, aliases, topFields } = ofSelection(selection);
      sum.depth = Math.max(sum.depth, depth);
      sum.fields += fields;
      sum.aliases += aliases;
      sum.topFields += topFields;
    }
    return sum;
  };
  const ofSelection = (selection: SelectionNode): Size => {
    if (selection.kind === Kind.INLINE_FRAGMENT) return of(selection.selectionSet);
    if (selection.kind === Kind.FIELD) {
      const { depth, fields, aliases } = of(selection.selectionSet);
      return {
        depth: depth + 1,
        fields: fields + 1,
        aliases: aliases + (selection.alias ? 1 : 0),
        topFields: 1,
      };
    }
    const name = selection.name.value;
    const before = known.get(name);
    if (before) return before;
    known.set(name, unending);
    const size = of(fragments.get(name)?.selectionSet);
    known.set(name, size);
    return size;
  };
  return of;
}

function countDirectives(document: DocumentNode, limits: Limits): GraphQLError | undefined {
  let total = 0;
  let most = 0;
  const count = (of: { directives?: readonly unknown[] | undefined }) => {
    const { length } = of.directives ?? [];
    total += length;
    most = Math.max(most, length);
  };
  const walk = (set: SelectionSetNode | undefined) => {
    for (const selection of set?.selections ?? []) {
      count(selection);
      if (selection.kind !== Kind.FRAGMENT_SPREAD) walk(selection.selectionSet);
    }
  };
  for (const definition of document.definitions) {
    if ('directives' in definition) count(definition);
    if ('selectionSet' in definition) walk(definition.selectionSet);
    if (definition.kind === Kind.OPERATION_DEFINITION)
      for (const variable of definition.variableDefinitions ?? []) count(variable);
  }
  if (most > limits.directivesInOnePlace) return over(limits, 'directivesInOnePlace', most);
  return total > limits.directives ? over(limits, 'directives', total) : undefined;
}

/** How often one response name is asked for at one place, as an executor merges selections. */
function mostRepeated(sets: readonly SelectionSetNode[], fragments: Fragments): number {
  const named = new Map<string, FieldNode[]>();
  const seen = new Set<string>();
  const collect = (set: SelectionSetNode) => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const name = (selection.alias ?? selection.name).value;
        const fields = named.get(name);
        if (fields) fields.push(selection);
        else named.set(name, [selection]);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet);
      else if (!seen.has(selection.name.value)) {
        seen.add(selection.name.value);
        const fragment = fragments.get(selection.name.value);
        if (fragment) collect(fragment.selectionSet);
      }
    }
  };
  for (const set of sets) collect(set);
  let most = 0;
  for (const fields of named.values()) {
    const inner = fields.flatMap(({ selectionSet }) => selectionSet ?? []);
    most = Math.max(most, fields.length, inner.length > 0 ? mostRepeated(inner, fragments) : 0);
  }
  return most;
}
