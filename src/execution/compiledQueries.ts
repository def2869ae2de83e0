import {
  parse,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { compileQuery, isCompiledQuery } from 'graphql-jit';
import type { Clock } from '../clock.ts';
import { isCompilable } from './compilable.ts';

type CompiledQuery = (
  rootValue: unknown,
  contextValue: unknown,
  variables: Readonly<Record<string, unknown>>,
) => Promise<ExecutionResult> | ExecutionResult;

export interface CompiledQueries {
  /** Undefined where graphql-js is to execute it. `document` is valid. */
  find(document: DocumentNode, operation: OperationDefinitionNode): CompiledQuery | undefined;
  size(): number;
}

export interface CompilingSettings {
  /** Compiling takes some milliseconds, which as many executions save: a text that is hardly used is not worth it. */
  atExecution: number;
  /** Between two compilations: texts are free, and whoever thinks up many must not take the time of all. */
  restMs: number;
}

export const usualCompiling: CompilingSettings = { atExecution: 10, restMs: 100 };

/** A large one takes some hundred kilobytes. */
const mostCompiled = 200;

/** Keeps those that were asked for last. */
export function createCompiledQueries(
  schema: GraphQLSchema,
  clock: Clock,
  { atExecution, restMs }: CompilingSettings = usualCompiling,
): CompiledQueries {
  /** Below zero for what cannot be compiled. */
  const executions = new WeakMap<OperationDefinitionNode, number>();
  const known = new Map<OperationDefinitionNode, CompiledQuery>();
  let restedAt = -Infinity;

  const compile = (document: DocumentNode, operation: OperationDefinitionNode) => {
    const text = document.loc?.source.body;
    if (text === undefined || !isCompilable(document, operation)) return undefined;
    // Its own copy: the compiler writes notes on the nodes.
    const made = compileQuery(schema, parse(text), operation.name?.value ?? '', {
      disablingCapturingStackErrors: true,
    });
    return isCompiledQuery(made) ? (made.query as CompiledQuery) : undefined;
  };

  /** It has to be asked for as often as a new one: otherwise one too many would be compiled each time. */
  const forget = (operation: OperationDefinitionNode) => {
    known.delete(operation);
    executions.delete(operation);
  };

  return {
    find(document, operation) {
      if (operation.operation !== 'query') return undefined;
      let compiled = known.get(operation);
      if (compiled) known.delete(operation);
      else {
        const count = (executions.get(operation) ?? 0) + 1;
        executions.set(operation, count);
        if (count < atExecution || clock.monotonic() < restedAt) return undefined;
        compiled = compile(document, operation);
        restedAt = clock.monotonic() + restMs;
        if (!compiled) {
          executions.set(operation, -Infinity);
          return undefined;
        }
      }
      known.set(operation, compiled);
      if (known.size > mostCompiled) forget(known.keys().next().value!);
      return compiled;
    },
    size: () => known.size,
  };
}
