import type { GraphQLResolveInfo, GraphQLScalarType, GraphQLScalarTypeConfig } from 'graphql';
import type { AccountModel, IntegrationModel, ConnectionModel, SyncStatusModel, ExternalRecordModel, SyncEventModel, WebhookDeliveryModel } from './models.ts';
import type { IntegrationProblem as IntegrationProblemModel } from '../src/errors.ts';
import type { Context } from './context.ts';
export type Maybe<T> = T | null;
export type InputMaybe<T> = Maybe<T>;
export type Omit<T, K extends keyof T> = Pick<T, Exclude<keyof T, K>>;
export type RequireFields<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** A moment in UTC, as an ISO 8601 string with milliseconds: `2026-01-31T09:30:00.000Z`. */
  DateTime: { input: Date; output: Date; }
  /** Any JSON value. Used where a provider decides the shape. */
  JSON: { input: unknown; output: unknown; }
  _FieldSet: { input: string; output: string; }
};

/** A tenant of the product. */
export type Account = {
  __typename?: 'Account';
  /** The account's connection to one integration. Null when there is none, or unless it is the viewer's own account. */
  connection?: Maybe<Connection>;
  /** The account's connections. Null unless it is the viewer's own account. */
  connections?: Maybe<Array<Connection>>;
  /** The same in every subgraph. */
  id: Scalars['ID']['output'];
};


/** A tenant of the product. */
export type AccountConnectionArgs = {
  integrationId: Scalars['ID']['input'];
};


/** A tenant of the product. */
export type AccountConnectionsArgs = {
  integrationId?: InputMaybe<Scalars['ID']['input']>;
  status?: InputMaybe<Array<ConnectionStatus>>;
};

/** What turns an authorization into a connection. */
export type CompleteConnectInput = {
  /** As it came to `returnTo`. Good once, for ten minutes. */
  completionCode: Scalars['String']['input'];
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** What became of `completeConnect`. */
export type CompleteConnectPayload = {
  __typename?: 'CompleteConnectPayload';
  /** `ACTIVE` unless there is a problem. Null when the code is not good. */
  connection?: Maybe<Connection>;
  /** Why it is not connected. Null when it is. */
  problem?: Maybe<IntegrationProblem>;
};

/** A login at the provider. Stored encrypted and never shown again. */
export type ConnectCredentialsInput = {
  /** The password at the provider. */
  password?: InputMaybe<Scalars['String']['input']>;
  /** The login name at the provider. */
  username?: InputMaybe<Scalars['String']['input']>;
  /** The secret that signs this connection's webhooks, when it is known already. See `setWebhookSecret`. */
  webhookSecret?: InputMaybe<Scalars['String']['input']>;
};

/** What to connect, and how. */
export type ConnectInput = {
  /** What the person typed in. Needed for `CREDENTIALS`, refused for `OAUTH2`. */
  credentials?: InputMaybe<ConnectCredentialsInput>;
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** One of `integrations`. */
  integrationId: Scalars['ID']['input'];
  /**
   * Where to send the browser when the person is done at the provider: an absolute URL of an origin that the server
   * allows. It gets the query parameters `connectionId` and `status=connected`, or `status=failed` and `code` (an
   * `IntegrationProblemCode`). When absent, a small page of ours says the same. For `OAUTH2` only. Where the server is set
   * to confirm, it is needed, and gets `status=confirm` and a `completionCode` for `completeConnect`.
   */
  returnTo?: InputMaybe<Scalars['String']['input']>;
  /** The permissions to ask for, in the provider's words. `Integration.scopes` when absent. For `OAUTH2` only. */
  scopes?: InputMaybe<Array<Scalars['String']['input']>>;
};

/** The answer to `connect`. */
export type ConnectPayload = {
  __typename?: 'ConnectPayload';
  /** Where to send the person's browser. Good for one person, once. Null for `CREDENTIALS` and when there is a problem. */
  authorizationUrl?: Maybe<Scalars['String']['output']>;
  /** `PENDING` for `OAUTH2`, `ACTIVE` for `CREDENTIALS`, the present one when refused. Null when there is none. */
  connection?: Maybe<Connection>;
  /** When `authorizationUrl` stops working. Null without one. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
};

/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type Connection = {
  __typename?: 'Connection';
  /** Whose it is. */
  account: Account;
  /** The last time, to the minute, that the provider's answer proved or disproved that it works. Null before the first. */
  checkedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When it was last authorized. Null until it was. */
  connectedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When `connect` was first called for it. */
  createdAt: Scalars['DateTime']['output'];
  /** The webhook requests received for this connection, newest first. Operators only. */
  deliveries: WebhookDeliveryPage;
  /** When it was ended. Null unless `DISCONNECTED`. */
  disconnectedAt?: Maybe<Scalars['DateTime']['output']>;
  /** What happened to the connection, oldest first, for as long as events are kept. Never asks the provider. */
  events: SyncEventPage;
  /**
   * Who we are connected to, by the provider's own id: the QuickBooks company (realm), Slack workspace (team) or
   * customer. Null until it was first authorized.
   */
  externalId?: Maybe<Scalars['ID']['output']>;
  /** Stays the same when the connection is authorized anew. */
  id: Scalars['ID']['output'];
  /** What it connects to. */
  integration: Integration;
  /** When the access token will be renewed next, without anybody doing anything. Null when nothing is planned. */
  nextRefreshAt?: Maybe<Scalars['DateTime']['output']>;
  /** What is wrong at the moment and who must act. Null when nothing is. An `ACTIVE` connection can have one. */
  problem?: Maybe<IntegrationProblem>;
  /**
   * Who we are connected to, asked from the provider now; what we last knew, marked `stale`, when it does not answer in
   * time. Null when we know nothing or it refuses us (see `errors`), and where the provider has no call for it.
   */
  profile?: Maybe<ExternalProfile>;
  /** What is left of the provider's rate limit: the tightest of those that apply. Null when there is no limit. */
  rateLimit?: Maybe<ProviderRateLimit>;
  /**
   * When the authorization itself runs out and a person must connect again, whatever we do: warn them in good time.
   * Null where the provider sets no such end or does not say.
   */
  reauthorizeBy?: Maybe<Scalars['DateTime']['output']>;
  /**
   * One record of the provider: our copy when it is fresh enough, else asked from the provider now, and our copy again,
   * marked `stale`, when it does not answer in time. Null when the provider has none with this id; also when it cannot be
   * asked while we have no copy, or when it refuses us (see `errors`).
   */
  record?: Maybe<ExternalRecord>;
  /** Our copies of the provider's records. Never asks the provider. */
  records: ExternalRecordPage;
  /** The permissions that the provider granted, in its words. Empty until it was first authorized. */
  scopes: Array<Scalars['String']['output']>;
  /** What was authorized. Only `ACTIVE` can call the provider. */
  status: ConnectionStatus;
  /** How fresh our copy of the provider's records is, one entry for each resource. */
  syncStatuses: Array<SyncStatus>;
  /**
   * When the present access token runs out. It is renewed well before, so this needs no attention. Null without a token
   * and where the provider's tokens do not expire.
   */
  tokenExpiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** When the access token was last renewed. Null until it first was. */
  tokenRefreshedAt?: Maybe<Scalars['DateTime']['output']>;
  /**
   * Where the provider is to send webhooks: an address of this connection's own where each customer registers it by hand
   * (MyCarrierPackets), else the one that serves every connection. Null where the provider sends none. Operators only.
   */
  webhookUrl?: Maybe<Scalars['String']['output']>;
};


/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type ConnectionDeliveriesArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: InputMaybe<Scalars['Int']['input']>;
  status?: InputMaybe<WebhookDeliveryStatus>;
};


