import {
  getOperationAST,
  Kind,
  valueFromASTUntyped,
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { createCostOf, lengthOf } from './cost.ts';
import { createDocuments, type Documents } from './documents.ts';
import { over, tooComplex, usualLimits, type Limits } from './limits.ts';
import { fragmentsOf, type Fragments } from './measure.ts';

/**
 * What every operation has to pass before any resolver runs, whatever the transport. What its text can say is found
 * once for all who send it; only what variables make larger is looked at again.
 */
export interface Guard {
  document: Documents;
  /** What is wrong with the operation as its variables have it. `document` is one that `document` gave. */
  refusal(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Readonly<Record<string, unknown>>,
  ): GraphQLError | undefined;
  /**
   * Only what passes a limit: a request that is wrong in another way is left to who executes it. For HTTP, where the
   * request is read, parsed and validated by Apollo Server.
   */
  overLimit(request: unknown): GraphQLError | undefined;
}

/** What one operation of a document can come to. */
interface Known {
  fragments: Fragments;
  /** With the largest pages, and as many representations as there may be. */
  mostCost: number;
  representations: readonly ValueNode[];
  /** Of its variables. */
  defaults: Readonly<Record<string, unknown>>;
}

export function createGuard(
  schema: GraphQLSchema,
  { hidesSchema, limits = usualLimits }: { hidesSchema: boolean; limits?: Limits },
): Guard {
  const document = createDocuments(schema, hidesSchema, limits);
  const costOf = createCostOf(schema, limits.representations);
  const operations = new WeakMap<OperationDefinitionNode, Known>();

  const knownOf = (of: DocumentNode, operation: OperationDefinitionNode): Known => {
    let known = operations.get(operation);
    if (!known) {
      const fragments = fragmentsOf(of);
      known = {
        fragments,
        mostCost: costOf(operation, fragments, undefined),
        representations: representationsIn(operation, fragments),
        defaults: defaultsOf(operation),
      };
      operations.set(operation, known);
    }
    return known;
  };

  const refusal: Guard['refusal'] = (of, operation, variables) => {
    const { fragments, mostCost, representations, defaults } = knownOf(of, operation);
    if (representations.length === 0 && mostCost <= limits.cost) return undefined;
    const given = { ...defaults, ...variables };
    const count = representations.reduce((sum, value) => sum + (lengthOf(value, given) ?? 0), 0);
    if (count > limits.representations) return over(limits, 'representations', count);
    if (mostCost <= limits.cost) return undefined;
    const cost = Math.ceil(costOf(operation, fragments, given));
    return cost > limits.cost ? over(limits, 'cost', cost) : undefined;
  };

  return {
    document,
    refusal,
    overLimit(request) {
      const { query, operationName, variables } = (request ?? {}) as Record<string, unknown>;
      if (typeof query !== 'string') return undefined;
      const found = document(query);
      if (!('kind' in found)) return found.find(({ extensions }) => extensions.code === tooComplex);
      const name = typeof operationName === 'string' ? operationName : undefined;
      const operation = getOperationAST(found, name);
      return operation ? refusal(found, operation, (variables ?? {}) as Record<string, unknown>) : undefined;
    },
  };
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
