/**
 * Random documents that are valid for a schema, whatever it has: all types, fields and arguments, with variables,
 * fragments, aliases and directives.
 *
 *   const next = randomDocuments(schema, known, sequence(7));
 *   const { query, variables, kind } = next();
 */
import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  parse,
  validate,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLSchema,
  type OperationTypeNode,
} from 'graphql';
import {
  hostileTexts,
  momentFor,
  numberFor,
  oneOf,
  representationFor,
  textFor,
  type Known,
  type Random,
} from './values.ts';

export interface RandomDocument {
  kind: 'query' | 'mutation' | 'subscription';
  query: string;
  variables: Record<string, unknown>;
  operationName?: string;
}

export interface DocumentOptions {
  /** Fields of the root types that are asked for; all when absent. */
  roots?: ReadonlySet<string>;
  /** Shares of the three kinds; the usual ones when absent. */
  kinds?: Record<RandomDocument['kind'], number>;
  /** Values that a variable's type does not allow are among them. */
  misfits?: boolean;
  /** Share of the fields and fragments with a `@skip` or an `@include`. */
  conditions?: number;
}

const usualKinds = { query: 0.75, mutation: 0.12, subscription: 0.13 };

export function randomDocuments(
  schema: GraphQLSchema,
  known: Known,
  random: Random,
  { roots, kinds = usualKinds, misfits = true, conditions = 0.08 }: DocumentOptions = {},
): () => RandomDocument {
  const draft = (): RandomDocument => {
    const dice = random();
    const kind =
      dice < kinds.query ? 'query' : dice < kinds.query + kinds.mutation ? 'mutation' : 'subscription';
    const fragments: { name: string; on: string; text: string }[] = [];
    const variables: Record<string, unknown> = {};
    const declared: string[] = [];
    const plainFields = new Set<string>();
    let names = 0;
    let left = 40;

    const declare = (type: GraphQLInputType, of: string): string => {
      const name = `v${declared.length}`;
      const isMisfit = misfits && random() < 0.03;
      const value = isMisfit ? oneOf<unknown>(random, [{}, [[]], 1.5, true, null, 'x']) : valueOf(type, of);
      const usual = !isNonNullType(type) && random() < 0.2 ? ` = ${literal(type, of)}` : '';
      declared.push(`$${name}: ${String(type)}${usual}`);
      if (value !== undefined && (usual === '' || random() < 0.5)) variables[name] = value;
      return `$${name}`;
    };
    const literal = (type: GraphQLInputType, of: string): string => literalOf(valueOf(type, of), type);
    const valueOf = (type: GraphQLInputType, of: string): unknown => {
      if (isNonNullType(type)) return valueOf(type.ofType as GraphQLInputType, of) ?? emptyOf(type, of);
      if (random() < 0.05) return null;
      return emptyOf(type, of);
    };
    const emptyOf = (type: GraphQLInputType, of: string): unknown => {
      const nullable = getNullableType(type);
      if (isListType(nullable)) {
        const count = of === 'representations' ? Math.floor(random() * 6) : Math.floor(random() * 4);
        return Array.from({ length: count }, () => valueOf(nullable.ofType as GraphQLInputType, of));
      }
      if (isEnumType(nullable)) return oneOf(random, nullable.getValues()).name;
      if (isInputObjectType(nullable)) {
        const fields = Object.values(nullable.getFields()).filter(
          (field) => isNonNullType(field.type) || random() < 0.5,
        );
        return Object.fromEntries(fields.map((field) => [field.name, valueOf(field.type, field.name)]));
      }
      switch (nullable.name) {
        case 'Int':
          return numberFor(of, random);
        case 'Boolean':
          return random() < 0.5;
        case 'DateTime':
          return momentFor(random);
        case '_Any':
          return representationFor(known, random);
        default:
          return textFor(of, known, random);
      }
    };
    const argument = ({ name, type }: GraphQLArgument | GraphQLInputField): string =>
      `${name}: ${random() < 0.6 ? declare(type, name) : literal(type, name)}`;
    const directives = (): string => {
      if (random() >= conditions) return '';
      const isVariable = random() < 0.3;
      if (isVariable) {
        declared.push(`$v${declared.length}: Boolean!`);
        variables[`v${declared.length - 1}`] = random() < 0.5;
      }
      const condition = isVariable ? `$v${declared.length - 1}` : String(random() < 0.5);
      return ` @${oneOf(random, ['skip', 'include'])}(if: ${condition})`;
    };
    const field = (one: GraphQLField<unknown, unknown>, depth: number, alwaysAliased: boolean): string => {
      const given = one.args.filter((arg) => isNonNullType(arg.type) || random() < 0.4);
      const type = getNamedType(one.type);
      const isPlain = given.length === 0 && !isCompositeType(type);
      const mustAlias = alwaysAliased || (!isPlain && plainFields.has(one.name));
      if (!isPlain && !mustAlias) plainFields.add(one.name);
      const alias = mustAlias || random() < 0.05 ? `a${names++}: ` : '';
      const args = given.length > 0 ? `(${given.map(argument).join(', ')})` : '';
      const inner = isCompositeType(type) ? ` ${selection(type, depth + 1)}` : '';
      return `${alias}${one.name}${args}${directives()}${inner}`;
    };
    const selection = (type: GraphQLNamedType, depth: number): string => {
      if (isAbstractType(type)) {
        const parts = schema
          .getPossibleTypes(type)
          .filter(() => random() < 0.7)
          .map((one) => `... on ${one.name}${directives()} ${selection(one, depth)}`);
        return `{ __typename ${parts.join(' ')} }`;
      }
      if (!isObjectType(type)) return '';
      const all = Object.values(type.getFields());
      const simple = all.filter((one) => !isCompositeType(getNamedType(one.type)));
      const parts: string[] = [];
      const count = 1 + Math.floor(random() * (depth === 0 ? 3 : 6));
      for (let i = 0; i < count && left-- > 0; i++) {
        const from = depth > 7 || random() < 0.4 ? simple : all;
        if (from.length === 0) continue;
        const dice = random();
        if (dice < 0.08) parts.push(`... on ${type.name}${directives()} ${selection(type, depth + 1)}`);
        else if (dice < 0.14) parts.push(`...${spread(type, depth)}`);
        else parts.push(field(oneOf(random, from), depth, depth > 2 && random() < 0.2));
      }
      return parts.length === 0 ? '{ __typename }' : `{ ${parts.join(' ')} }`;
    };
    const spread = (type: GraphQLNamedType, depth: number): string => {
      const before = fragments.find(({ on }) => on === type.name);
      if (before && random() < 0.5) return before.name;
      const name = `F${names++}`;
      const text = `fragment ${name} on ${type.name} ${selection(type, depth + 1)}`;
      fragments.push({ name, on: type.name, text });
      return name;
    };
    const root = schema.getRootType(kind as OperationTypeNode)!;
    const wanted = Object.values(root.getFields()).filter(({ name }) => roots?.has(name) ?? true);
    const count = kind === 'query' ? 1 + Math.floor(random() * 3) : 1;
    const chosen = Array.from({ length: count }, () => field(oneOf(random, wanted), 0, kind === 'query'));
    if (kind === 'query' && !roots && random() < 0.05) chosen.push(oneOf(random, introspections));
    const declarations = declared.length > 0 ? `(${declared.join(', ')})` : '';
    const name = random() < 0.3 ? 'Named' : '';
    const text = `${kind} ${name}${declarations} { ${chosen.join(' ')} }`;
    return {
      ...{ kind, variables, query: [text, ...fragments.map((one) => one.text)].join('\n') },
      ...(name !== '' && random() < 0.7 && { operationName: name }),
    };
  };

  return () => {
    for (;;) {
      const document = draft();
      if (isValid(schema, document.query)) return document;
    }
  };
}

