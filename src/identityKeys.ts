import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from 'jose';
import type { Clock } from './clock.ts';

const timeoutMs = 5_000;
/** Between two fetches, whatever keys tokens name: a new key is known after so long at most. */
const cooldownMs = 5_000;
/** How long the last keys serve while the identity provider does not answer. */
const keptForMs = 3_600_000;

/**
 * The identity provider's keys (RFC 7517), fetched when a token names one that is not known, and every ten minutes. Who
 * sends many unknown names, or while the provider is down, causes one fetch for each cooldown.
 */
export function createRemoteKeys(url: string, clock: Clock): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(url), {
    timeoutDuration: timeoutMs,
    cooldownDuration: cooldownMs,
    [customFetch]: careful(clock),
  });
}

/** jose counts only fetches that succeed: those that fail are counted here, and answered from what came last. */
function careful(clock: Clock): FetchImplementation {
  let last: { text: string; at: number } | undefined;
  let failure: { error: unknown; at: number } | undefined;
  const keptOr = (error: unknown): Response => {
    if (last && clock.monotonic() - last.at < keptForMs) return new Response(last.text);
    throw error;
  };
  return async (url, options) => {
    if (failure && clock.monotonic() - failure.at < cooldownMs) return keptOr(failure.error);
    try {
      const response = await fetch(url, options);
      const text = await response.text();
      const { keys } = JSON.parse(text) as { keys?: unknown };
      if (!response.ok || !Array.isArray(keys)) throw new Error(`AUTH_JWKS_URL answered ${response.status}`);
      last = { text, at: clock.monotonic() };
      failure = undefined;
      return new Response(text);
    } catch (error) {
      failure = { error, at: clock.monotonic() };
      return keptOr(error);
    }
  };
}
