import { GraphQLError } from 'graphql';
import type { Kysely } from 'kysely';
import type { Caller } from '../src/calls/caller.ts';
import type { Clock } from '../src/clock.ts';
import type { ConnectionApi } from '../src/connections/api.ts';
import type { Connections } from '../src/connections/connections.ts';
import type { Tables } from '../src/db/tables.ts';
import type { EventFeed } from '../src/events/feed.ts';
import type { Identity } from '../src/identity.ts';
import type { Catalog } from '../src/providers/catalog.ts';
import type { RequestSync } from '../src/sync/request.ts';
import type { RecordStore } from '../src/sync/records.ts';
import { createLoaders, type Loaders, type ProviderCalls } from './loaders.ts';

/** What the resolvers work with; constructed once by `main`. */
export interface Core {
  /** What an account's queries go through: they see nothing of another's. */
  forAccount: (accountId: string) => Kysely<Tables>;
  catalog: Catalog;
  connections: Connections;
  api: ConnectionApi;
  records: RecordStore;
  requestSync: RequestSync;
  feed: EventFeed;
  /** Where this installation is seen from outside. */
  publicUrl(): string;
  caller: Caller;
  clock: Clock;
  /** How long all attempts of a provider call made for a field may take together. */
  interactiveDeadlineMs: number;
  /** How old a stored record may be where a query does not say; 0 asks the provider. */
  recordMaxAgeSeconds: number;
}

/** What a transport tells a subscription that it starts. */
export interface Following {
  /** The last event that the subscriber has seen; it outweighs the argument `after`. */
  resumeAfter: string | undefined;
  /** The subscriber takes too long: it should be told to come back with this cursor. The subscription ends. */
  onTooSlow(cursor: string): void;
}

/** One request, or one event of a subscription. */
export interface Context {
  core: Core;
  identity: Identity | undefined;
  /** Fresh for each request, and again after each mutation, so that nothing read before a change is served after. */
  loaders: Loaders;
  /** What its fields asked of providers so far. */
  calls: ProviderCalls;
  /** Only while a subscription is started. */
  following?: Following;
}

export type Scope = 'integrations:write' | 'integrations:admin';

export function createContext(core: Core, identity: Identity | undefined): Context {
  const context = { core, identity, calls: { asked: 0, made: 0 } } as Context;
  renewLoaders(context);
  return context;
}

export function renewLoaders(context: Context): void {
  const { core, identity, calls } = context;
  if (identity) context.loaders = createLoaders(core, identity.accountId, calls);
}

/** Before its fields ask anew: its loaders have the answers, and what they ask for counts once. */
export function forgetAsked({ calls }: Context): void {
  calls.asked = 0;
}

/** Who asks. Root fields are guarded before they run, so this throws only if a guard is missing. */
export function viewer(context: Context): Identity {
  if (context.identity) return context.identity;
  throw new GraphQLError('This needs an identity: send Authorization: Bearer <token>.', {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
  });
}

export function requireScope(context: Context, scope: Scope): void {
  if (!viewer(context).scopes.has(scope))
    throw new GraphQLError(`This needs the scope ${scope}.`, { extensions: { code: 'FORBIDDEN' } });
}

export function badUserInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}