/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type ConnectionEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: InputMaybe<Scalars['Int']['input']>;
};


/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type ConnectionRecordArgs = {
  externalId: Scalars['ID']['input'];
  maxAgeSeconds?: InputMaybe<Scalars['Int']['input']>;
  maxWaitMs?: InputMaybe<Scalars['Int']['input']>;
  resource: Scalars['String']['input'];
};


/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type ConnectionRecordsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: InputMaybe<Scalars['Int']['input']>;
  resource: Scalars['String']['input'];
  updatedAfter?: InputMaybe<Scalars['DateTime']['input']>;
};


/**
 * One account's link to one integration. `status` says what was authorized, and changes rarely; `problem` says whether
 * it works at the moment, and who must act when it does not.
 */
export type ConnectionSyncStatusesArgs = {
  resource?: InputMaybe<Scalars['String']['input']>;
};

/** What became of a connection: its history, read from its events. */
export type ConnectionChange =
  /** The person declined, the link ran out, or the provider refused: see `problem`. */
  | 'AUTHORIZATION_FAILED'
  /** Somebody asked for an authorization link. */
  | 'AUTHORIZATION_STARTED'
  /** It was authorized, for the first time or anew. */
  | 'CONNECTED'
  /** It was disconnected, and its tokens were erased. */
  | 'DISCONNECTED'
  /** The provider has ended the authorization: see `problem`. */
  | 'REAUTHORIZATION_REQUIRED'
  /** Its token could be renewed again. */
  | 'RECOVERED'
  /** Its token was renewed. */
  | 'REFRESHED'
  /** Its token could not be renewed for now: see `problem`. Tried again by itself; the connection stays `ACTIVE`. */
  | 'REFRESH_FAILED';

/** The life of a connection: what was authorized. Whether it works at the moment is `Connection.problem`. */
export type ConnectionStatus =
  /** Authorized. Tokens are renewed and changes followed without anybody doing anything. */
  | 'ACTIVE'
  /** Ended by `disconnect`. Tokens are erased; records are kept for a while (30 days unless set otherwise). */
  | 'DISCONNECTED'
  /**
   * The authorization ended without our doing: revoked, uninstalled or expired. A person must `connect` again. Records
   * are kept and readable, but no longer follow the provider.
   */
  | 'NEEDS_REAUTHORIZATION'
  /** `connect` was called; the person has not yet finished at the provider. Offer to continue or start over. */
  | 'PENDING';

