import type { Connection } from '../src/connections/connection.ts';
import { viewer } from './context.ts';
import type { AccountResolvers } from './types.generated.ts';

/** The one to show for an integration: the live one, else the last that was. `connections`: newest first. */
export function presentConnection(
  connections: readonly Connection[],
  integrationId: string,
): Connection | null {
  const own = connections.filter((connection) => connection.integrationId === integrationId);
  return own.find((connection) => connection.status !== 'DISCONNECTED') ?? own[0] ?? null;
}

export function filtered(
  connections: readonly Connection[],
  { integrationId, status }: { integrationId?: string | null; status?: readonly string[] | null },
): Connection[] {
  return connections.filter(
    (connection) =>
      (integrationId == null || connection.integrationId === integrationId) &&
      (status == null || status.includes(connection.status)),
  );
}

export const Account: AccountResolvers = {
  __resolveReference: ({ id }) => Promise.resolve({ id }),
  async connections({ id }, args, context) {
    return id === viewer(context).accountId ? filtered(await context.loaders.connections(), args) : null;
  },
  async connection({ id }, { integrationId }, context) {
    if (id !== viewer(context).accountId) return null;
    return presentConnection(await context.loaders.connections(), integrationId);
  },
};
