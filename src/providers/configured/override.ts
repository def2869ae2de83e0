import type { Provider } from '../provider.ts';
import { rateLimitsOf } from './provider.ts';
import type { Override } from './schema.ts';

/** A built-in provider with what a file changes of it. */
export function overridden(provider: Provider, change: Override): Provider {
  const { displayName, authorizeUrl, tokenUrl, revokeUrl, api, defaultScopes, rateLimits } = change;
  return {
    ...provider,
    ...(displayName !== undefined && { name: displayName }),
    endpoints: {
      ...provider.endpoints,
      ...(authorizeUrl !== undefined && { authorizeUrl }),
      ...(tokenUrl !== undefined && { tokenUrl }),
      ...(revokeUrl !== undefined && { revokeUrl }),
      ...(api && { apiUrl: api.baseUrl }),
    },
    ...(defaultScopes && { oauth: { ...provider.oauth, scopes: defaultScopes } }),
    ...(rateLimits && { limits: rateLimitsOf(rateLimits) }),
  };
}
