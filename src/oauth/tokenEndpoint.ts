import type { Call, Caller, Priority } from '../calls/caller.ts';
import type { HttpRequest, HttpResponse } from '../calls/http.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import {
  codeExchangeRequest,
  passwordRequest,
  processRevokeResponse,
  processTokenResponse,
  refreshRequest,
  revokeRequest,
  type TokenFault,
  type TokenSet,
  type UserCredentials,
} from './protocol.ts';

/**
 * The provider's token and revocation endpoints, called through the caller like any other API. Throws
 * `IntegrationError`; NOT_CONFIGURED where the integration needs client credentials and has none.
 */
export interface TokenEndpoint {
  /** Never sent twice: codes are single use, and a replay may revoke what the first one gave (RFC 6749 §4.1.2). */
  exchange(
    integrationId: string,
    grant: { code: string; redirectUri: string; codeVerifier: string | undefined; scopes: string[] },
  ): Promise<TokenSet>;
  /** Sent once: whether it may be sent again is the caller's to decide, by the provider's `replay`. */
  refresh(
    integrationId: string,
    refreshToken: string,
    scopes: string[],
    options?: GrantOptions,
  ): Promise<TokenSet>;
  /** Sent once. AUTHORIZATION_DENIED when the provider refuses them. */
  password(integrationId: string, credentials: UserCredentials, options?: GrantOptions): Promise<TokenSet>;
  /** Sending it again is harmless. */
  revoke(integrationId: string, token: string, deadlineAtMs?: number): Promise<void>;
  /** How long one request may take. */
  readonly timeoutMs: number;
}

export interface GrantOptions {
  priority?: Priority;
  /** When its turn has come, before the first byte leaves. What it throws ends the call unsent. */
  beforeSend?: () => Promise<void>;
}

/** No provider publishes a limit for its token endpoint; this keeps a herd of refreshes from being taken for abuse. */
const tokenLimit = { limit: 20, windowMs: 1_000 };
/** The wait in the queue, on top of one request. A caller with less patience leaves; the refresh goes on. */
const queueMs = 30_000;

/**
 * @param timeoutMs giving up on a token request may cost the grant, since the answer could have held the only good
 *   token: so it is longer than that of other requests
 */
export function createTokenEndpoint(deps: {
  caller: Caller;
  catalog: Catalog;
  clock: Clock;
  timeoutMs: number;
}): TokenEndpoint {
  const { caller, catalog, clock, timeoutMs } = deps;

  const configured = (integrationId: string) => {
    const found = catalog.find(integrationId);
    if (!found || (found.provider.oauth.clientAuthentication !== 'none' && !found.credentials))
      return fail(
        'NOT_CONFIGURED',
        `${found?.provider.name ?? integrationId} has no client credentials: set ${integrationId.toUpperCase().replaceAll('-', '_')}_CLIENT_ID and _CLIENT_SECRET.`,
        new Date(clock.now()),
      );
    return found;
  };

  const call = async <T extends object | 'REVOKED'>(
    { provider, credentials }: ConfiguredProvider,
    request: HttpRequest,
    process: (response: HttpResponse, sentAtMs: number) => T | TokenFault,
    {
      beforeSend,
      deadlineAtMs,
      ...options
    }: Pick<Call, 'idempotent' | 'retry'> & GrantOptions & { deadlineAtMs?: number | undefined },
  ): Promise<T> => {
    let sentAtMs = clock.now();
    let result: T | undefined;
    await caller.call({
      integration: provider.id,
      host: new URL(request.url).host,
      buckets: [{ key: JSON.stringify(['token', provider.id, credentials?.clientId ?? '']), ...tokenLimit }],
      priority: 'interactive',
      timeoutMs,
      ...options,
      deadlineAtMs: deadlineAtMs ?? clock.now() + timeoutMs + queueMs,
      request: async () => {
        await beforeSend?.();
        sentAtMs = clock.now();
        return request;
      },
      classify: (response) => {
        const processed = process(response, sentAtMs);
        if (typeof processed === 'object' && 'code' in processed) return processed;
        result = processed as T;
        return undefined;
      },
    });
    return result!;
  };

  const grant = (
    integrationId: string,
    purpose: 'exchange' | 'refresh' | 'password',
    requestedScopes: string[],
    requestTo: (target: ConfiguredProvider) => HttpRequest,
    options: GrantOptions = {},
  ): Promise<TokenSet> => {
    const target = configured(integrationId);
    const { oauth } = target.provider;
    return call(
      target,
      requestTo(target),
      (response, sentAtMs) => processTokenResponse(response, oauth, { requestedScopes, sentAtMs, purpose }),
      { ...options, idempotent: false, retry: { attempts: 1 } },
    );
  };

  return {
    timeoutMs,
    exchange: (integrationId, { code, redirectUri, codeVerifier, scopes }) =>
      grant(integrationId, 'exchange', scopes, ({ provider, endpoints, credentials }) =>
        codeExchangeRequest(endpoints, provider.oauth, credentials, { code, redirectUri, codeVerifier }),
      ),
    refresh: (integrationId, refreshToken, scopes, options) =>
      grant(
        integrationId,
        'refresh',
        scopes,
        ({ provider, endpoints, credentials }) =>
          refreshRequest(endpoints, provider.oauth, credentials, refreshToken),
        options,
      ),
    password: (integrationId, user, options) =>
      grant(
        integrationId,
        'password',
        [],
        ({ provider, endpoints, credentials }) =>
          passwordRequest(endpoints, provider.oauth, credentials, user),
        options,
      ),
    async revoke(integrationId, token, deadlineAtMs) {
      const target = configured(integrationId);
      const { provider, endpoints, credentials } = target;
      const request = revokeRequest(endpoints, provider.oauth, credentials, token);
      await call(target, request, (response) => processRevokeResponse(response, provider.oauth), {
        idempotent: true,
        deadlineAtMs,
      });
    },
  };
}
