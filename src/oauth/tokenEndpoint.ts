import type { Call, Caller } from '../calls/caller.ts';
import type { HttpRequest, HttpResponse } from '../calls/http.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { Catalog, ConfiguredProvider } from '../providers/catalog.ts';
import {
  codeExchangeRequest,
  processRevokeResponse,
  processTokenResponse,
  refreshRequest,
  revokeRequest,
  type TokenFault,
  type TokenSet,
} from './protocol.ts';

/**
 * The provider's token and revocation endpoints, called through the caller like any other API. Throws
 * `IntegrationError`; NOT_CONFIGURED where the integration has no client credentials.
 */
export interface TokenEndpoint {
  /** Never sent twice: codes are single use, and a replay may revoke what the first one gave (RFC 6749 §4.1.2). */
  exchange(
    integrationId: string,
    grant: { code: string; redirectUri: string; codeVerifier: string | undefined; scopes: string[] },
  ): Promise<TokenSet>;
  /** Not resent once it may have been processed: under rotation that would end the grant (RFC 9700 §4.14). */
  refresh(integrationId: string, refreshToken: string, scopes: string[]): Promise<TokenSet>;
  revoke(integrationId: string, token: string, deadlineAtMs?: number): Promise<void>;
}

/** No provider publishes a limit for its token endpoint; this keeps a herd of refreshes from being taken for abuse. */
const tokenLimit = { limit: 20, windowMs: 1_000 };
/** Covers the wait in the queue and one attempt. A caller with less patience leaves; the refresh goes on. */
const deadlineMs = 60_000;

export function createTokenEndpoint(deps: { caller: Caller; catalog: Catalog; clock: Clock }): TokenEndpoint {
  const { caller, catalog, clock } = deps;

  const configured = (integrationId: string) => {
    const found = catalog.find(integrationId);
    if (!found?.credentials)
      return fail(
        'NOT_CONFIGURED',
        `${found?.provider.name ?? integrationId} has no client credentials: set ${integrationId.toUpperCase()}_CLIENT_ID and _CLIENT_SECRET.`,
        new Date(clock.now()),
      );
    return { ...found, credentials: found.credentials };
  };

  const call = async <T extends object | 'REVOKED'>(
    { provider, credentials }: ConfiguredProvider & { credentials: { clientId: string } },
    request: HttpRequest,
    process: (response: HttpResponse, sentAtMs: number) => T | TokenFault,
    options: Pick<Call, 'idempotent' | 'retry'> & { deadlineAtMs?: number | undefined },
  ): Promise<T> => {
    let sentAtMs = clock.now();
    let result: T | undefined;
    await caller.call({
      integration: provider.id,
      host: new URL(request.url).host,
      buckets: [{ key: JSON.stringify(['token', provider.id, credentials.clientId]), ...tokenLimit }],
      priority: 'interactive',
      ...options,
      deadlineAtMs: options.deadlineAtMs ?? clock.now() + deadlineMs,
      request: () => {
        sentAtMs = clock.now();
        return Promise.resolve(request);
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

  /** One try: what the token endpoint may have processed is not sent again, and the rest is for the caller to repeat. */
  const grant = (
    integrationId: string,
    purpose: 'exchange' | 'refresh',
    requestedScopes: string[],
    requestTo: (target: ReturnType<typeof configured>) => HttpRequest,
  ): Promise<TokenSet> => {
    const target = configured(integrationId);
    const { oauth } = target.provider;
    return call(
      target,
      requestTo(target),
      (response, sentAtMs) => processTokenResponse(response, oauth, { requestedScopes, sentAtMs, purpose }),
      { idempotent: false, retry: { attempts: 1 } },
    );
  };

  return {
    exchange: (integrationId, { code, redirectUri, codeVerifier, scopes }) =>
      grant(integrationId, 'exchange', scopes, ({ provider, endpoints, credentials }) =>
        codeExchangeRequest(endpoints, provider.oauth, credentials, { code, redirectUri, codeVerifier }),
      ),
    refresh: (integrationId, refreshToken, scopes) =>
      grant(integrationId, 'refresh', scopes, ({ provider, endpoints, credentials }) =>
        refreshRequest(endpoints, provider.oauth, credentials, refreshToken),
      ),
    async revoke(integrationId, token, deadlineAtMs) {
      const target = configured(integrationId);
      const { provider, endpoints, credentials } = target;
      const request = revokeRequest(endpoints, provider.oauth, credentials, token);
      await call(target, request, processRevokeResponse, { idempotent: true, deadlineAtMs });
    },
  };
}
