import {
  createSourceEventStream,
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
import type { Execute } from '../execution/executor.ts';
import type { Guard } from '../guard/guard.ts';
import { whyOver, type Identity, type Over } from '../identity.ts';
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

/** Ready to be sent. */
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
  onOver(why: Over): void;
}

/** A subscription that has begun. Its answers are made one at a time: nothing is kept for a subscriber that is slow. */
export interface Answers {
  /** Hands them out until the end. To be called once; rejects where what happens cannot be read. */
  deliver(take: Take): Promise<void>;
  /** To be called once the last answer is on its way: it counts as seen. */
  handedOver(): void;
  /** Any number of times, before `deliver` too. */
  stop(): void;
}

/**
 * @param answer an `Answer` as JSON, made once for all who are given the same
 * @param cursor of the answer, where it has one
 * @returns where another cannot be taken at once, when it can; must not reject
 */
export type Take = (answer: string, cursor: string | undefined) => Promise<unknown> | undefined;

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
  /** As errors leave over HTTP; what is no `GraphQLError` is a defect of ours. */
  format(errors: readonly unknown[]): GraphQLFormattedError[];
}

export function createOperations(deps: {
  schema: GraphQLSchema;
  core: Core;
  guard: Guard;
  execute: Execute<Context>;
  formatError: ReturnType<typeof createFormatError>;
  production: boolean;
}): Operations {
  const { schema, core, guard, execute, formatError } = deps;
  const { clock } = core;
  const join = createGroups<string>(clock);

  const format: Operations['format'] = (errors) =>
    errors.map(wrapped).map((error) => {
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
    { document, operation, operationName, variables }: Prepared,
    contextValue: Context,
    rootValue?: Published,
  ): Promise<Answer> => {
    try {
      const execution = { document, operation, operationName, variables, contextValue, rootValue };
      return answerOf(await execute(execution), contextValue);
    } catch (error) {
      return { errors: format([error]) };
    }
  };

  return {
    prepare(request, accountId) {
      const read = readRequest(request);
      if (read instanceof GraphQLError) return [read];
      const { query, operationName, variables } = read;
      const document = guard.document(query, accountId);
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
        return { errors: format([error]) };
      }
      return run(prepared, context);
    },

    async subscribe(prepared, { identity, resumeAfter, onTooSlow, onOver }) {
      let ended = false;
      /** Of the event that the subscriber was given last, until it is on its way. */
      let pending: string | undefined;
      const following: Context['following'] = {
        resumeAfter,
        onTooSlow(behind) {
          ended = true;
          onTooSlow(pending === undefined ? behind : encodeCursor(String(sequenceOf(pending) - 1)));
        },
      };
      const { document, operationName, variables } = prepared;
      const contextValue = { ...createContext(core, identity), following };
      const args = { schema, document, operationName, contextValue, variableValues: variables };
      const source = await Promise.resolve(createSourceEventStream(args)).catch((error: unknown) => ({
        errors: [error],
      }));
      if (!(Symbol.asyncIterator in source)) return { errors: format(source.errors ?? []) };
      const events = (source as AsyncIterable<Published, undefined>)[Symbol.asyncIterator]();
      const { accountId, scopes } = identity;
      const group = join(JSON.stringify([...prepared.sharedAs, accountId, [...scopes].toSorted()]));
      const isSyncEvents = rootField(prepared) === 'syncEvents';
      const stop = () => {
        ended = true;
        group.leave();
        void events.return?.();
      };
      const mayGoOn = () => {
        if (ended) return false;
        const why = whyOver(identity, clock);
        if (!why) return true;
        onOver(why);
        return false;
      };
      const make = async (value: Published) =>
        JSON.stringify(await run(prepared, createContext(core, identity), value));
      return {
        async deliver(take) {
          try {
            for (;;) {
              const { done, value } = await events.next();
              if (done || !mayGoOn()) return;
              const event = 'cursor' in value ? value : undefined;
              pending = event?.cursor;
              const answer = await (event ? group.answer(event.id, () => make(event)) : make(value));
              if (!mayGoOn()) return;
              const ready = take(answer, isSyncEvents ? event?.cursor : undefined);
              if (ready) await ready;
            }
          } finally {
            stop();
          }
        },
        handedOver() {
          pending = undefined;
        },
        stop,
      };
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