/** Also what breaks graphql-js while it validates: whoever is sent it must bear it. */
function isValid(schema: GraphQLSchema, query: string): boolean {
  const document = parse(query);
  try {
    return validate(schema, document).length === 0;
  } catch {
    return true;
  }
}

const introspections = [
  'i: __schema { queryType { name } types { name kind fields { name } } }',
  'i: __type(name: "Connection") { fields { name args { name defaultValue } } }',
  `i: __type(name: ${JSON.stringify(hostileTexts[9])}) { name }`,
  '__typename',
];

function literalOf(value: unknown, type: GraphQLInputType): string {
  const nullable = getNullableType(type);
  if (value === null || value === undefined) return 'null';
  if (isEnumType(nullable)) return value as string;
  if (isListType(nullable) && Array.isArray(value))
    return `[${value.map((one) => literalOf(one, nullable.ofType as GraphQLInputType)).join(', ')}]`;
  if (isInputObjectType(nullable)) {
    const fields = nullable.getFields();
    const parts = Object.entries(value as object).map(
      ([name, one]) => `${name}: ${literalOf(one, fields[name]!.type)}`,
    );
    return `{ ${parts.join(', ')} }`;
  }
  return untyped(value);
}

/** A text is written as GraphQL can have it: no lone half of a surrogate pair. */
function untyped(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed());
  if (Array.isArray(value)) return `[${value.map(untyped).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).map(([name, one]) => `${name}: ${untyped(one)}`);
    return `{ ${parts.join(', ')} }`;
  }
  return JSON.stringify(value);
}
