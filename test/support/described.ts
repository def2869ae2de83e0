import type { HttpResponse } from '../../src/calls/http.ts';
import { builtInProviders, type ConfiguredProvider } from '../../src/providers/catalog.ts';
import { readIntegrations } from '../../src/providers/configured/read.ts';
import type { Provider } from '../../src/providers/provider.ts';

/** The provider that YAML describes, as INTEGRATIONS_FILE would. */
export function described(yaml: string, production = false): Provider {
  const found = readIntegrations(yaml, { file: 'test.yaml', production, builtIn: builtInProviders });
  return found.at(-1)!.provider;
}

/** For `openCore({ others })`. */
export function setUp(
  yaml: string,
  credentials = { clientId: 'acme-client', clientSecret: 'acme-secret-0123456789' },
): ConfiguredProvider {
  const provider = described(yaml);
  return { provider, endpoints: provider.endpoints, limits: provider.limits, credentials };
}

/** One entry, with what `more` says instead of or beside the least that it needs. */
export const describedWith = (more: object = {}): Provider =>
  described(
    // JSON is YAML.
    JSON.stringify({
      integrations: [
        {
          id: 'acme-crm',
          displayName: 'Acme',
          authorizeUrl: 'https://login.acme.example/authorize',
          tokenUrl: 'https://login.acme.example/token/',
          api: { baseUrl: 'https://api.acme.example/v1' },
          profile: { path: '/me', idPath: 'id' },
          ...more,
        },
      ],
    }),
  );

/** A success unless said otherwise. */
export const answer = (body: unknown, headers: Record<string, string> = {}, status = 200): HttpResponse => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
