/**
 * The product's types with resolvers that do anything, but always the same: what a field does follows from a seed, its
 * path and its arguments. It answers at once or some ticks later, with values, with null where there may be none, with
 * what cannot be serialised, and with errors that are thrown, rejected or returned.
 */
import { buildSubgraphSchema } from '@apollo/subgraph';
import {
  getNullableType,
  GraphQLError,
  isAbstractType,
  isEnumType,
  isListType,
  isNonNullType,
  isObjectType,
  type GraphQLFieldResolver,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
} from 'graphql';
import { typeDefs } from '../../resolvers/index.ts';
import { DateTime, JSONScalar } from '../../resolvers/scalars.ts';
import type { Known } from '../support/fuzz/values.ts';

/** What documents are written with. */
export const known: Known = {
  ...{ connections: ['c0ffee', 'c1'], accounts: ['acme', 'rival'], integrations: ['quickbooks', 'slack'] },
  ...{ resources: ['Invoice', 'User'], cursors: ['MQ'], returnTo: 'https://app.example.com/' },
};

/** The context of an execution. */
export interface Chaos {
  seed: number;
  /** Of a hundred fields, so many do something wrong. */
  faults: number;
  /** Counts the fields that ran. */
  ran: number;
}

export function createChaosSchema(): GraphQLSchema {
  const schema = buildSubgraphSchema([{ typeDefs, resolvers: { DateTime, JSON: JSONScalar } as never }]);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__') || type.name === '_Service') continue;
    for (const field of Object.values(type.getFields())) {
      // Some are read off the object that holds them, as most of the product's are.
      const isRead = type !== schema.getQueryType() && hashOf(`${type.name}.${field.name}`) % 3 === 0;
      if (isRead) delete field.resolve;
      else field.resolve = resolve as GraphQLFieldResolver<unknown, unknown>;
    }
  }
  return schema;
}

const resolve: GraphQLFieldResolver<unknown, Chaos, Record<string, unknown>> = (_, args, chaos, info) => {
  chaos.ran++;
  const path: (string | number)[] = [];
  for (let at: GraphQLResolveInfo['path'] | undefined = info.path; at; at = at.prev) path.unshift(at.key);
  const said = Object.keys(args)
    .toSorted()
    .map((name) => [name, args[name]]);
  const of = { chaos, schema: info.schema };
  const where = { depth: 0, now: false, listed: path.some((key) => typeof key === 'number') };
  return valueOf(info.returnType, `${path.join('.')} ${JSON.stringify(said)}`, of, where);
};

/** FNV-1a, and mixed: texts that differ in one character have nothing else in common. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

interface Where {
  depth: number;
  /** Not a promise. */
  now: boolean;
  /**
   * Within a list. There graphql-js forgets the promises of earlier items when a later one ends the list at once, and
   * nobody hears of their rejection.
   */
  listed: boolean;
}

function valueOf(
  type: GraphQLOutputType,
  at: string,
  of: { chaos: Chaos; schema: GraphQLSchema },
  where: Where,
): unknown {
  const { seed, faults } = of.chaos;
  const dice = (name: string) => hashOf(`${seed} ${name} ${at}`);
  const later = async (give: () => unknown) => {
    for (let turns = dice('turns') % 4; turns > 0; turns--) await Promise.resolve();
    return give();
  };
  const mustBeLate = where.listed && isNonNullType(type);
  if (dice('fault') % 100 >= faults || (mustBeLate && where.now)) {
    const give = () => goodValue(type, at, of, where);
    return where.now || dice('later') % 2 === 0 ? give() : later(give);
  }
  const code = dice('code') % 2 === 0 ? { extensions: { code: 'FORBIDDEN' } } : {};
  const error = dice('kind') % 2 === 0 ? new GraphQLError(`refused ${at}`, code) : new Error(`broken ${at}`);
  const fail = () => {
    throw error;
  };
  const unserialisable = Symbol.for('nothing that can be serialised');
  const wrongs: (() => unknown)[] = [() => error, () => null, () => undefined, () => unserialisable];
  const give = wrongs[dice('wrong') % wrongs.length]!;
  if (where.now) return give();
  const how = (dice('how') % 4) | (mustBeLate ? 1 : 0);
  return [fail, () => later(fail), give, () => later(give)][how]!();
}

function goodValue(
  type: GraphQLOutputType,
  at: string,
  of: { chaos: Chaos; schema: GraphQLSchema },
  { depth, listed }: Where,
): unknown {
  const number = hashOf(`${of.chaos.seed} value ${at}`);
  const inner = getNullableType(type);
  if (inner === type && number % 10 === 0) return null;
  if (isListType(inner)) {
    const now = isNonNullType(inner.ofType);
    return Array.from({ length: number % 4 }, (_, i) =>
      valueOf(inner.ofType, `${at}.${i}`, of, { depth, now, listed: true }),
    );
  }
  if (isEnumType(inner)) {
    const values = inner.getValues();
    return values[number % values.length]!.value;
  }
  const possible = isAbstractType(inner) ? of.schema.getPossibleTypes(inner) : [inner];
  const concrete = possible[number % possible.length]!;
  if (!isObjectType(concrete)) return scalarOf(concrete.name, number);
  const read = Object.values(concrete.getFields()).filter((field) => !field.resolve && depth < 4);
  const held = read.map(({ name, type: own }) => [
    name,
    valueOf(own, `${at}.${name}`, of, { depth: depth + 1, now: true, listed }),
  ]);
  return { __typename: concrete.name, ...Object.fromEntries(held) };
}

function scalarOf(name: string, number: number): unknown {
  switch (name) {
    case 'Int':
      return number % 1_000;
    case 'Boolean':
      return number % 2 === 0;
    case 'DateTime':
      return new Date(number * 1_000);
    case 'ID':
      return number % 2 === 0 ? `id-${number}` : number;
    case 'JSON':
      return [{ nested: { number, list: [1, null, 'three'] } }, 'text', number, true, []][number % 5];
    default:
      return `text "${number}"`;
  }
}
