import type { RetryPolicy } from '../calls/caller.ts';
import type { Announcement } from './announcements.ts';
import type { ChangeReads } from './changes.ts';
import type { SignatureScheme } from './signatures.ts';
import type { Classify, Fault, HttpRequest, HttpResponse } from '../calls/http.ts';

/**
 * What one company's API is like: data and small pure functions. Nothing here waits, retries, stores or decides;
 * `calls/caller.ts` and `connections/` do. Members stand in the same order in every provider's file.
 */
export interface Provider {
  id: string;
  name: string;
  auth: 'OAUTH2' | 'CREDENTIALS';
  endpoints: Endpoints;
  /** Those that follow from the API's address, where a setting aims that elsewhere. */
  endpointsAt?(apiUrl: string): Partial<Endpoints>;
  oauth: OAuthFacts;
  /** Kinds of record that can be read, by the provider's own names, e.g. `Invoice`. */
  resources: readonly string[];
  /** How a request carries the access token; default: `authorization: Bearer …` (RFC 6750 §2.1). */
  tokenHeader?: { name: string; prefix: string };
  /** As published; a setting may replace them. One call may count against several. */
  limits: readonly RateLimit[];
  /** Where the defaults do not fit. */
  retry?: Partial<RetryPolicy>;
  /** Judges an API answer. */
  classify: Classify;
  /** Who the connection is: proves a token and gives `profile`. Absent where the provider has no such call. */
  identity?: {
    request(target: Target): ProviderRequest;
    parse(response: HttpResponse, target: Target): ExternalProfile;
  };
  records: RecordReads;
  /** How changes of a resource are asked for. */
  changes(resource: string): ChangeReads;
  /** The resources of which changes can be asked for; default: all. */
  listed?: readonly string[];
  /** Absent where the provider announces nothing. */
  webhook?: WebhookFacts;
  /** The resources of which webhooks tell every change; default: all. The others are learnt by polling. */
  announced?: readonly string[];
  /** By resource: members of its object that hold personal or bank data. Nobody ever sees their values. */
  masked?: Readonly<Record<string, readonly string[]>>;
}

/** Whether webhooks tell of every change of it. */
export function isAnnounced({ webhook, announced }: Provider, resource: string): boolean {
  return webhook !== undefined && (announced === undefined || announced.includes(resource));
}

export interface WebhookFacts {
  scheme: SignatureScheme;
  /** Whose secret signs: the application's, which is a setting, or each connection's own. */
  secretOf: 'application' | 'connection';
  /** What a verified body says, of all `resources`. Throws `UnreadableWebhook`. */
  parse(body: Buffer, resources: readonly string[]): Announcement;
}

/** Base URLs; the provider's production ones unless a setting aims elsewhere. No trailing slash. */
export interface Endpoints {
  authorizeUrl: string;
  tokenUrl: string;
  /** Where refreshing is done elsewhere. */
  refreshUrl?: string;
  revokeUrl: string;
  apiUrl: string;
}

