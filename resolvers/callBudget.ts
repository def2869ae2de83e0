import { GraphQLError, type DocumentNode, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import type { Context } from './context.ts';
import { plannedCalls } from './providerCalls.ts';

/**
 * Refuses an operation that is certain to ask for more provider calls of a connection than its rate limits leave
 * within the interactive deadline: before the first of them, instead of failing when the budget is used up. One call
 * is never too many: it waits for its turn, or is answered from what is stored.
 */
export async function overBudget(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
  context: Context,
): Promise<GraphQLError | undefined> {
  const planned = await plannedCalls(schema, document, operation, variables, context);
  const several = [...planned].filter(([, calls]) => calls > 1);
  if (several.length === 0) return undefined;
  const { api, catalog, clock, interactiveDeadlineMs } = context.core;
  const over = await api.overBudget(several, interactiveDeadlineMs);
  if (!over) return undefined;
  const { connection, calls, budget, isEverPossible } = over;
  const name = catalog.find(connection.integrationId)!.provider.name;
  const asks = `This asks for ${calls} calls of ${name} over connection ${connection.id}`;
  const resetsAt = budget.resetsAtMs === undefined ? undefined : new Date(budget.resetsAtMs).toISOString();
  const retryAfterSeconds =
    budget.resetsAtMs === undefined
      ? undefined
      : Math.ceil(Math.max(0, budget.resetsAtMs - clock.now()) / 1_000);
  const window = `${budget.limit} in ${budget.windowMs / 1_000} s`;
  return new GraphQLError(
    isEverPossible
      ? `${asks}; its rate limit of ${window} leaves ${budget.remaining}, and all again at ${resetsAt}.`
      : `${asks}, more than its rate limit of ${window} ever allows.`,
    {
      extensions: {
        code: isEverPossible ? 'RATE_LIMITED' : 'OPERATION_TOO_COMPLEX',
        providerCalls: calls,
        remaining: budget.remaining,
        ...(resetsAt !== undefined && { resetsAt }),
        ...(isEverPossible && retryAfterSeconds !== undefined && { retryAfterSeconds }),
        http: { status: isEverPossible ? 429 : 400 },
      },
    },
  );
}

/** What the answer says of the provider calls that were made for it; undefined where none were asked for. */
export function callsReport({
  calls: { asked, made },
}: Context): { made: number; saved: number } | undefined {
  return asked === 0 ? undefined : { made, saved: Math.max(0, asked - made) };
}
