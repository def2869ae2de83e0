import type { SyncEventResolvers } from './types.generated.ts';

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
