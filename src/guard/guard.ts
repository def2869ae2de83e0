import {
  getOperationAST,
  Kind,
  valueFromASTUntyped,
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type TypeNode,
  type ValueNode,
} from 'graphql';
import { createCostOf, lengthOf } from './cost.ts';
import { createDocuments, UnexecutableError, type Documents } from './documents.ts';
import { over, tooComplex, usualLimits, type Limits } from './limits.ts';
import { fragmentsOf, type Fragments } from './measure.ts';
import { rateLimited, type Spending } from './spending.ts';

/**
 * What every operation has to pass before any resolver runs, whatever the transport. What its text can say is found
 * once for all who send it; only what variables make larger is looked at again.
 */
export interface Guard {
  /**
   * As `Documents`. Texts that are wrong have to be read each time: they are charged to the account by their length, to a bound, and
   * one that has spent all is refused before.
   */
  document(query: string, accountId?: string): ReturnType<Documents>;
  /**
   * What is wrong with the operation as its variables have it. What is right is charged to the account.
   * @param document one that `document` gave
   * @param accountId undefined where nobody is to be charged
   */
  refusal(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Readonly<Record<string, unknown>>,
    accountId: string | undefined,
  ): GraphQLError | undefined;
  /**
   * As `refusal`, but only what passes a limit or cannot be given to an executor: a request that is wrong in another way
   * is left to who executes it. For HTTP, where the request is read, parsed and validated by Apollo Server.
   */
  overLimit(request: unknown, accountId?: string): GraphQLError | undefined;
}

/** Of an answer over HTTP that says no more than this. */
export function statusOf({ extensions }: { extensions?: Record<string, unknown> }): number {
  return extensions?.code === rateLimited ? 429 : 400;
}

/** In points. */
const hardlyRead = 1_000;

/** What one operation of a document can come to. */
interface Known {
  fragments: Fragments;
  /** With the largest pages, and as many representations as there may be. */
  mostCost: number;
  /** Whether variables can make it cost less. */
  varies: boolean;
  representations: readonly ValueNode[];
  /** Of its variables. */
  defaults: Readonly<Record<string, unknown>>;
}

export function createGuard(
  schema: GraphQLSchema,
  {
    hidesSchema,
    limits = usualLimits,
    spending,
  }: {
    hidesSchema: boolean;
    limits?: Limits;
    /** Absent: nobody is charged. */
    spending?: Spending;
  },
): Guard {
  const documents = createDocuments(schema, hidesSchema, limits);
  const document: Guard['document'] = (query, accountId) => {
    const owing = accountId === undefined ? undefined : spending?.owing(accountId);
    if (owing) return [owing];
    const found = documents(query);
    if (accountId !== undefined && !('kind' in found)) {
      // What passes a limit is hardly read.
      const isRead = found.every(({ extensions }) => extensions.code !== tooComplex);
      spending?.charge(accountId, Math.min(query.length, isRead ? limits.cost : hardlyRead));
    }
    return found;
  };
  const costOf = createCostOf(schema, limits.representations);
  const operations = new WeakMap<OperationDefinitionNode, Known>();

  const knownOf = (of: DocumentNode, operation: OperationDefinitionNode): Known => {
    let known = operations.get(operation);
    if (!known) {
      const fragments = fragmentsOf(of);
      known = {
        fragments,
        mostCost: costOf(operation, fragments, undefined),
        varies: (operation.variableDefinitions ?? []).some(({ type }) => sizing.has(nameOf(type))),
        representations: representationsIn(operation, fragments),
        defaults: defaultsOf(operation),
      };
      operations.set(operation, known);
    }
    return known;
  };

  const refusal: Guard['refusal'] = (of, operation, variables, accountId) => {
    const { fragments, mostCost, varies, representations, defaults } = knownOf(of, operation);
    const given = varies || representations.length > 0 ? { ...defaults, ...variables } : variables;
    const count = representations.reduce((sum, value) => sum + (lengthOf(value, given) ?? 0), 0);
    if (count > limits.representations) return over(limits, 'representations', count);
    const cost = varies ? Math.ceil(costOf(operation, fragments, given)) : mostCost;
    if (cost > limits.cost) return over(limits, 'cost', cost);
    // What costs nothing by the schema was at least read.
    return accountId === undefined ? undefined : spending?.charge(accountId, Math.max(1, cost));
  };

  return {
    document,
    refusal,
    overLimit(request, accountId) {
      const { query, operationName, variables } = (request ?? {}) as Record<string, unknown>;
      if (typeof query !== 'string') return undefined;
      const found = document(query, accountId);
      if (!('kind' in found))
        return found.find(
          (error) =>
            error instanceof UnexecutableError ||
            error.extensions.code === tooComplex ||
            error.extensions.code === rateLimited,
        );
      const name = typeof operationName === 'string' ? operationName : undefined;
      const operation = getOperationAST(found, name);
      return operation
        ? refusal(found, operation, (variables ?? {}) as Record<string, unknown>, accountId)
        : undefined;
    },
  };
}

/** The types of arguments that say how much is asked for: sizes of pages, and references. */
const sizing = new Set(['Int', '_Any']);

function nameOf(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : nameOf(type.type);
}

function defaultsOf({ variableDefinitions = [] }: OperationDefinitionNode): Record<string, unknown> {
  return Object.fromEntries(
    variableDefinitions.flatMap(({ variable, defaultValue }) =>
      defaultValue ? [[variable.name.value, valueFromASTUntyped(defaultValue)]] : [],
    ),
  );
}

function representationsIn(operation: OperationDefinitionNode, fragments: Fragments): ValueNode[] {
  const found: ValueNode[] = [];
  const look = (set: SelectionSetNode) => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) look(selection.selectionSet);
      else if (selection.kind === Kind.FRAGMENT_SPREAD) {
        const fragment = fragments.get(selection.name.value);
        if (fragment) look(fragment.selectionSet);
      } else if (selection.name.value === '_entities') {
        const given = selection.arguments?.find(({ name }) => name.value === 'representations');
        if (given) found.push(given.value);
      }
    }
  };
  look(operation.selectionSet);
  return found;
}
