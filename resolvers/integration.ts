import type { Core } from './context.ts';
import type { IntegrationResolvers, QueryResolvers } from './types.generated.ts';
import { presentConnection } from './account.ts';

/** Undefined for what was taken out of INTEGRATIONS_FILE while accounts were connected: their connections still name it. */
const findProvider = (core: Core, id: string) => core.catalog.find(id)?.provider;

export const integrationQueries: Pick<QueryResolvers, 'integration' | 'integrations'> = {
  integrations: (_, __, { core }) => core.catalog.list().map(({ provider }) => ({ id: provider.id })),
  integration: (_, { id }, { core }) => (core.catalog.find(id) ? { id } : null),
};

export const Integration: IntegrationResolvers = {
  __resolveReference: ({ id }, { core }) => Promise.resolve(core.catalog.find(id) ? { id } : null),
  name: ({ id }, _, { core }) => findProvider(core, id)?.name ?? id,
  auth: ({ id }, _, { core }) => findProvider(core, id)?.auth ?? 'OAUTH2',
  scopes: ({ id }, _, { core }) => [...(findProvider(core, id)?.oauth.scopes ?? [])],
  resources: ({ id }, _, { core }) => [...(findProvider(core, id)?.resources ?? [])],
  deliversWebhooks: ({ id }, _, { core }) => findProvider(core, id)?.webhook !== undefined,
  health: ({ id }, _, { core }) => core.caller.health(id),
  connection: async ({ id }, _, { loaders }) => presentConnection(await loaders.connections(), id),
};