/** Which connection to end. */
export type DisconnectInput = {
  /** `Connection.id`. */
  connectionId: Scalars['ID']['input'];
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to `disconnect`. */
export type DisconnectPayload = {
  __typename?: 'DisconnectPayload';
  /** The connection after it. Null when the viewer has none with this id. */
  connection?: Maybe<Connection>;
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
  /** What became of our access at the provider. Whatever it is, the tokens are erased and the connection has ended. */
  revocation: RevocationOutcome;
};

/** The company, workspace or customer at the provider that a connection belongs to. */
export type ExternalProfile = {
  __typename?: 'ExternalProfile';
  /** When we last read it from the provider. */
  fetchedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Its id at the provider. */
  id: Scalars['ID']['output'];
  /** Its name at the provider: shows the person which company they connected. Null when it has none. */
  name?: Maybe<Scalars['String']['output']>;
  /** True when the provider could not be asked, or not in time: this is what we last knew. */
  stale: Scalars['Boolean']['output'];
  /** Its page at the provider. Null when there is none. */
  url?: Maybe<Scalars['String']['output']>;
};

/**
 * One record of a provider as we know it. Other subgraphs may refer to it by its `id` alone; as many as are asked for
 * together are read from the provider together.
 */
export type ExternalRecord = {
  __typename?: 'ExternalRecord';
  /** The connection that it was read through. */
  connection: Connection;
  /** Whether the provider has deleted it. */
  deleted: Scalars['Boolean']['output'];
  /** The provider's own id of the record. */
  externalId: Scalars['ID']['output'];
  /** When we last read it from the provider. Null when we never did. */
  fetchedAt?: Maybe<Scalars['DateTime']['output']>;
  /** `connectionId/resource/externalId`, for example `0b1e7c5e-…/Invoice/145`: may be put together by hand. */
  id: Scalars['ID']['output'];
  /** The provider's object as it sent it, less what is masked. Null when the record is deleted or was never read. */
  payload?: Maybe<Scalars['JSON']['output']>;
  /** The kind of record, in the provider's words: `Invoice`. */
  resource: Scalars['String']['output'];
  /** True when the provider could not be asked, or not in time: this is what we last knew. */
  stale: Scalars['Boolean']['output'];
  /** When the provider last changed it, by the provider's clock. Null when it does not say. */
  updatedAt?: Maybe<Scalars['DateTime']['output']>;
};

/** One page of records. */
export type ExternalRecordPage = {
  __typename?: 'ExternalRecordPage';
  /** The records of this page. */
  nodes: Array<ExternalRecord>;
  /** Whether there are more, and where to go on. */
  pageInfo: PageInfo;
};

/** Another company's system that an account can connect to. */
export type Integration = {
  __typename?: 'Integration';
  /** How a person connects it: decides what the connect button does. */
  auth: IntegrationAuth;
  /** The viewer's connection to it. Null when there is none. */
  connection?: Maybe<Connection>;
  /** Whether the provider announces changes to us. Otherwise they are found by polling, some minutes later. */
  deliversWebhooks: Scalars['Boolean']['output'];
  /** Whether the provider answers us at present, whoever asks. Show an outage here once, not on every connection. */
  health: IntegrationHealth;
  /** A short fixed name, also part of URLs: `quickbooks`, `slack`, `mycarrierpackets`. */
  id: Scalars['ID']['output'];
  /** The name to show: `QuickBooks Online`. */
  name: Scalars['String']['output'];
  /** The kinds of record that can be read, in the provider's words: `Invoice`. Values for every `resource` argument. */
  resources: Array<Scalars['String']['output']>;
  /** The permissions asked for when `connect` names none, in the provider's words. */
  scopes: Array<Scalars['String']['output']>;
};

/** How a person proves to the provider that we may act for them. */
export type IntegrationAuth =
  /** With a username and password of the provider, typed into our product: `ConnectInput.credentials`. */
  | 'CREDENTIALS'
  /** In the browser, at the provider: redirect to `ConnectPayload.authorizationUrl`. */
  | 'OAUTH2';

/** Whether a provider answers us. */
export type IntegrationHealth =
  /** Some calls fail, or we are carefully trying again after an outage. Expect slow or stale answers. */
  | 'DEGRADED'
  /** Calls fail, so none are made for the moment. Stored records are still served. Nobody needs to reconnect. */
  | 'DOWN'
  /** Calls succeed. */
  | 'HEALTHY';

/**
 * What went wrong, who must act, and whether trying again can help. The same shape wherever something fails. Show
 * `message`; decide by `actor` and `retryable`; use `code` only where one case needs a screen of its own.
 */
export type IntegrationProblem = {
  __typename?: 'IntegrationProblem';
  /** Who must act. */
  actor: IntegrationProblemActor;
  /** What went wrong. */
  code: IntegrationProblemCode;
  /** What went wrong in a sentence of plain English that is safe to show to the person. */
  message: Scalars['String']['output'];
  /** When it happened. */
  occurredAt: Scalars['DateTime']['output'];
  /** The provider's own error code, for its documentation or support. Null when it gave none. */
  providerCode?: Maybe<Scalars['String']['output']>;
  /** The provider's id of the failed request: what its support asks for. Null when it gave none. */
  requestId?: Maybe<Scalars['String']['output']>;
  /** How many seconds to wait before trying again. Null when not known, or when trying again cannot help. */
  retryAfterSeconds?: Maybe<Scalars['Int']['output']>;
  /** Whether the same request can succeed later although nobody changes anything. */
  retryable: Scalars['Boolean']['output'];
};

/** Who must act to make a problem go away. */
export type IntegrationProblemActor =
  /** Somebody who administers the account at the provider: permissions or plan there. Say so; a button does not help. */
  | 'ACCOUNT_ADMIN'
  /** Nobody: it cures itself, or there is nothing to cure. */
  | 'NOBODY'
  /** We: our settings are wrong. Tell the person that we know. */
  | 'OPERATOR'
  /** The provider has an outage. Nothing to do but wait; we keep trying. */
  | 'PROVIDER'
  /** The person at the screen: mostly to authorize again. Offer the button. */
  | 'USER';

/** What went wrong. `actor` and `retryable` already say what to do about it. */
export type IntegrationProblemCode =
  /** Authorized anew, but with another company at the provider than before. Choose the same one, or disconnect first. */
  | 'ACCOUNT_MISMATCH'
  /** The account has an `ACTIVE` connection to this integration already. */
  | 'ALREADY_CONNECTED'
  /** The person declined at the provider, or the provider refused the credentials. No connection was made. */
  | 'AUTHORIZATION_DENIED'
  /** The person took too long at the provider, or came back twice. `connect` again. */
  | 'AUTHORIZATION_EXPIRED'
  /** The provider could not understand our request (HTTP 400). */
  | 'BAD_REQUEST'
  /** Not tried: the provider has failed so often just now that we leave it alone for a moment. */
  | 'CIRCUIT_OPEN'
  /** It contradicts what the provider has, for example a newer version or the same name (HTTP 409). */
  | 'CONFLICT'
  /** The time that we give to one request was over, with waiting and every attempt included. */
  | 'DEADLINE_EXCEEDED'
  /** The provider does not let the connected person do this: their role or plan is too small (HTTP 403). */
  | 'FORBIDDEN'
  /** An argument is missing or wrong: the message says which. */
  | 'INVALID_INPUT'
  /** The provider could not be reached. */
  | 'NETWORK_ERROR'
  /** Our settings have no client credentials for this integration: nobody can connect it before an operator adds them. */
  | 'NOT_CONFIGURED'
  /** There is no such connection, or it is not `ACTIVE`. */
  | 'NOT_CONNECTED'
  /** The provider has nothing with this id (HTTP 404), or we have not. */
  | 'NOT_FOUND'
  /** The provider failed (HTTP 5xx), or answered what cannot be read. */
  | 'PROVIDER_ERROR'
  /** Not tried: too many requests to this provider are waiting already. */
  | 'QUEUE_FULL'
  /** The provider wants fewer requests (HTTP 429). It is tried again by itself after `retryAfterSeconds`. */
  | 'RATE_LIMITED'
  /** The authorization has ended: a person must `connect` again. */
  | 'REAUTHORIZATION_REQUIRED'
  /** A permission is missing. The connection stays `ACTIVE`; what needs the permission fails until it is granted. */
  | 'SCOPES_INSUFFICIENT'
  /** The provider did not answer in time. */
  | 'TIMEOUT'
  /** The provider did not accept our token (HTTP 401). When it refuses a renewed one too: `REAUTHORIZATION_REQUIRED`. */
  | 'UNAUTHENTICATED'
  /** The provider refused the content (HTTP 422). */
  | 'VALIDATION_FAILED';

/** Everything that can be changed. */
export type Mutation = {
  __typename?: 'Mutation';
  /**
   * Where the server is set to confirm (`CONNECT_COMPLETION=confirm`): makes the connection `ACTIVE` that the person has
   * just agreed to at the provider, with the `completionCode` that their browser brought back to `returnTo`. Only the
   * account and the person who called `connect` can, once, and within ten minutes. Any other code is `NOT_FOUND`.
   */
  completeConnect: CompleteConnectPayload;
  /**
   * Starts to connect the viewer's account to an integration. For `OAUTH2`, send the person's browser to
   * `authorizationUrl`: the connection stays `PENDING` until they have agreed at the provider and their browser has been
   * sent back. For `CREDENTIALS`, the answer is an `ACTIVE` connection or a problem at once.
   *
   * On a connection that is `NEEDS_REAUTHORIZATION` this authorizes the same connection anew: its id and its records
   * stay, and the person must choose the same company at the provider, or it is refused with `ACCOUNT_MISMATCH`. On one
   * that is `ACTIVE` it is refused with `ALREADY_CONNECTED`.
   */
  connect: ConnectPayload;
  /**
   * Ends a connection: erases its tokens at once, stops syncing, and revokes our access at the provider (tried again in
   * the background until it is done). Doing it twice is fine.
   */
  disconnect: DisconnectPayload;
  /** Works on deliveries again that were given up (`DEAD`) or that failed. Operators only. */
  redriveDeliveries: RedriveDeliveriesPayload;
  /**
   * Renews the connection's access token now. It is renewed by itself well before it runs out; this is for a "check
   * again" button. Joins a renewal that is already under way.
   */
  refresh: RefreshPayload;
  /**
   * Sets the secret that signs the webhooks of one connection, for a provider where each customer registers
   * `Connection.webhookUrl` by hand (MyCarrierPackets). The previous secret stays accepted for 24 hours.
   */
  setWebhookSecret: SetWebhookSecretPayload;
  /** Asks the provider for changes now, ahead of the schedule. Follow the outcome in `syncEvents`. */
  syncConnection: SyncConnectionPayload;
};


/** Everything that can be changed. */
export type MutationCompleteConnectArgs = {
  input: CompleteConnectInput;
};


/** Everything that can be changed. */
export type MutationConnectArgs = {
  input: ConnectInput;
};


/** Everything that can be changed. */
export type MutationDisconnectArgs = {
  input: DisconnectInput;
};


/** Everything that can be changed. */
export type MutationRedriveDeliveriesArgs = {
  input: RedriveDeliveriesInput;
};


/** Everything that can be changed. */
export type MutationRefreshArgs = {
  input: RefreshInput;
};


/** Everything that can be changed. */
export type MutationSetWebhookSecretArgs = {
  input: SetWebhookSecretInput;
};


/** Everything that can be changed. */
export type MutationSyncConnectionArgs = {
  input: SyncConnectionInput;
};

/** Where a page stands among all pages, as Relay has it. Cursors are opaque: pass them back as they are. */
export type PageInfo = {
  __typename?: 'PageInfo';
  /** The place of the last node: `after` for the next page. Null on an empty page. */
  endCursor?: Maybe<Scalars['String']['output']>;
  /** Whether there is a page after this one. */
  hasNextPage: Scalars['Boolean']['output'];
  /** Whether there is a page before this one. */
  hasPreviousPage: Scalars['Boolean']['output'];
  /** The place of the first node. Null on an empty page. */
  startCursor?: Maybe<Scalars['String']['output']>;
};

/** What is left of a provider's rate limit for one connection. Others who share the limit use it up as well. */
export type ProviderRateLimit = {
  __typename?: 'ProviderRateLimit';
  /** How many milliseconds a request that is made now would wait for its turn, about. */
  estimatedWaitMs: Scalars['Int']['output'];
  /** How many requests the provider allows in each window. */
  limit: Scalars['Int']['output'];
  /** No request is made before this moment, because the provider asked for a pause. Null when it did not. */
  pausedUntil?: Maybe<Scalars['DateTime']['output']>;
  /** How many of our requests are waiting for their turn. */
  queued: Scalars['Int']['output'];
  /** How many requests may still be made now. */
  remaining: Scalars['Int']['output'];
  /** When all of `limit` can be used again. Null when nothing is used. */
  resetsAt?: Maybe<Scalars['DateTime']['output']>;
  /** The length of the window in seconds. */
  windowSeconds: Scalars['Int']['output'];
};

/** Everything that can be read. */
export type Query = {
  __typename?: 'Query';
  /** One of the viewer's connections. Null when the viewer has none with this id. */
  connection?: Maybe<Connection>;
  /** The viewer's connections. */
  connections: Array<Connection>;
  /** One integration. Null when there is none with this id. */
  integration?: Maybe<Integration>;
  /** Every integration that the product offers, whether connected or not: what a settings page lists. */
  integrations: Array<Integration>;
};


/** Everything that can be read. */
export type QueryConnectionArgs = {
  id: Scalars['ID']['input'];
};


/** Everything that can be read. */
export type QueryConnectionsArgs = {
  integrationId?: InputMaybe<Scalars['ID']['input']>;
  status?: InputMaybe<Array<ConnectionStatus>>;
};


/** Everything that can be read. */
export type QueryIntegrationArgs = {
  id: Scalars['ID']['input'];
};

/** Which deliveries to work on again. */
export type RedriveDeliveriesInput = {
  /** `WebhookDelivery.id` of each. */
  deliveryIds: Array<Scalars['ID']['input']>;
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to `redriveDeliveries`. */
export type RedriveDeliveriesPayload = {
  __typename?: 'RedriveDeliveriesPayload';
  /** The deliveries that will be worked on again. Null when there is a problem. */
  deliveries?: Maybe<Array<WebhookDelivery>>;
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
};

/** Which connection's token to renew. */
export type RefreshInput = {
  /** `Connection.id`. */
  connectionId: Scalars['ID']['input'];
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to `refresh`. */
export type RefreshPayload = {
  __typename?: 'RefreshPayload';
  /** The connection after it, whether the token was renewed or not. Null when the viewer has none with this id. */
  connection?: Maybe<Connection>;
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
};

/** What became of our access at the provider after `disconnect`. */
export type RevocationOutcome =
  /** The provider has no such call, or there was nothing to revoke. Our tokens are erased all the same. */
  | 'NOT_SUPPORTED'
  /** The provider could not be asked yet; it is tried again in the background until it is done. */
  | 'PENDING'
  /** The provider has confirmed that our access has ended. */
  | 'REVOKED';

/** The secret of one connection's webhooks. */
export type SetWebhookSecretInput = {
  /** `Connection.id`. */
  connectionId: Scalars['ID']['input'];
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** The secret as the provider shows it. Stored encrypted and never shown again. */
  secret: Scalars['String']['input'];
};

/** The answer to `setWebhookSecret`. */
export type SetWebhookSecretPayload = {
  __typename?: 'SetWebhookSecretPayload';
  /** The connection after it. Null when the viewer has none with this id. */
  connection?: Maybe<Connection>;
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
};

/** Everything that can be followed as it happens. */
export type Subscription = {
  __typename?: 'Subscription';
  /**
   * The present state of the viewer's live connections at once, and then each connection whenever it changes. Like every
   * subscription, over WebSocket (graphql-transport-ws) at `/graphql`, server-sent events at `/graphql/stream`, or Apollo
   * Router's callbacks. It ends when the viewer's token expires.
   */
  connectionChanged: Connection;
  /**
   * Everything that happens to the viewer's connections, each event once and in order. To miss nothing over a broken
   * line, subscribe again with `after`.
   */
  syncEvents: SyncEvent;
};


/** Everything that can be followed as it happens. */
export type SubscriptionConnectionChangedArgs = {
  connectionId?: InputMaybe<Scalars['ID']['input']>;
};


/** Everything that can be followed as it happens. */
export type SubscriptionSyncEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  connectionId?: InputMaybe<Scalars['ID']['input']>;
  integrationId?: InputMaybe<Scalars['ID']['input']>;
  resource?: InputMaybe<Scalars['String']['input']>;
};

/** What to sync now. */
export type SyncConnectionInput = {
  /** `Connection.id`. */
  connectionId: Scalars['ID']['input'];
  /** True reads every record again, which can take long. Otherwise only what has changed since the last sync. */
  full?: InputMaybe<Scalars['Boolean']['input']>;
  /** Text of your choice, new for each intention. Reserved: this version accepts it and does not use it. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** Only this resource, for example `Invoice`. Every resource when absent. */
  resource?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to `syncConnection`. */
export type SyncConnectionPayload = {
  __typename?: 'SyncConnectionPayload';
  /** Why it was not done and who must act. Null when it was. */
  problem?: Maybe<IntegrationProblem>;
  /** The syncs that were started, one for each resource. Null when there is a problem. */
  syncStatuses?: Maybe<Array<SyncStatus>>;
};

/** How changes at the provider reach us. */
export type SyncDeliveryMode =
  /** We ask regularly: within some minutes. */
  | 'POLL'
  /** The provider announces them: within seconds. Polling still runs as a safety net. */
  | 'WEBHOOK';

/** Something that happened to a connection or to its records. */
export type SyncEvent = {
  __typename?: 'SyncEvent';
  /** What became of the connection. Null unless `kind` is `CONNECTION_CHANGED`. */
  change?: Maybe<ConnectionChange>;
  /** The connection that it happened to, in its present state. */
  connection: Connection;
  /** The event's place in the account's history: `after` for `syncEvents` and `Connection.events`. */
  cursor: Scalars['String']['output'];
  /** Fixed for the event: the same event read twice has the same id. */
  id: Scalars['ID']['output'];
  /** What happened. */
  kind: SyncEventKind;
  /** When it happened, by our clock. */
  occurredAt: Scalars['DateTime']['output'];
  /** What went wrong and who must act. Null when nothing did. */
  problem?: Maybe<IntegrationProblem>;
  /** The record that changed, as we know it now. Null unless `kind` is one of `RECORD_…`. */
  record?: Maybe<ExternalRecord>;
  /** What made it happen. */
  source: SyncEventSource;
  /** The sync that it belongs to, in its present state. Null when the event is about the connection alone. */
  syncStatus?: Maybe<SyncStatus>;
  /** Who did it, by the `sub` of the person's token. Null where nobody did, and where a program without a name did. */
  userId?: Maybe<Scalars['ID']['output']>;
};

/** What happened. */
export type SyncEventKind =
  /** The connection's `status`, `problem` or token changed. */
  | 'CONNECTION_CHANGED'
  /** We have learned of a record that we did not have. */
  | 'RECORD_CREATED'
  /** A record was deleted at the provider. */
  | 'RECORD_DELETED'
  /** A record that we had has changed at the provider. */
  | 'RECORD_UPDATED'
  /**
   * A sync has ended: our copy has every change up to its beginning. Of a poll of its own accord only where it found one, or
   * ended a failure.
   */
  | 'SYNC_COMPLETED'
  /** A sync has failed that had not failed before: see `problem`. It is tried again by itself. */
  | 'SYNC_FAILED'
  /** A sync has come further: see `syncStatus.progress`. */
  | 'SYNC_PROGRESSED'
  /** A sync has begun that reads everything or that somebody asked for. A poll of its own accord begins unannounced. */
  | 'SYNC_STARTED';

/** One page of events. */
export type SyncEventPage = {
  __typename?: 'SyncEventPage';
  /** The events of this page. */
  nodes: Array<SyncEvent>;
  /** Whether there are more, and where to go on. */
  pageInfo: PageInfo;
};

/** What made an event happen. */
export type SyncEventSource =
  /** We read every record. */
  | 'BACKFILL'
  /** We asked the provider for changes. */
  | 'POLL'
  /** We ourselves, for example the renewal of a token. */
  | 'SYSTEM'
  /** A person or program of the account, through this API or at the provider's consent page. */
  | 'USER'
  /** The provider announced it. */
  | 'WEBHOOK';

/** How far a sync has come. */
export type SyncProgress = {
  __typename?: 'SyncProgress';
  /** How many records were read. */
  done: Scalars['Int']['output'];
  /** How many there are to read. Null when the provider does not say: show a count, not a bar. */
  total?: Maybe<Scalars['Int']['output']>;
};

/**
 * What a resource's sync is doing. When several hold, the first in this order is shown: `PAUSED`, `FAILING`,
 * `RATE_LIMITED`, `BACKFILLING`, `RUNNING`, `IDLE`. So what needs attention is never hidden by activity.
 */
export type SyncState =
  /** Reading every record: the first time, or because `syncConnection` asked with `full`. See `progress`. */
  | 'BACKFILLING'
  /** The last sync failed. It is tried again by itself; `problem` says why it failed and who must act. */
  | 'FAILING'
  /** Waiting for the next webhook or poll. All is well. */
  | 'IDLE'
  /** Not followed, because the connection is not `ACTIVE`. */
  | 'PAUSED'
  /** Waiting because the provider wants fewer requests. Goes on by itself: see `Connection.rateLimit`. */
  | 'RATE_LIMITED'
  /** Fetching changes. */
  | 'RUNNING';

/** How fresh our copy of one resource of one connection is. */
export type SyncStatus = {
  __typename?: 'SyncStatus';
  /** Whose records these are. */
  connection: Connection;
  /** How many syncs failed one after another. 0 after one succeeded. */
  consecutiveFailures: Scalars['Int']['output'];
  /** How changes reach us at the moment. */
  delivery: SyncDeliveryMode;
  /** Fixed for the connection and the resource. */
  id: Scalars['ID']['output'];
  /** How many seconds the last change took from the provider's clock to our copy. Null before the first change. */
  lagSeconds?: Maybe<Scalars['Int']['output']>;
  /** When the provider was last asked for changes with success. Null before the first time. */
  lastPolledAt?: Maybe<Scalars['DateTime']['output']>;
  /** The last time that our copy was known to have every change. Null before the first sync was complete. */
  lastSyncedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When a webhook last announced a change. Null when none ever did. */
  lastWebhookAt?: Maybe<Scalars['DateTime']['output']>;
  /** How many changes only polling found, not a webhook. Growing where `delivery` is `WEBHOOK`: some get lost. */
  missedByWebhook: Scalars['Int']['output'];
  /** When the provider will be asked for changes next. Null while nothing is planned. */
  nextPollAt?: Maybe<Scalars['DateTime']['output']>;
  /** Why the last sync failed and who must act. Null when it succeeded. */
  problem?: Maybe<IntegrationProblem>;
  /** How far a sync that is under way has come. Null when none is. */
  progress?: Maybe<SyncProgress>;
  /** How many records we have a copy of, deleted ones not counted. */
  recordCount: Scalars['Int']['output'];
  /** The kind of record, in the provider's words: `Invoice`. */
  resource: Scalars['String']['output'];
  /** What is happening now. */
  state: SyncState;
};

/**
 * One thing that a webhook request told this connection: a request that tells several things is several of them. Its body
 * and headers are never shown. Operators only.
 */
export type WebhookDelivery = {
  __typename?: 'WebhookDelivery';
  /** How many times it was worked on. */
  attempts: Scalars['Int']['output'];
  /** The connection that it is for. Null when no connection of ours is meant by it. */
  connection?: Maybe<Connection>;
  /** The provider's id of the event, or one made from its content: a second delivery with the same one is dropped. */
  eventId: Scalars['String']['output'];
  /** Our id of it: for `redriveDeliveries`. */
  id: Scalars['ID']['output'];
  /** Who sent it. */
  integration: Integration;
  /** Why the last attempt failed. Null when none did. */
  problem?: Maybe<IntegrationProblem>;
  /** When it was received and stored. */
  receivedAt: Scalars['DateTime']['output'];
  /** How far it was worked on. */
  status: WebhookDeliveryStatus;
};

/** One page of webhook deliveries. */
export type WebhookDeliveryPage = {
  __typename?: 'WebhookDeliveryPage';
  /** The deliveries of this page. */
  nodes: Array<WebhookDelivery>;
  /** Whether there are more, and where to go on. */
  pageInfo: PageInfo;
};

/** How far a webhook delivery was worked on. */
export type WebhookDeliveryStatus =
  /** Given up after too many attempts: an operator must look at `problem` and use `redriveDeliveries`. */
  | 'DEAD'
  /** The last attempt failed; it is tried again by itself. */
  | 'FAILED'
  /** Done: what it announced is in our records and events. */
  | 'PROCESSED'
  /** Stored and answered; waits to be worked on. */
  | 'RECEIVED';



export type ResolverTypeWrapper<T> = Promise<T> | T;

export type ReferenceResolver<TResult, TReference, TContext> = (
      reference: TReference,
      context: TContext,
      info: GraphQLResolveInfo
    ) => Promise<TResult> | TResult;

      type ScalarCheck<T, S> = S extends true ? T : NullableCheck<T, S>;
      type NullableCheck<T, S> = Maybe<T> extends T ? Maybe<ListCheck<NonNullable<T>, S>> : ListCheck<T, S>;
      type ListCheck<T, S> = T extends (infer U)[] ? NullableCheck<U, S>[] : GraphQLRecursivePick<T, S>;
      export type GraphQLRecursivePick<T, S> = { [K in keyof T & keyof S]: ScalarCheck<T[K], S[K]> };
    

export type ResolverWithResolve<TResult, TParent, TContext, TArgs> = {
  resolve: ResolverFn<TResult, TParent, TContext, TArgs>;
};
export type Resolver<TResult, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = ResolverFn<TResult, TParent, TContext, TArgs> | ResolverWithResolve<TResult, TParent, TContext, TArgs>;

export type ResolverFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => Promise<TResult> | TResult;

export type SubscriptionSubscribeFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => AsyncIterable<TResult> | Promise<AsyncIterable<TResult>>;

export type SubscriptionResolveFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

export interface SubscriptionSubscriberObject<TResult, TKey extends string, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<{ [key in TKey]: TResult }, TParent, TContext, TArgs>;
  resolve?: SubscriptionResolveFn<TResult, { [key in TKey]: TResult }, TContext, TArgs>;
}

export interface SubscriptionResolverObject<TResult, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<any, TParent, TContext, TArgs>;
  resolve: SubscriptionResolveFn<TResult, any, TContext, TArgs>;
}

export type SubscriptionObject<TResult, TKey extends string, TParent, TContext, TArgs> =
  | SubscriptionSubscriberObject<TResult, TKey, TParent, TContext, TArgs>
  | SubscriptionResolverObject<TResult, TParent, TContext, TArgs>;

export type SubscriptionResolver<TResult, TKey extends string, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> =
  | ((...args: any[]) => SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>)
  | SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>;

export type TypeResolveFn<TTypes, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (
  parent: TParent,
  context: TContext,
  info: GraphQLResolveInfo
) => Maybe<TTypes> | Promise<Maybe<TTypes>>;

export type IsTypeOfResolverFn<T = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (obj: T, context: TContext, info: GraphQLResolveInfo) => boolean | Promise<boolean>;

export type NextResolverFn<T> = () => Promise<T>;

export type DirectiveResolverFn<TResult = Record<PropertyKey, never>, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = (
  next: NextResolverFn<TResult>,
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

/** Mapping of federation types */
export type FederationTypes = {
  Account: Account;
  Connection: Connection;
  ExternalRecord: ExternalRecord;
  Integration: Integration;
  SyncStatus: SyncStatus;
};

/** Mapping of federation reference types */
export type FederationReferenceTypes = {
  Account:
    ( { __typename: 'Account' }
    & GraphQLRecursivePick<FederationTypes['Account'], {"id":true}> );
  Connection:
    ( { __typename: 'Connection' }
    & GraphQLRecursivePick<FederationTypes['Connection'], {"id":true}> );
  ExternalRecord:
    ( { __typename: 'ExternalRecord' }
    & GraphQLRecursivePick<FederationTypes['ExternalRecord'], {"id":true}> );
  Integration:
    ( { __typename: 'Integration' }
    & GraphQLRecursivePick<FederationTypes['Integration'], {"id":true}> );
  SyncStatus:
    ( { __typename: 'SyncStatus' }
    & GraphQLRecursivePick<FederationTypes['SyncStatus'], {"id":true}> );
};



/** Mapping between all available schema types and the resolvers types */
export type ResolversTypes = {
  Account: ResolverTypeWrapper<AccountModel>;
  ID: ResolverTypeWrapper<Scalars['ID']['output']>;
  CompleteConnectInput: CompleteConnectInput;
  String: ResolverTypeWrapper<Scalars['String']['output']>;
  CompleteConnectPayload: ResolverTypeWrapper<Omit<CompleteConnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversTypes['Connection']>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  ConnectCredentialsInput: ConnectCredentialsInput;
  ConnectInput: ConnectInput;
  ConnectPayload: ResolverTypeWrapper<Omit<ConnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversTypes['Connection']>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  Connection: ResolverTypeWrapper<ConnectionModel>;
  Int: ResolverTypeWrapper<Scalars['Int']['output']>;
  ConnectionChange: ConnectionChange;
  ConnectionStatus: ConnectionStatus;
  DateTime: ResolverTypeWrapper<Scalars['DateTime']['output']>;
  DisconnectInput: DisconnectInput;
  DisconnectPayload: ResolverTypeWrapper<Omit<DisconnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversTypes['Connection']>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  ExternalProfile: ResolverTypeWrapper<ExternalProfile>;
  Boolean: ResolverTypeWrapper<Scalars['Boolean']['output']>;
  ExternalRecord: ResolverTypeWrapper<ExternalRecordModel>;
  ExternalRecordPage: ResolverTypeWrapper<Omit<ExternalRecordPage, 'nodes'> & { nodes: Array<ResolversTypes['ExternalRecord']> }>;
  Integration: ResolverTypeWrapper<IntegrationModel>;
  IntegrationAuth: IntegrationAuth;
  IntegrationHealth: IntegrationHealth;
  IntegrationProblem: ResolverTypeWrapper<IntegrationProblemModel>;
  IntegrationProblemActor: IntegrationProblemActor;
  IntegrationProblemCode: IntegrationProblemCode;
  JSON: ResolverTypeWrapper<Scalars['JSON']['output']>;
  Mutation: ResolverTypeWrapper<Record<PropertyKey, never>>;
  PageInfo: ResolverTypeWrapper<PageInfo>;
  ProviderRateLimit: ResolverTypeWrapper<ProviderRateLimit>;
  Query: ResolverTypeWrapper<Record<PropertyKey, never>>;
  RedriveDeliveriesInput: RedriveDeliveriesInput;
  RedriveDeliveriesPayload: ResolverTypeWrapper<Omit<RedriveDeliveriesPayload, 'deliveries' | 'problem'> & { deliveries?: Maybe<Array<ResolversTypes['WebhookDelivery']>>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  RefreshInput: RefreshInput;
  RefreshPayload: ResolverTypeWrapper<Omit<RefreshPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversTypes['Connection']>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  RevocationOutcome: RevocationOutcome;
  SetWebhookSecretInput: SetWebhookSecretInput;
  SetWebhookSecretPayload: ResolverTypeWrapper<Omit<SetWebhookSecretPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversTypes['Connection']>, problem?: Maybe<ResolversTypes['IntegrationProblem']> }>;
  Subscription: ResolverTypeWrapper<Record<PropertyKey, never>>;
  SyncConnectionInput: SyncConnectionInput;
  SyncConnectionPayload: ResolverTypeWrapper<Omit<SyncConnectionPayload, 'problem' | 'syncStatuses'> & { problem?: Maybe<ResolversTypes['IntegrationProblem']>, syncStatuses?: Maybe<Array<ResolversTypes['SyncStatus']>> }>;
  SyncDeliveryMode: SyncDeliveryMode;
  SyncEvent: ResolverTypeWrapper<SyncEventModel>;
  SyncEventKind: SyncEventKind;
  SyncEventPage: ResolverTypeWrapper<Omit<SyncEventPage, 'nodes'> & { nodes: Array<ResolversTypes['SyncEvent']> }>;
  SyncEventSource: SyncEventSource;
  SyncProgress: ResolverTypeWrapper<SyncProgress>;
  SyncState: SyncState;
  SyncStatus: ResolverTypeWrapper<SyncStatusModel>;
  WebhookDelivery: ResolverTypeWrapper<WebhookDeliveryModel>;
  WebhookDeliveryPage: ResolverTypeWrapper<Omit<WebhookDeliveryPage, 'nodes'> & { nodes: Array<ResolversTypes['WebhookDelivery']> }>;
  WebhookDeliveryStatus: WebhookDeliveryStatus;
};

/** Mapping between all available schema types and the resolvers parents */
export type ResolversParentTypes = {
  Account: AccountModel;
  ID: Scalars['ID']['output'];
  CompleteConnectInput: CompleteConnectInput;
  String: Scalars['String']['output'];
  CompleteConnectPayload: Omit<CompleteConnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversParentTypes['Connection']>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  ConnectCredentialsInput: ConnectCredentialsInput;
  ConnectInput: ConnectInput;
  ConnectPayload: Omit<ConnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversParentTypes['Connection']>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  Connection: ConnectionModel;
  Int: Scalars['Int']['output'];
  DateTime: Scalars['DateTime']['output'];
  DisconnectInput: DisconnectInput;
  DisconnectPayload: Omit<DisconnectPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversParentTypes['Connection']>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  ExternalProfile: ExternalProfile;
  Boolean: Scalars['Boolean']['output'];
  ExternalRecord: ExternalRecordModel;
  ExternalRecordPage: Omit<ExternalRecordPage, 'nodes'> & { nodes: Array<ResolversParentTypes['ExternalRecord']> };
  Integration: IntegrationModel;
  IntegrationProblem: IntegrationProblemModel;
  JSON: Scalars['JSON']['output'];
  Mutation: Record<PropertyKey, never>;
  PageInfo: PageInfo;
  ProviderRateLimit: ProviderRateLimit;
  Query: Record<PropertyKey, never>;
  RedriveDeliveriesInput: RedriveDeliveriesInput;
  RedriveDeliveriesPayload: Omit<RedriveDeliveriesPayload, 'deliveries' | 'problem'> & { deliveries?: Maybe<Array<ResolversParentTypes['WebhookDelivery']>>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  RefreshInput: RefreshInput;
  RefreshPayload: Omit<RefreshPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversParentTypes['Connection']>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  SetWebhookSecretInput: SetWebhookSecretInput;
  SetWebhookSecretPayload: Omit<SetWebhookSecretPayload, 'connection' | 'problem'> & { connection?: Maybe<ResolversParentTypes['Connection']>, problem?: Maybe<ResolversParentTypes['IntegrationProblem']> };
  Subscription: Record<PropertyKey, never>;
  SyncConnectionInput: SyncConnectionInput;
  SyncConnectionPayload: Omit<SyncConnectionPayload, 'problem' | 'syncStatuses'> & { problem?: Maybe<ResolversParentTypes['IntegrationProblem']>, syncStatuses?: Maybe<Array<ResolversParentTypes['SyncStatus']>> };
  SyncEvent: SyncEventModel;
  SyncEventPage: Omit<SyncEventPage, 'nodes'> & { nodes: Array<ResolversParentTypes['SyncEvent']> };
  SyncProgress: SyncProgress;
  SyncStatus: SyncStatusModel;
  WebhookDelivery: WebhookDeliveryModel;
  WebhookDeliveryPage: Omit<WebhookDeliveryPage, 'nodes'> & { nodes: Array<ResolversParentTypes['WebhookDelivery']> };
};

export type AccountResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Account'] = ResolversParentTypes['Account'], FederationReferenceType extends FederationReferenceTypes['Account'] = FederationReferenceTypes['Account']> = {
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['Account']> | FederationReferenceType, FederationReferenceType, ContextType>;
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType, RequireFields<AccountConnectionArgs, 'integrationId'>>;
  connections?: Resolver<Maybe<Array<ResolversTypes['Connection']>>, ParentType, ContextType, Partial<AccountConnectionsArgs>>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
};

export type CompleteConnectPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['CompleteConnectPayload'] = ResolversParentTypes['CompleteConnectPayload']> = {
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
};

export type ConnectPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['ConnectPayload'] = ResolversParentTypes['ConnectPayload']> = {
  authorizationUrl?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  expiresAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
};

export type ConnectionResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Connection'] = ResolversParentTypes['Connection'], FederationReferenceType extends FederationReferenceTypes['Connection'] = FederationReferenceTypes['Connection']> = {
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['Connection']> | FederationReferenceType, FederationReferenceType, ContextType>;
  account?: Resolver<ResolversTypes['Account'], ParentType, ContextType>;
  checkedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  connectedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  deliveries?: Resolver<ResolversTypes['WebhookDeliveryPage'], ParentType, ContextType, RequireFields<ConnectionDeliveriesArgs, 'first'>>;
  disconnectedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  events?: Resolver<ResolversTypes['SyncEventPage'], ParentType, ContextType, RequireFields<ConnectionEventsArgs, 'first'>>;
  externalId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  integration?: Resolver<ResolversTypes['Integration'], ParentType, ContextType>;
  nextRefreshAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  profile?: Resolver<Maybe<ResolversTypes['ExternalProfile']>, ParentType, ContextType>;
  rateLimit?: Resolver<Maybe<ResolversTypes['ProviderRateLimit']>, ParentType, ContextType>;
  reauthorizeBy?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  record?: Resolver<Maybe<ResolversTypes['ExternalRecord']>, ParentType, ContextType, RequireFields<ConnectionRecordArgs, 'externalId' | 'resource'>>;
  records?: Resolver<ResolversTypes['ExternalRecordPage'], ParentType, ContextType, RequireFields<ConnectionRecordsArgs, 'first' | 'resource'>>;
  scopes?: Resolver<Array<ResolversTypes['String']>, ParentType, ContextType>;
  status?: Resolver<ResolversTypes['ConnectionStatus'], ParentType, ContextType>;
  syncStatuses?: Resolver<Array<ResolversTypes['SyncStatus']>, ParentType, ContextType, Partial<ConnectionSyncStatusesArgs>>;
  tokenExpiresAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  tokenRefreshedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  webhookUrl?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export interface DateTimeScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['DateTime'], any> {
  name: 'DateTime';
}

export type DisconnectPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['DisconnectPayload'] = ResolversParentTypes['DisconnectPayload']> = {
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  revocation?: Resolver<ResolversTypes['RevocationOutcome'], ParentType, ContextType>;
};

export type ExternalProfileResolvers<ContextType = Context, ParentType extends ResolversParentTypes['ExternalProfile'] = ResolversParentTypes['ExternalProfile']> = {
  fetchedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  stale?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  url?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type ExternalRecordResolvers<ContextType = Context, ParentType extends ResolversParentTypes['ExternalRecord'] = ResolversParentTypes['ExternalRecord'], FederationReferenceType extends FederationReferenceTypes['ExternalRecord'] = FederationReferenceTypes['ExternalRecord']> = {
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['ExternalRecord']> | FederationReferenceType, FederationReferenceType, ContextType>;
  connection?: Resolver<ResolversTypes['Connection'], ParentType, ContextType>;
  deleted?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  externalId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  fetchedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  payload?: Resolver<Maybe<ResolversTypes['JSON']>, ParentType, ContextType>;
  resource?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  stale?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  updatedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
};

export type ExternalRecordPageResolvers<ContextType = Context, ParentType extends ResolversParentTypes['ExternalRecordPage'] = ResolversParentTypes['ExternalRecordPage']> = {
  nodes?: Resolver<Array<ResolversTypes['ExternalRecord']>, ParentType, ContextType>;
  pageInfo?: Resolver<ResolversTypes['PageInfo'], ParentType, ContextType>;
};

export type IntegrationResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Integration'] = ResolversParentTypes['Integration'], FederationReferenceType extends FederationReferenceTypes['Integration'] = FederationReferenceTypes['Integration']> = {
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['Integration']> | FederationReferenceType, FederationReferenceType, ContextType>;
  auth?: Resolver<ResolversTypes['IntegrationAuth'], ParentType, ContextType>;
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  deliversWebhooks?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  health?: Resolver<ResolversTypes['IntegrationHealth'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  resources?: Resolver<Array<ResolversTypes['String']>, ParentType, ContextType>;
  scopes?: Resolver<Array<ResolversTypes['String']>, ParentType, ContextType>;
};

export type IntegrationProblemResolvers<ContextType = Context, ParentType extends ResolversParentTypes['IntegrationProblem'] = ResolversParentTypes['IntegrationProblem']> = {
  actor?: Resolver<ResolversTypes['IntegrationProblemActor'], ParentType, ContextType>;
  code?: Resolver<ResolversTypes['IntegrationProblemCode'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  occurredAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  providerCode?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  requestId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  retryAfterSeconds?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  retryable?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export interface JsonScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['JSON'], any> {
  name: 'JSON';
}

export type MutationResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Mutation'] = ResolversParentTypes['Mutation']> = {
  completeConnect?: Resolver<ResolversTypes['CompleteConnectPayload'], ParentType, ContextType, RequireFields<MutationCompleteConnectArgs, 'input'>>;
  connect?: Resolver<ResolversTypes['ConnectPayload'], ParentType, ContextType, RequireFields<MutationConnectArgs, 'input'>>;
  disconnect?: Resolver<ResolversTypes['DisconnectPayload'], ParentType, ContextType, RequireFields<MutationDisconnectArgs, 'input'>>;
  redriveDeliveries?: Resolver<ResolversTypes['RedriveDeliveriesPayload'], ParentType, ContextType, RequireFields<MutationRedriveDeliveriesArgs, 'input'>>;
  refresh?: Resolver<ResolversTypes['RefreshPayload'], ParentType, ContextType, RequireFields<MutationRefreshArgs, 'input'>>;
  setWebhookSecret?: Resolver<ResolversTypes['SetWebhookSecretPayload'], ParentType, ContextType, RequireFields<MutationSetWebhookSecretArgs, 'input'>>;
  syncConnection?: Resolver<ResolversTypes['SyncConnectionPayload'], ParentType, ContextType, RequireFields<MutationSyncConnectionArgs, 'input'>>;
};

export type PageInfoResolvers<ContextType = Context, ParentType extends ResolversParentTypes['PageInfo'] = ResolversParentTypes['PageInfo']> = {
  endCursor?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  hasNextPage?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  hasPreviousPage?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  startCursor?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type ProviderRateLimitResolvers<ContextType = Context, ParentType extends ResolversParentTypes['ProviderRateLimit'] = ResolversParentTypes['ProviderRateLimit']> = {
  estimatedWaitMs?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  limit?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  pausedUntil?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  queued?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  remaining?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  resetsAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  windowSeconds?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type QueryResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Query'] = ResolversParentTypes['Query']> = {
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType, RequireFields<QueryConnectionArgs, 'id'>>;
  connections?: Resolver<Array<ResolversTypes['Connection']>, ParentType, ContextType, Partial<QueryConnectionsArgs>>;
  integration?: Resolver<Maybe<ResolversTypes['Integration']>, ParentType, ContextType, RequireFields<QueryIntegrationArgs, 'id'>>;
  integrations?: Resolver<Array<ResolversTypes['Integration']>, ParentType, ContextType>;
};

export type RedriveDeliveriesPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['RedriveDeliveriesPayload'] = ResolversParentTypes['RedriveDeliveriesPayload']> = {
  deliveries?: Resolver<Maybe<Array<ResolversTypes['WebhookDelivery']>>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
};

export type RefreshPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['RefreshPayload'] = ResolversParentTypes['RefreshPayload']> = {
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
};

export type SetWebhookSecretPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SetWebhookSecretPayload'] = ResolversParentTypes['SetWebhookSecretPayload']> = {
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
};

export type SubscriptionResolvers<ContextType = Context, ParentType extends ResolversParentTypes['Subscription'] = ResolversParentTypes['Subscription']> = {
  connectionChanged?: SubscriptionResolver<ResolversTypes['Connection'], "connectionChanged", ParentType, ContextType, Partial<SubscriptionConnectionChangedArgs>>;
  syncEvents?: SubscriptionResolver<ResolversTypes['SyncEvent'], "syncEvents", ParentType, ContextType, Partial<SubscriptionSyncEventsArgs>>;
};

export type SyncConnectionPayloadResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SyncConnectionPayload'] = ResolversParentTypes['SyncConnectionPayload']> = {
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  syncStatuses?: Resolver<Maybe<Array<ResolversTypes['SyncStatus']>>, ParentType, ContextType>;
};

export type SyncEventResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SyncEvent'] = ResolversParentTypes['SyncEvent']> = {
  change?: Resolver<Maybe<ResolversTypes['ConnectionChange']>, ParentType, ContextType>;
  connection?: Resolver<ResolversTypes['Connection'], ParentType, ContextType>;
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  kind?: Resolver<ResolversTypes['SyncEventKind'], ParentType, ContextType>;
  occurredAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  record?: Resolver<Maybe<ResolversTypes['ExternalRecord']>, ParentType, ContextType>;
  source?: Resolver<ResolversTypes['SyncEventSource'], ParentType, ContextType>;
  syncStatus?: Resolver<Maybe<ResolversTypes['SyncStatus']>, ParentType, ContextType>;
  userId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
};

export type SyncEventPageResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SyncEventPage'] = ResolversParentTypes['SyncEventPage']> = {
  nodes?: Resolver<Array<ResolversTypes['SyncEvent']>, ParentType, ContextType>;
  pageInfo?: Resolver<ResolversTypes['PageInfo'], ParentType, ContextType>;
};

export type SyncProgressResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SyncProgress'] = ResolversParentTypes['SyncProgress']> = {
  done?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  total?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
};

