import {
  execute,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import type { Clock } from '../clock.ts';
import { createCompiledQueries, usualCompiling, type CompilingSettings } from './compiledQueries.ts';

/** One operation of a document that is valid for the schema. */
export interface Execution<Context> {
  document: DocumentNode;
  /** Undefined where `operationName` leaves open which: the answer says so. */
  operation: OperationDefinitionNode | undefined;
  operationName: string | undefined;
  /** As they were sent. */
  variables: Readonly<Record<string, unknown>>;
  contextValue: Context;
  rootValue?: unknown;
}

/** Answers as graphql-js does. What the variables do not fit is `errors` without `data`. */
export type Execute<Context> = (execution: Execution<Context>) => Promise<ExecutionResult> | ExecutionResult;

/**
 * Queries that are asked often run as compiled code, everything else by graphql-js. Compiled code is right wherever
 * nothing fails, but words and places of errors are graphql-js's: a query with any is executed again by it, over the
 * same context. So queries must read through what their context remembers, and nothing may be asked for twice
 * (docs/decisions/0018-compiled-queries.md).
 * @param again called before that, with the context
 */
export function createExecute<Context>(
  schema: GraphQLSchema,
  again: (contextValue: Context) => void,
  clock: Clock,
  compiling: CompilingSettings = usualCompiling,
): Execute<Context> {
  const compiled = createCompiledQueries(schema, clock, compiling);
  const interpret: Execute<Context> = ({ document, operationName, variables, contextValue, rootValue }) =>
    execute({ schema, document, operationName, rootValue, contextValue, variableValues: variables });
  return (execution) => {
    const { document, operation, contextValue, rootValue, variables } = execution;
    const run = operation && compiled.find(document, operation);
    if (!run) return interpret(execution);
    const startAgain = () => {
      again(contextValue);
      return interpret(execution);
    };
    const settle = (result: ExecutionResult) => (result.errors ? startAgain() : result);
    try {
      const result = run(rootValue, contextValue, variables);
      return result instanceof Promise ? result.then(settle, startAgain) : settle(result);
    } catch {
      return startAgain();
    }
  };
}
