import type { SyncStatusResolvers } from './types.generated.ts';

export const SyncStatus: SyncStatusResolvers = {
  async __resolveReference({ id }, { loaders }) {
    const slash = id.indexOf('/');
    const connection = await loaders.connection.load(id.slice(0, Math.max(slash, 0)));
    if (!connection) return null;
    const statuses = await loaders.syncStatuses.load(connection);
    return statuses.find((status) => status.resource === id.slice(slash + 1)) ?? null;
  },
  id: ({ connectionId, resource }) => `${connectionId}/${resource}`,
  connection: async ({ connectionId }, _, { loaders }) => (await loaders.connection.load(connectionId))!,
};
