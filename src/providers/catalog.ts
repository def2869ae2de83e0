import type { Reach, RecordedAs, RetryPolicy } from '../calls/caller.ts';
import type { Endpoints, Provider, RateLimit } from './provider.ts';
import { myCarrierPackets } from './myCarrierPackets.ts';
import { quickbooks } from './quickbooks.ts';
import { slack } from './slack.ts';

/** A provider with what this installation's settings make of it. */
export interface ConfiguredProvider {
  provider: Provider;
  endpoints: Endpoints;
  /** Absent: it is listed, but cannot be connected (NOT_CONFIGURED). */
  credentials?: { clientId: string; clientSecret: string };
  limits: readonly RateLimit[];
  /** Those that sign webhooks, where it is the application's: any of them is accepted. None: all are refused. */
  webhookSecrets?: readonly string[];
  retry?: Partial<RetryPolicy>;
  /** Its addresses may be in a private network. */
  allowPrivateNetwork?: boolean;
  /** Hosts that the operator has aimed it at, by settings: wherever they are. */
  aimedAt?: readonly string[];
}

export interface Catalog {
  list(): readonly ConfiguredProvider[];
  find(id: string): ConfiguredProvider | undefined;
}

export const builtInProviders: readonly Provider[] = [quickbooks, slack, myCarrierPackets];

export function createCatalog(providers: readonly ConfiguredProvider[]): Catalog {
  const byId = new Map(providers.map((configured) => [configured.provider.id, configured]));
  return { list: () => providers, find: (id) => byId.get(id) };
}

/** How far the calls of an integration may go. Outside production this machine has emulators. */
export function createReachOf(catalog: Catalog, production: boolean): (id: string, host: string) => Reach {
  return (id, host) => {
    const configured = catalog.find(id);
    if (configured?.aimedAt?.includes(host)) return 'anywhere';
    if (configured?.allowPrivateNetwork) return 'private';
    return production ? 'public' : 'loopback';
  };
}

/** By the longest of all addresses that a URL begins with: whose request it is, and all that its provider masks. */
export function createRecordedAs(catalog: Catalog): (url: string) => RecordedAs | undefined {
  const known = catalog.list().flatMap(({ provider, endpoints }) => {
    const as = { integration: provider.id, masked: Object.values(provider.masked ?? {}).flat() };
    return Object.values({ ...endpoints })
      .filter((address) => URL.canParse(address))
      .map((address) => ({ address, as }));
  });
  known.sort((a, b) => b.address.length - a.address.length);
  return (url) => known.find(({ address }) => url === address || /^[/?]/.test(rest(url, address)))?.as;
}

const rest = (url: string, address: string) => (url.startsWith(address) ? url.slice(address.length) : '');
