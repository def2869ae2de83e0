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
