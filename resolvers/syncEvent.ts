import { GraphQLError } from 'graphql';
import type { SubscriptionResolvers, SyncEventResolvers } from './types.generated.ts';

export const SyncEvent: SyncEventResolvers = {
  connection: async ({ connectionId }, _, { loaders }) => (await loaders.connection.load(connectionId))!,
  async syncStatus({ connectionId, resource }, _, { loaders }) {
    const connection = resource === null ? null : await loaders.connection.load(connectionId);
    if (!connection) return null;
    return (
      (await loaders.syncStatuses.load(connection)).find((status) => status.resource === resource) ?? null
    );
  },
  record: ({ connectionId, resource, externalId }) =>
    resource === null || externalId === null ? null : { connectionId, resource, externalId },
};

const refuse = (): never => {
  throw new GraphQLError(
    'Subscriptions are not served by this version: poll `connection` or `Connection.events`.',
    {
      extensions: { code: 'SUBSCRIPTIONS_NOT_SUPPORTED' },
    },
  );
};

export const Subscription: SubscriptionResolvers = {
  connectionChanged: { subscribe: refuse, resolve: refuse },
  syncEvents: { subscribe: refuse, resolve: refuse },
};
