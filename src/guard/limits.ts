import { GraphQLError } from 'graphql';

/** What one operation may ask for, whatever the transport. Each is far above what a screen or a gateway needs. */
export interface Limits {
  characters: number;
  tokens: number;
  /** Brackets within brackets: what a parser, which calls itself, is given. */
  nesting: number;
  /** Fields within fields. The introspection query of graphql-js has 15. */
  depth: number;
  fields: number;
  /** The same field at the same place: comparing each with each is what validation spends most on. */
  repetitions: number;
  aliases: number;
  rootFields: number;
  directives: number;
  directivesInOnePlace: number;
  representations: number;
  /** As `@cost` and `@listSize` in schema.graphql have it. */
  cost: number;
}

export const usualLimits: Limits = {
  characters: 100_000,
  tokens: 4_000,
  nesting: 50,
  depth: 16,
  fields: 1_000,
  repetitions: 30,
  aliases: 50,
  rootFields: 50,
  directives: 50,
  directivesInOnePlace: 5,
  representations: 1_000,
  cost: 20_000,
};

const words: Record<keyof Limits, string> = {
  characters: 'characters',
  tokens: 'tokens',
  nesting: 'brackets within brackets',
  depth: 'fields within fields',
  fields: 'fields',
  repetitions: 'repetitions of one field',
  aliases: 'aliases',
  rootFields: 'root fields',
  directives: 'directives',
  directivesInOnePlace: 'directives in one place',
  representations: 'representations',
  cost: 'points of cost',
};

export const tooComplex = 'OPERATION_TOO_COMPLEX';

/** @param found as far as it was counted; null where counting stopped at the limit */
export function over(limits: Limits, name: keyof Limits, found: number | null): GraphQLError {
  const most = limits[name].toLocaleString('en-US');
  const has = found === null ? 'more' : found.toLocaleString('en-US');
  return new GraphQLError(`An operation may have ${most} ${words[name]}; this one has ${has}.`, {
    extensions: { code: tooComplex },
  });
}

export function endless(): GraphQLError {
  return new GraphQLError('A fragment contains itself: the operation has no end.', {
    extensions: { code: tooComplex },
  });
}
