import { problem } from '../src/errors.ts';
import { isUuid } from '../src/connections/connection.ts';
import { redriveDeliveries } from '../src/webhooks/deliveries.ts';
import { badUserInput, renewLoaders, requireScope, viewer, type Context } from './context.ts';
import type { MutationResolvers } from './types.generated.ts';

/** Loaders are renewed after each change: root fields of one mutation run in order, and must see what came before. */
async function changing<T>(context: Context, change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } finally {
    renewLoaders(context);
  }
}

const notFound = (context: Context, message: string) =>
  problem('NOT_FOUND', message, new Date(context.core.clock.now()));

export const Mutation: MutationResolvers = {
  connect(_, { input }, context) {
    const { accountId, userId } = viewer(context);
    const { integrationId, returnTo, scopes, credentials } = input;
    return changing(context, () =>
      context.core.connections.connect({
        accountId,
        userId,
        integrationId,
        returnTo,
        scopes,
        credentials,
      }),
    );
  },
  completeConnect: (_, { input }, context) =>
    changing(context, () => context.core.connections.completeConnect(viewer(context), input.completionCode)),
  refresh: (_, { input }, context) =>
    changing(context, () => context.core.connections.refresh(viewer(context), input.connectionId)),
  disconnect: (_, { input }, context) =>
    changing(context, () => context.core.connections.disconnect(viewer(context), input.connectionId)),

  async syncConnection(_, { input: { connectionId, resource, full } }, context) {
    const connection = await context.loaders.connection.load(connectionId);
    if (!connection)
      return { syncStatuses: null, problem: notFound(context, 'You have no connection with this id.') };
    const { userId } = viewer(context);
    const cause = await changing(context, () =>
      context.core.requestSync(connection, { resource, full, userId }),
    );
    if (cause) return { syncStatuses: null, problem: cause };
    const statuses = await context.loaders.syncStatuses.load(connection);
    const provider = context.core.catalog.find(connection.integrationId)?.provider;
    const wanted = resource == null ? (provider?.listed ?? provider?.resources ?? []) : [resource];
    return { syncStatuses: statuses.filter((status) => wanted.includes(status.resource)), problem: null };
  },
  setWebhookSecret: (_, { input }, context) =>
    changing(context, () =>
      context.core.connections.setWebhookSecret(viewer(context).accountId, input.connectionId, input.secret),
    ),
  async redriveDeliveries(_, { input: { deliveryIds } }, context) {
    requireScope(context, 'integrations:admin');
    if (deliveryIds.length > 1_000) throw badUserInput('deliveryIds: at most 1,000 at one time.');
    const { core } = context;
    const { accountId } = viewer(context);
    const now = new Date(core.clock.now());
    const ids = [...new Set(deliveryIds.filter(isUuid).map((id) => id.toLowerCase()))];
    const deliveries = await redriveDeliveries(core.forAccount(accountId), accountId, ids, now);
    const missing = deliveryIds.find((id) => !deliveries.some((one) => one.id === id.toLowerCase()));
    return {
      deliveries,
      problem:
        missing === undefined
          ? null
          : notFound(context, `You have no delivery with the id ${missing.slice(0, 64)}.`),
    };
  },
};
