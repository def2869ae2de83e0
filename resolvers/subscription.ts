import { GraphQLError } from 'graphql';
import type { Connection } from '../src/connections/connection.ts';
import type { SyncEvent } from '../src/events/events.ts';
import { CursorError } from '../src/events/feed.ts';
import { viewer, type Context } from './context.ts';
import type { SubscriptionResolvers } from './types.generated.ts';

/** What a subscription's source yields, and what the fields of `Subscription` are executed with. */
export type Published =
  | { kind: 'event'; event: SyncEvent }
  /** The state that a `connectionChanged` begins with. */
  | { kind: 'present'; connection: Connection };

export const Subscription: SubscriptionResolvers = {
  syncEvents: {
    async subscribe(_, { connectionId, integrationId, resource, after }, context) {
      const id = connectionId?.toLowerCase();
      const isWanted = (event: SyncEvent) =>
        (id === undefined || event.connectionId === id) &&
        (integrationId == null || event.integrationId === integrationId) &&
        (resource == null || event.resource === resource);
      return published(await follow(context, after), isWanted);
    },
    resolve: (source: Source) => eventOf(source),
  },
  connectionChanged: {
    /** Listens before it reads: what changes in between comes twice rather than never. */
    async subscribe(_, { connectionId }, context) {
      const id = connectionId?.toLowerCase();
      const events = await follow(context, undefined);
      const present = await presentOf(context, id).catch(async (error: unknown) => {
        await events.return!();
        throw error;
      });
      const isWanted = (event: SyncEvent) =>
        event.kind === 'CONNECTION_CHANGED' && (id === undefined || event.connectionId === id);
      return published(
        events,
        isWanted,
        present.map((connection) => ({ kind: 'present', connection })),
      );
    },
    async resolve(source: Source, _: unknown, { loaders }: Context) {
      if (source?.kind === 'present') return source.connection;
      return (await loaders.connection.load(eventOf(source).connectionId))!;
    },
  },
};

/** Undefined where a subscription is executed as if it were a query. */
type Source = Published | undefined;

async function presentOf({ loaders }: Context, id: string | undefined): Promise<Connection[]> {
  if (id === undefined)
    return (await loaders.connections()).filter(({ status }) => status !== 'DISCONNECTED');
  const asked = await loaders.connection.load(id);
  return asked ? [asked] : [];
}

async function follow(context: Context, after: string | null | undefined) {
  const { accountId } = viewer(context);
  if (!context.following) throw notHere();
  const { resumeAfter, onTooSlow } = context.following;
  try {
    return await context.core.feed.follow(accountId, {
      after: resumeAfter ?? after ?? undefined,
      onTooSlow,
    });
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    throw new GraphQLError(error.message, { extensions: { code: error.code } });
  }
}

/** No generator: while one waits for its next value, it cannot be returned from. */
function published(
  events: AsyncIterableIterator<SyncEvent, undefined>,
  isWanted: (event: SyncEvent) => boolean,
  first: Published[] = [],
): AsyncIterableIterator<Published, undefined> {
  const iterator: AsyncIterableIterator<Published, undefined> = {
    async next() {
      const present = first.shift();
      if (present) return { done: false, value: present };
      for (;;) {
        const { done, value } = await events.next();
        if (done) return { done, value };
        if (isWanted(value)) return { done: false, value: { kind: 'event', event: value } };
      }
    },
    async return() {
      first.length = 0;
      await events.return!();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

function eventOf(source: Source): SyncEvent {
  if (source?.kind === 'event') return source.event;
  throw notHere();
}

const notHere = () =>
  new GraphQLError(
    'One answer holds no subscription: use WebSocket at /graphql, server-sent events at /graphql/stream, or the callback protocol.',
    { extensions: { code: 'SUBSCRIPTIONS_NOT_SUPPORTED' } },
  );
