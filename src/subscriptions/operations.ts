import {
  createSourceEventStream,
  execute,
  getOperationAST,
  getVariableValues,
  GraphQLError,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { callsReport, overBudget } from '../../resolvers/callBudget.ts';
import { createContext, type Context, type Core } from '../../resolvers/context.ts';
import type { createFormatError } from '../../resolvers/formatError.ts';
import type { Published } from '../../resolvers/subscription.ts';
import { encodeCursor } from '../db/pages.ts';
import { sequenceOf } from '../events/events.ts';
import { coded } from '../guard/documents.ts';
import type { Guard } from '../guard/guard.ts';
import { hasExpired, type Identity } from '../identity.ts';
import { createGroups, startVariables } from './sharing.ts';

/** A request that may be executed: parsed, valid, with variables that fit. */
export interface Prepared {
  document: DocumentNode;
  operation: OperationDefinitionNode;
  operationName: string | undefined;
  variables: Record<string, unknown>;
  /** Equal for subscribers of one account and scopes that are answered alike. */
  sharedAs: unknown[];
}

/** Ready to be sent. Subscribers share it: it must not be changed. */
export interface Answer {
  data?: unknown;
  errors?: GraphQLFormattedError[];
  /** `providerCalls`, where any were asked for. */
  extensions?: Record<string, unknown>;
}

export interface Subscriber {
  identity: Identity;
  /** The last event that it has seen; it outweighs the operation's own `after`. */
  resumeAfter?: string | undefined;
  /** The stream ends; the subscriber should be told to come back with this cursor. */
  onTooSlow(cursor: string): void;
  /** The stream ends: nothing may be delivered any more. May be called several times. */
  onExpired(): void;
}

/** A subscription's answers, one at a time as they are asked for: nothing is kept for a subscriber that does not. */
export interface Answers extends AsyncIterableIterator<Answer, undefined> {
  return(): Promise<IteratorReturnResult<undefined>>;
  /** To be called once the last answer is on its way: it counts as seen. */
  handedOver(): void;
  /** Of the last answer, where it has one. */
  cursor(): string | undefined;
}

/** Every operation that does not come through Apollo Server, whatever the transport. */
export interface Operations {
  /** @param accountId whom it is charged to; undefined where that was done already */
  prepare(request: unknown, accountId: string | undefined): Prepared | readonly GraphQLError[];
  /** A query or a mutation. Never rejects. */
  execute(prepared: Prepared, identity: Identity): Promise<Answer>;
  /** Never rejects: `errors` where it does not start. */
  subscribe(
    prepared: Prepared,
    subscriber: Subscriber,
  ): Promise<Answers | { errors: GraphQLFormattedError[] }>;
  /** As errors leave over HTTP. */
  format(errors: readonly GraphQLError[]): GraphQLFormattedError[];
}

export function createOperations(deps: {
  schema: GraphQLSchema;
  core: Core;
  guard: Guard;
  formatError: ReturnType<typeof createFormatError>;
  production: boolean;
}): Operations {
  const { schema, core, guard, formatError } = deps;
  const { clock } = core;
  const join = createGroups<Answer>(clock);

  const format: Operations['format'] = (errors) =>
    errors.map((error) => {
      const code = error.extensions.code ?? 'INTERNAL_SERVER_ERROR';
      return formatError({ ...error.toJSON(), extensions: { ...error.extensions, code } }, error);
    });
  const answerOf = ({ data, errors }: ExecutionResult, context: Context): Answer => {
    const providerCalls = callsReport(context);
    return {
      ...(errors && { errors: format(errors) }),
      ...(data !== undefined && { data }),
      ...(providerCalls && { extensions: { providerCalls } }),
    };
  };
  /** Never rejects. */
  const run = async (
    { document, operationName, variables }: Prepared,
    contextValue: Context,
    rootValue?: Published,
  ): Promise<Answer> => {
    try {
      const args = { schema, document, operationName, rootValue, contextValue, variableValues: variables };
      return answerOf(await execute(args), contextValue);
    } catch (error) {
      return { errors: format([wrapped(error)]) };
    }
  };

  return {
    prepare(request, accountId) {
      const read = readRequest(request);
      if (read instanceof GraphQLError) return [read];
      const { query, operationName, variables } = read;
      const document = guard.document(query);
      if (!('kind' in document)) return document;
      const operation = getOperationAST(document, operationName);
      if (!operation)
        return [refusal('OPERATION_RESOLUTION_FAILURE', 'No operation of that name, or several.')];
      const fitting = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
      if (fitting.errors)
        return fitting.errors.map((error) => coded(error, 'BAD_USER_INPUT', deps.production));
      const refused = guard.refusal(document, operation, variables, accountId);
      if (refused) return [refused];
      const starts = startVariables(document, operation);
      // Of those that it declares: what else was sent means nothing, and may be of any size and depth.
      const others = (operation.variableDefinitions ?? []).flatMap(({ variable: { name } }) =>
        starts.has(name.value) ? [] : [[name.value, variables[name.value]]],
      );
      // The document's own text: each request brings a copy, which would be kept for as long as it is followed.
      const text = document.loc?.source.body ?? query;
      return { document, operation, operationName, variables, sharedAs: [text, operationName, others] };
    },

    async execute(prepared, identity) {
      const context = createContext(core, identity);
      const { document, operation, variables } = prepared;
      try {
        const refused = await overBudget(schema, document, operation, variables, context);
        if (refused) return { errors: format([refused]) };
      } catch (error) {
        return { errors: format([wrapped(error)]) };
      }
      return run(prepared, context);
    },

    async subscribe(prepared, { identity, resumeAfter, onTooSlow, onExpired }) {
      let ended = false;
      /** The event that the subscriber was given last, until it is on its way. */
      let pending: number | undefined;
      let cursor: string | undefined;
      const following: Context['following'] = {
        resumeAfter,
        onTooSlow(behind) {
          ended = true;
          onTooSlow(pending === undefined ? behind : encodeCursor(String(pending - 1)));
        },
      };
      const { document, operationName, variables } = prepared;
      const contextValue = { ...createContext(core, identity), following };
      const args = { schema, document, operationName, contextValue, variableValues: variables };
      const source = await Promise.resolve(createSourceEventStream(args)).catch((error: unknown) => ({
        errors: [wrapped(error)],
      }));
      if (!(Symbol.asyncIterator in source)) return { errors: format(source.errors ?? []) };
      const events = (source as AsyncIterable<Published, undefined>)[Symbol.asyncIterator]();
      const { accountId, scopes } = identity;
      const group = join(JSON.stringify([...prepared.sharedAs, accountId, [...scopes].toSorted()]));
      const isSyncEvents = rootField(prepared) === 'syncEvents';
      const over = { done: true, value: undefined } as const;
      const end = () => {
        ended = true;
        group.leave();
        void events.return?.();
        return over;
      };
      const mayGoOn = () => {
        if (ended) return false;
        if (!hasExpired(identity, clock)) return true;
        onExpired();
        return false;
      };
      // No generator: while one waits for its next value, it cannot be returned from.
      const answers: Answers = {
        async next() {
          if (!mayGoOn()) return end();
          const { done, value } = await events.next().catch((error: unknown) => {
            // Nobody returns from what has thrown.
            end();
            throw error;
          });
          if (done || !mayGoOn()) return end();
          const make = () => run(prepared, createContext(core, identity), value);
          let answer: Answer;
          if (value.kind === 'event') {
            pending = sequenceOf(value.event.cursor);
            if (isSyncEvents) ({ cursor } = value.event);
            answer = await group.answer(pending, make);
          } else answer = await make();
          return mayGoOn() ? { done: false, value: answer } : end();
        },
        return: () => Promise.resolve(end()),
        handedOver() {
          pending = undefined;
        },
        cursor: () => cursor,
        [Symbol.asyncIterator]: () => answers,
      };
      return answers;
    },

    format,
  };
}

export function refusal(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}

function rootField({ operation }: Prepared): string | undefined {
  const [field] = operation.selectionSet.selections;
  return field?.kind === 'Field' ? field.name.value : undefined;
}

function wrapped(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  const originalError = error instanceof Error ? error : new Error(String(error));
  return new GraphQLError(originalError.message, { originalError, path: [] });
}

interface Read {
  query: string;
  operationName: string | undefined;
  variables: Record<string, unknown>;
}

function readRequest(request: unknown): Read | GraphQLError {
  const { query, operationName, variables } = (request ?? {}) as Record<string, unknown>;
  if (typeof query !== 'string') return refusal('BAD_REQUEST', '`query` must be a string.');
  if (operationName != null && typeof operationName !== 'string')
    return refusal('BAD_REQUEST', '`operationName` must be a string.');
  if (variables != null && (typeof variables !== 'object' || Array.isArray(variables)))
    return refusal('BAD_REQUEST', '`variables` must be an object.');
  return {
    query,
    operationName: operationName ?? undefined,
    variables: (variables ?? {}) as Record<string, unknown>,
  };
}
