import { GraphQLError } from 'graphql';
import type { Connection } from '../src/connections/connection.ts';
import type { SyncEvent } from '../src/events/events.ts';
import { CursorError } from '../src/events/feed.ts';
import { viewer, type Context } from './context.ts';
import type { SubscriptionResolvers } from './types.generated.ts';

/** What a subscription's source yields, and what the fields of `Subscription` are executed with. */
export type Published = SyncEvent | Present;

/** The state that a `connectionChanged` begins with. */
interface Present {
  present: Connection;
}

export const Subscription: SubscriptionResolvers = {
  syncEvents: {
    subscribe(_, { connectionId, integrationId, resource, after }, context) {
      const id = connectionId?.toLowerCase();
      const isWanted = (event: SyncEvent) =>
        (id === undefined || event.connectionId === id) &&
        (integrationId == null || event.integrationId === integrationId) &&
        (resource == null || event.resource === resource);
      return follow(context, after, isWanted);
    },
    resolve: (source: Source) => eventOf(source),
  },
  connectionChanged: {
    /** Listens before it reads: what changes in between comes twice rather than never. */
    async subscribe(_, { connectionId }, context) {
      const id = connectionId?.toLowerCase();
      const isWanted = (event: SyncEvent) =>
        event.kind === 'CONNECTION_CHANGED' && (id === undefined || event.connectionId === id);
      const events = await follow(context, undefined, isWanted);
      const present = await presentOf(context, id).catch(async (error: unknown) => {
        await events.return!();
        throw error;
      });
      return withPresent(present, events);
    },
    async resolve(source: Source, _: unknown, { loaders }: Context) {
      if (source && 'present' in source) return source.present;
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

async function follow(
  context: Context,
  after: string | null | undefined,
  isWanted: (event: SyncEvent) => boolean,
) {
  const { accountId } = viewer(context);
  if (!context.following) throw notHere();
  const { resumeAfter, onTooSlow } = context.following;
  try {
    return await context.core.feed.follow(accountId, {
      after: resumeAfter ?? after ?? undefined,
      isWanted,
      onTooSlow,
    });
  } catch (error) {
    if (!(error instanceof CursorError)) throw error;
    throw new GraphQLError(error.message, { extensions: { code: error.code } });
  }
}

/** No generator: while one waits for its next value, it cannot be returned from. */
function withPresent(
  present: Connection[],
  events: AsyncIterableIterator<SyncEvent, undefined>,
): AsyncIterableIterator<Published, undefined> {
  const iterator: AsyncIterableIterator<Published, undefined> = {
    next() {
      const first = present.shift();
      return first ? Promise.resolve({ done: false, value: { present: first } }) : events.next();
    },
    return() {
      present.length = 0;
      return events.return!();
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

function eventOf(source: Source): SyncEvent {
  if (source && 'cursor' in source) return source;
  throw notHere();
}

const notHere = () =>
  new GraphQLError(
    'One answer holds no subscription: use WebSocket at /graphql, server-sent events at /graphql/stream, or the callback protocol.',
    { extensions: { code: 'SUBSCRIPTIONS_NOT_SUPPORTED' } },
  );
