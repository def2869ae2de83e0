import type { Config } from '../config.ts';
import type { DescribedProvider } from '../providers/configured/load.ts';
import { fail, ok, warn, type Finding } from './finding.ts';

const patienceMs = 3_000;

/** One line for each host of each integration that is set up. An outage there is not ours: only a name that nobody knows fails. */
export async function checkProviders(
  config: Config,
  integrations: readonly DescribedProvider[],
): Promise<Finding[]> {
  const checks = integrations.flatMap(({ provider, isAimed }): Promise<Finding>[] => {
    const { credentials, endpoints } = config.integrations.get(provider.id)!;
    const isSet = credentials !== undefined || Object.keys(endpoints).length > 0;
    if (!isSet && !isAimed && config.sandbox.enabled)
      return [settled(ok(provider.id, 'the sandbox stands in for it'))];
    const needsNone = provider.oauth.clientAuthentication === 'none';
    if (credentials === undefined && !needsNone)
      return [settled(ok(provider.id, 'not set up: connect answers NOT_CONFIGURED'))];
    const urls = Object.values({ ...provider.endpoints, ...endpoints }).filter((url) => URL.canParse(url));
    const origins = new Set(urls.map((url) => new URL(url).origin));
    return [...origins].map((origin) => checkOrigin(provider.id, origin, isSet));
  });
  return Promise.all(checks);
}

const settled = (finding: Finding) => Promise.resolve(finding);

async function checkOrigin(check: string, origin: string, isSet: boolean): Promise<Finding> {
  try {
    const answer = await fetch(origin, { redirect: 'manual', signal: AbortSignal.timeout(patienceMs) });
    await answer.body?.cancel().catch(() => undefined);
    return ok(check, `${origin} answers (${answer.status})`);
  } catch (error) {
    const { name, cause } = error as Error & { cause?: { code?: string } };
    const code = cause?.code ?? name;
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
      const message = `${new URL(origin).host} does not resolve (${code})`;
      const cure = `correct its URL in the settings, or the name server`;
      // What nobody has set up may not be in use at all.
      return isSet ? fail(check, message, cure) : warn(check, message, cure);
    }
    const reason =
      name === 'TimeoutError'
        ? `does not answer within ${patienceMs / 1_000} s`
        : `cannot be reached (${code})`;
    return warn(check, `${origin} ${reason}`, 'wait if it is down, or look at the firewall and the proxy');
  }
}
