import type { Config } from './config.ts';
import type { ClientCredentials } from './oauth/protocol.ts';
import { createCatalog, type Catalog } from './providers/catalog.ts';
import type { DescribedProvider } from './providers/configured/load.ts';
import type { Endpoints } from './providers/provider.ts';
import type { Sandbox } from './sandbox/sandbox.ts';

/** An integration without credentials of its own is aimed at the sandbox, where there is one. */
export function configuredCatalog(
  described: readonly DescribedProvider[],
  config: Config,
  sandbox: Sandbox | undefined,
): Catalog {
  const emulations: Record<string, Partial<Endpoints & ClientCredentials> | undefined> = {
    quickbooks: sandbox?.quickbooks,
    slack: sandbox?.slack,
    mycarrierpackets: sandbox && {
      tokenUrl: sandbox.myCarrierPackets.tokenUrl,
      apiUrl: sandbox.myCarrierPackets.apiUrl,
    },
  };
  const emulatedSecrets: Record<string, string | undefined> = {
    slack: sandbox?.slack.signingSecret,
    quickbooks: sandbox?.quickbooks.verifierToken,
  };
  return createCatalog(
    described.map(({ provider, allowPrivateNetwork, isAimed }) => {
      const { credentials, webhookSecrets, endpoints, rateLimit, retry } = config.integrations.get(
        provider.id,
      )!;
      const { clientId, clientSecret, ...emulated } =
        (!credentials && !isAimed && emulations[provider.id]) || {};
      const own = credentials ?? (clientId && clientSecret ? { clientId, clientSecret } : undefined);
      const following = endpoints.apiUrl === undefined ? {} : provider.endpointsAt?.(endpoints.apiUrl);
      const aimed: Partial<Endpoints> = { ...emulated, ...following, ...endpoints };
      const { refreshUrl, ...usual } = provider.endpoints;
      return {
        provider,
        endpoints: { ...usual, ...(refreshUrl && !aimed.tokenUrl && { refreshUrl }), ...aimed },
        limits: rateLimit ? [{ name: 'configured', ...rateLimit }] : provider.limits,
        webhookSecrets:
          webhookSecrets.length > 0 || credentials || isAimed
            ? webhookSecrets
            : [emulatedSecrets[provider.id]].filter((secret) => secret !== undefined),
        retry: { ...provider.retry, ...retry },
        ...(own && { credentials: own }),
        allowPrivateNetwork,
        aimedAt: Object.values(aimed).flatMap((url) => (URL.canParse(url) ? [new URL(url).host] : [])),
      };
    }),
  );
}