export type SyncStatusResolvers<ContextType = Context, ParentType extends ResolversParentTypes['SyncStatus'] = ResolversParentTypes['SyncStatus'], FederationReferenceType extends FederationReferenceTypes['SyncStatus'] = FederationReferenceTypes['SyncStatus']> = {
  __resolveReference?: ReferenceResolver<Maybe<ResolversTypes['SyncStatus']> | FederationReferenceType, FederationReferenceType, ContextType>;
  connection?: Resolver<ResolversTypes['Connection'], ParentType, ContextType>;
  consecutiveFailures?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  delivery?: Resolver<ResolversTypes['SyncDeliveryMode'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  lagSeconds?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  lastPolledAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  lastSyncedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  lastWebhookAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  missedByWebhook?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  nextPollAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  progress?: Resolver<Maybe<ResolversTypes['SyncProgress']>, ParentType, ContextType>;
  recordCount?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  resource?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['SyncState'], ParentType, ContextType>;
};

export type WebhookDeliveryResolvers<ContextType = Context, ParentType extends ResolversParentTypes['WebhookDelivery'] = ResolversParentTypes['WebhookDelivery']> = {
  attempts?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  connection?: Resolver<Maybe<ResolversTypes['Connection']>, ParentType, ContextType>;
  eventId?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  integration?: Resolver<ResolversTypes['Integration'], ParentType, ContextType>;
  problem?: Resolver<Maybe<ResolversTypes['IntegrationProblem']>, ParentType, ContextType>;
  receivedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['WebhookDeliveryStatus'], ParentType, ContextType>;
};

export type WebhookDeliveryPageResolvers<ContextType = Context, ParentType extends ResolversParentTypes['WebhookDeliveryPage'] = ResolversParentTypes['WebhookDeliveryPage']> = {
  nodes?: Resolver<Array<ResolversTypes['WebhookDelivery']>, ParentType, ContextType>;
  pageInfo?: Resolver<ResolversTypes['PageInfo'], ParentType, ContextType>;
};

export type Resolvers<ContextType = Context> = {
  Account?: AccountResolvers<ContextType>;
  CompleteConnectPayload?: CompleteConnectPayloadResolvers<ContextType>;
  ConnectPayload?: ConnectPayloadResolvers<ContextType>;
  Connection?: ConnectionResolvers<ContextType>;
  DateTime?: GraphQLScalarType;
  DisconnectPayload?: DisconnectPayloadResolvers<ContextType>;
  ExternalProfile?: ExternalProfileResolvers<ContextType>;
  ExternalRecord?: ExternalRecordResolvers<ContextType>;
  ExternalRecordPage?: ExternalRecordPageResolvers<ContextType>;
  Integration?: IntegrationResolvers<ContextType>;
  IntegrationProblem?: IntegrationProblemResolvers<ContextType>;
  JSON?: GraphQLScalarType;
  Mutation?: MutationResolvers<ContextType>;
  PageInfo?: PageInfoResolvers<ContextType>;
  ProviderRateLimit?: ProviderRateLimitResolvers<ContextType>;
  Query?: QueryResolvers<ContextType>;
  RedriveDeliveriesPayload?: RedriveDeliveriesPayloadResolvers<ContextType>;
  RefreshPayload?: RefreshPayloadResolvers<ContextType>;
  SetWebhookSecretPayload?: SetWebhookSecretPayloadResolvers<ContextType>;
  Subscription?: SubscriptionResolvers<ContextType>;
  SyncConnectionPayload?: SyncConnectionPayloadResolvers<ContextType>;
  SyncEvent?: SyncEventResolvers<ContextType>;
  SyncEventPage?: SyncEventPageResolvers<ContextType>;
  SyncProgress?: SyncProgressResolvers<ContextType>;
  SyncStatus?: SyncStatusResolvers<ContextType>;
  WebhookDelivery?: WebhookDeliveryResolvers<ContextType>;
  WebhookDeliveryPage?: WebhookDeliveryPageResolvers<ContextType>;
};

