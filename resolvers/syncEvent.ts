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
  /** As we know it now; where nothing is stored any more, what the event itself says. */
  async record({ connectionId, resource, externalId, kind, occurredAt }, _, { loaders }) {
    if (resource === null || externalId === null) return null;
    const connection = await loaders.connection.load(connectionId);
    const stored = connection && (await loaders.storedRecord({ connection, resource, externalId }));
    const gone = { payload: null, updatedAt: null, fetchedAt: occurredAt, deleted: true };
    const known = stored ?? (kind === 'RECORD_DELETED' ? gone : undefined);
    return {
      ...{ connectionId, resource, externalId },
      ...(known && { snapshot: { ...known, stale: false } }),
    };
  },
};
