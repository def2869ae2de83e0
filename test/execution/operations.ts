/** Random operations that are valid for a schema; the same for the same seed. */
import {
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
  parse,
  validate,
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';

export interface Operation {
  query: string;
  variables: Record<string, unknown>;
}

export interface Shape {
  /** Of a hundred places, so many have it. */
  fragments: number;
  directives: number;
  aliases: number;
  variables: number;
  depth: number;
}

export const usualShape: Shape = { fragments: 25, directives: 12, aliases: 15, variables: 50, depth: 5 };

/** Mulberry32: small, repeatable, good enough to choose by. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export function randomOperation(
  schema: GraphQLSchema,
  seed: number,
  { kind = 'query', shape = usualShape }: { kind?: 'query' | 'mutation'; shape?: Shape } = {},
): Operation {
  for (let attempt = 0; ; attempt++) {
    const operation = write(schema, randomOf(seed * 1_000 + attempt), kind, shape);
    if (validate(schema, parse(operation.query)).length === 0) return operation;
  }
}

function write(
  schema: GraphQLSchema,
  random: (below: number) => number,
  kind: 'query' | 'mutation',
  shape: Shape,
): Operation {
  const chance = (percent: number) => random(100) < percent;
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const variables: Record<string, unknown> = {};
  const definitions: string[] = [];
  const fragments: string[] = [];
  let names = 0;

  const variable = (type: string, value: unknown): string => {
    const name = `v${names++}`;
    const optional = !type.endsWith('!');
    const form = random(4);
    if (form === 0 && optional) definitions.push(`$${name}: ${type}`);
    else {
      definitions.push(`$${name}: ${type}`);
      variables[name] = value;
    }
    return `$${name}`;
  };
  const input = (type: GraphQLInputType): unknown => {
    if (isNonNullType(type)) return input(type.ofType as GraphQLInputType);
    if (isListType(type)) return Array.from({ length: random(3) }, () => input(type.ofType));
    if (isEnumType(type)) return new EnumName(pick(type.getValues()).name);
    if (isInputObjectType(type))
      return Object.fromEntries(
        Object.values(type.getFields())
          .filter((field) => isNonNullType(field.type) || chance(40))
          .map((field) => [field.name, input(field.type)]),
      );
    switch (type.name) {
      case 'Int':
        return random(90) + 1;
      case 'Boolean':
        return chance(50);
      case 'DateTime':
        return '2026-01-31T09:30:00Z';
      case '_Any':
        return { __typename: pick(['Connection', 'Account', 'ExternalRecord']), id: `id${random(9)}` };
      default:
        return pick(['a', 'Invoice', '"quoted"', 'ünï', 'c0ffee']);
    }
  };
  const argumentsOf = (args: readonly GraphQLArgument[]): string => {
    const given = args.flatMap((arg) => {
      if (!isNonNullType(arg.type) && chance(50)) return [];
      const value = input(arg.type);
      if (!isNonNullType(arg.type) && chance(8)) return [`${arg.name}: null`];
      return [
        `${arg.name}: ${chance(shape.variables) ? variable(String(arg.type), plain(value)) : literal(value)}`,
      ];
    });
    return given.length === 0 ? '' : `(${given.join(', ')})`;
  };
  const directive = (): string => {
    if (!chance(shape.directives)) return '';
    const one = (name: string) => {
      const value = chance(50);
      return ` @${name}(if: ${chance(60) ? variable('Boolean!', value) : String(value)})`;
    };
    return chance(20) ? one('skip') + one('include') : one(pick(['skip', 'include']));
  };
  const selection = (type: GraphQLCompositeType, depth: number): string => {
    const parts: string[] = [];
    if (isObjectType(type)) {
      const fields = Object.values(type.getFields()).filter(({ name }) => name !== '_service');
      const some = Array.from({ length: 1 + random(6) }, () => pick(fields));
      for (const field of some) {
        const named = getNamedType(field.type);
        if (isCompositeType(named) && depth <= 0) continue;
        const alias = chance(shape.aliases) ? `${pick(['a', 'b', 'same', 'id2'])}: ` : '';
        const inner = isCompositeType(named) ? ` ${selection(named, depth - 1)}` : '';
        parts.push(`${alias}${field.name}${argumentsOf(field.args)}${directive()}${inner}`);
      }
    }
    if (chance(25)) parts.push(`__typename${directive()}`);
    const narrower: GraphQLObjectType[] = isUnionType(type)
      ? [...type.getTypes()]
      : isObjectType(type)
        ? [type]
        : [];
    const times = isUnionType(type) ? 1 + random(4) : chance(shape.fragments) ? 1 + random(2) : 0;
    for (let i = 0; i < times; i++) {
      const on = pick(narrower);
      const body = selection(on, depth - 1);
      if (chance(50))
        parts.push(`...${isObjectType(type) && chance(30) ? '' : ` on ${on.name}`}${directive()} ${body}`);
      else {
        const name = `F${names++}`;
        fragments.push(`fragment ${name} on ${on.name} ${body}`);
        parts.push(`...${name}${directive()}`);
        if (chance(25)) parts.push(`...${name}${directive()}`);
      }
    }
    if (parts.length === 0) parts.push('__typename');
    return `{ ${parts.join(' ')} }`;
  };
  const root = kind === 'query' ? schema.getQueryType()! : schema.getMutationType()!;
  const body = selection(root, shape.depth);
  const head = definitions.length === 0 ? '' : `(${definitions.join(', ')})`;
  return { query: [`${kind} Random${head} ${body}`, ...fragments].join('\n'), variables };
}

class EnumName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** As JSON carries it. */
function plain(value: unknown): unknown {
  if (value instanceof EnumName) return value.name;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
  return value;
}

function literal(value: unknown): string {
  if (value instanceof EnumName) return value.name;
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{ ${Object.entries(value)
      .map(([name, inner]) => `${name}: ${literal(inner)}`)
      .join(', ')} }`;
  return JSON.stringify(value);
}