export interface OAuthFacts {
  /** How an account is connected: by a person in the browser, or with a user name and password that are kept sealed. */
  grant: 'authorization_code' | 'password';
  /** Asked for when a connect names none; granted ones must include them. */
  scopes: readonly string[];
  scopeSeparator: ' ' | ',';
  /** The authorization request's parameter; default: `scope`. */
  scopeParam?: string;
  /** Asked for, but never named in the answer, such as `offline_access`: taken for granted. */
  unansweredScopes?: readonly string[];
  pkce: 'S256' | 'off';
  /** RFC 9207: when the redirect names its issuer, it must be this one. */
  issuer?: string;
  /** It always does. */
  issExpected?: boolean;
  /**
   * `none`: the provider knows no applications, and an integration needs no credentials of ours. `public`: it knows them
   * by their id alone (RFC 6749 §2.1).
   */
  clientAuthentication: 'basic' | 'body' | 'public' | 'none';
  /** Sent with the authorization request and with every token request. */
  authorizeParams: Readonly<Record<string, string>>;
  tokenHeaders: Readonly<Record<string, string>>;
  /** Members of token requests beyond the standard's: of the first one, and of refreshes. */
  tokenParams?: Readonly<Record<string, string>>;
  refreshParams?: Readonly<Record<string, string>>;
  /** How token requests are written; default: as a form. */
  bodyFormat?: 'form' | 'json';
  /** The callback's query parameter that names the external account (QuickBooks `realmId`), and its form. */
  externalIdParam?: { name: string; pattern: RegExp };
  /** Where the token answer names it, e.g. `team.id`; the first that is there. */
  externalIdFields?: readonly string[];
  /** Where it names the user that our calls act as: announcements of revoked tokens name that. */
  externalUserIdField?: string;
  /** `token_type`s that are sent as bearer tokens, in lower case. Default: `bearer`. */
  tokenTypes?: readonly string[];
  /** Where the answer has its members, e.g. `data.token`; default: as RFC 6749 §5 names them. */
  answer?: Partial<Record<'accessToken' | 'refreshToken' | 'expiresIn' | 'scope' | 'error', string>>;
  /** What lifetimes are counted in; default: seconds. */
  lifetimeUnit?: LifetimeUnit;
  /** Members of the token answer, in the same unit. */
  refreshExpiresInField?: string;
  hardExpiresInField?: string;
  /** Headers of the token endpoint's answers that name a request, lower case; the first one there counts. */
  requestIdHeaders?: readonly string[];
  /** Error codes of the token endpoint that mean: the grant is gone, only the person can renew it. */
  reauthorizationErrors: readonly string[];
  /** Spellings of its own for what RFC 6749 §5.2 has, and for what it has not. */
  errors?: Partial<
    Record<'AUTHORIZATION_EXPIRED' | 'NOT_CONFIGURED' | 'RATE_LIMITED' | 'PROVIDER_ERROR', readonly string[]>
  >;
  /**
   * What a used refresh token is worth when the answer was lost: `grace`, it is taken once more for a while; `strict`,
   * using it again may end the grant (RFC 9700 §4.14.2).
   */
  replay: 'grace' | 'strict';
  /** RFC 7009; the same members as JSON; Slack's method, with the access token as bearer; or there is none. */
  revocation: 'rfc7009' | 'json' | 'slack' | 'none';
  /** Which token is revoked; default: the refresh token where there is one, with Slack the access token. */
  revokedToken?: 'access';
  /** What a revocation ends: one authorization, or all that this application has of the external account. */
  revokes: 'authorization' | 'externalAccount';
}

export type LifetimeUnit = 'milliseconds' | 'seconds' | 'minutes';

/** At most `limit` calls in any `windowMs`; with `windowMs` 0, at most `limit` under way at one time. */
export interface RateLimit {
  name: string;
  limit: number;
  windowMs: number;
  /** What the provider counts by, besides the application; default: the account. Without it all accounts share it. */
  per?: readonly ('account' | 'operation' | 'subject')[];
  /** It counts only these operations, or all but those. Default: every call. */
  operations?: readonly string[];
  exceptOperations?: readonly string[];
}

/** A request, and what it is to limits that do not count all calls alike. */
export interface ProviderRequest extends HttpRequest {
  /** The provider's own word, e.g. Slack's `chat.postMessage`, QuickBooks' `batch`. */
  operation?: string;
  /** What it is done to, e.g. the channel of a message. */
  subject?: string;
  /** Changes nothing, whatever its method: it may be sent again. A GET always may. */
  isRead?: boolean;
}

/** The connection that a request is for, without its token: the caller adds that. */
export interface Target {
  apiUrl: string;
  /** Realm, team or customer at the provider. */
  externalId: string;
}

export interface ExternalProfile {
  id: string;
  name: string | null;
  url: string | null;
}

export interface RecordReads {
  /** The resources of which one record can be asked for; default: all. */
  only?: readonly string[];
  /** Most ids that are asked for together. */
  batchSize: number;
  /** Where a resource has another. */
  batchSizes?: Readonly<Record<string, number>>;
  /** By resource: so few are asked for one by one, since together they would cost more. `batchesOf` cuts by all three. */
  oneByOne?: Readonly<Record<string, number>>;
  /** A well-formed external id of this provider; anything else is refused before a call is made. */
  idPattern: RegExp;
  /** `ids`: 1 to `batchSize` distinct ones. */
  request(target: Target, resource: string, ids: readonly string[], page?: string): ProviderRequest;
  /** Where an answer is one page of many: what `request` is given next, while ids are missing. */
  nextPage?(response: HttpResponse): string | undefined;
  /** The provider's code for a page that it has forgotten: reading starts anew. */
  lostPage?: string;
  /**
   * What was found; an id without an entry does not exist at the provider. Not asked for answers that `classify` calls
   * NOT_FOUND: to a read of records that means that none of the ids exists.
   */
  parse(response: HttpResponse, resource: string, ids: readonly string[]): Map<string, RecordSnapshot>;
}

export interface RecordSnapshot {
  externalId: string;
  /** The provider's object as it sent it, less what is masked. */
  payload: Record<string, unknown>;
  /** By the provider's clock; null where it gives none. */
  updatedAt: Date | null;
}

export type { Fault };
