import type { Connection as ConnectionModel } from '../src/connections/connection.ts';
import { recordPosition } from '../src/sync/records.ts';
import { deliveryPosition } from '../src/webhooks/deliveries.ts';
import { filtered } from './account.ts';
import { badUserInput, requireScope, type Context } from './context.ts';
import { pageRequest } from './pages.ts';
import type { ConnectionResolvers, QueryResolvers } from './types.generated.ts';

export const connectionQueries: Pick<QueryResolvers, 'connection' | 'connections'> = {
  connections: async (_, args, { loaders }) => filtered(await loaders.connections(), args),
  connection: (_, { id }, { loaders }) => loaders.connection.load(id),
};

export const Connection: ConnectionResolvers = {
  __resolveReference: ({ id }, { loaders }) => loaders.connection.load(id),
  account: ({ accountId }) => ({ id: accountId }),
  integration: ({ integrationId }) => ({ id: integrationId }),
  /** What is stored, or a pause that the provider asked for: that one passes by itself and is stored nowhere. */
  async problem(connection, _, { loaders, core }) {
    if (connection.problem || connection.status !== 'ACTIVE') return connection.problem;
    const budget = await loaders.rateLimit.load(connection);
    return core.api.pauseProblem(connection, budget);
  },
  async syncStatuses(connection, { resource }, { loaders }) {
    const statuses = await loaders.syncStatuses.load(connection);
    return resource == null ? statuses : statuses.filter((status) => status.resource === resource);
  },
  async rateLimit(connection, _, { loaders }) {
    const budget = await loaders.rateLimit.load(connection);
    if (!budget) return null;
    return {
      limit: budget.limit,
      windowSeconds: budget.windowMs / 1_000,
      remaining: budget.remaining,
      resetsAt: dateOrNull(budget.resetsAtMs),
      pausedUntil: dateOrNull(budget.pausedUntilMs),
      queued: budget.queued,
      estimatedWaitMs: Math.ceil(budget.estimatedWaitMs),
    };
  },
  profile: (connection, _, { loaders }) => loaders.profile(connection),

  async record(connection, { resource, externalId, maxAgeSeconds, maxWaitMs }, { loaders, core }) {
    const { records } = checkedResource(connection, resource, core);
    if (maxAgeSeconds != null && maxAgeSeconds < 0)
      throw badUserInput('maxAgeSeconds: must not be negative.');
    if (maxWaitMs != null && maxWaitMs < 0) throw badUserInput('maxWaitMs: must not be negative.');
    if (!records.idPattern.test(externalId))
      throw badUserInput('externalId: is not an id of this integration.');
    const key = { connectionId: connection.id, resource, externalId };
    const snapshot = await loaders.record({ connection, resource, externalId }, { maxAgeSeconds, maxWaitMs });
    return snapshot && { ...key, snapshot };
  },
  async records(connection, { resource, updatedAfter, ...page }, { loaders, core }) {
    checkedResource(connection, resource, core);
    const wanted = { resource, updatedAfter: updatedAfter ?? null };
    const { nodes, pageInfo } = await loaders
      .records(wanted, pageRequest(page, recordPosition))
      .load(connection);
    const of = { connectionId: connection.id, resource };
    return {
      nodes: nodes.map((one) => ({ ...of, externalId: one.externalId, snapshot: { ...one, stale: false } })),
      pageInfo,
    };
  },
  events: (connection, args, { loaders }) => loaders.events(pageRequest(args, /^\d{1,18}$/)).load(connection),

  webhookUrl({ id, integrationId }, _, context) {
    requireScope(context, 'integrations:admin');
    const { catalog, publicUrl } = context.core;
    const webhook = catalog.find(integrationId)?.provider.webhook;
    if (!webhook) return null;
    const address = `${publicUrl()}/webhooks/${integrationId}`;
    return webhook.secretOf === 'connection' ? `${address}/${id}` : address;
  },
  deliveries(connection, { status, ...page }, context) {
    requireScope(context, 'integrations:admin');
    return context.loaders.deliveries(status ?? null, pageRequest(page, deliveryPosition)).load(connection);
  },
};

function checkedResource({ integrationId }: ConnectionModel, resource: string, core: Context['core']) {
  const provider = core.catalog.find(integrationId)?.provider;
  if (provider?.resources.includes(resource)) return provider;
  throw badUserInput(
    `resource: ${provider?.name ?? integrationId} has ${provider?.resources.join(', ') ?? 'none'}.`,
  );
}

const dateOrNull = (ms: number | undefined | null) => (ms == null ? null : new Date(ms));
