import type { Provider } from '../provider.ts';
import type { SignatureScheme } from '../signatures.ts';
import { rateLimitsOf } from './provider.ts';
import type { Override } from './schema.ts';

/** A built-in provider with what a file changes of it; the same `endpoints` where it changes none. */
export function overridden(provider: Provider, change: Override): Provider {
  const { displayName, authorizeUrl, tokenUrl, revokeUrl, api, defaultScopes, rateLimits, webhook } = change;
  const endpoints = {
    ...(api && { ...provider.endpointsAt?.(api.baseUrl), apiUrl: api.baseUrl }),
    ...(authorizeUrl !== undefined && { authorizeUrl }),
    ...(tokenUrl !== undefined && { tokenUrl }),
    ...(revokeUrl !== undefined && { revokeUrl }),
  };
  return {
    ...provider,
    ...(displayName !== undefined && { name: displayName }),
    ...(Object.keys(endpoints).length > 0 && { endpoints: { ...provider.endpoints, ...endpoints } }),
    ...(defaultScopes && { oauth: { ...provider.oauth, scopes: defaultScopes } }),
    ...(rateLimits && { limits: rateLimitsOf(rateLimits) }),
    ...(webhook &&
      provider.webhook && {
        webhook: { ...provider.webhook, scheme: { ...provider.webhook.scheme, ...defined(webhook) } },
      }),
  };
}

/** Without the members that are not there. */
const defined = (given: NonNullable<Override['webhook']>): Partial<SignatureScheme> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
