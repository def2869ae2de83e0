import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from 'jose';
import type { Cancel, Clock } from './clock.ts';

const timeoutMs = 5_000;
/** Between two fetches, whatever keys tokens name: a new key is known after so long at most. */
const cooldownMs = 5_000;
/** A key that is withdrawn is refused after so long at most. */
const freshForMs = 60_000;
/** How long the last keys serve while the identity provider does not answer. */
const keptForMs = 3_600_000;

/** A key that tokens were signed with. */
export interface Key {
  isWithdrawn(): boolean;
  /** Runs `work` once it is withdrawn, never at once, unless cancelled before. */
  whenWithdrawn(work: () => void): Cancel;
}

export interface RemoteKeys {
  get: JWTVerifyGetKey;
  /** What becomes of a key that has verified a token, by the name that the token gave it. */
  named(kid: string): Key;
}

/**
 * The identity provider's keys (RFC 7517), fetched when a token names one that is not known, and every minute while
 * tokens come or somebody waits for the end of a key. Who sends many unknown names, or while the provider is down, causes
 * one fetch for each cooldown. A key that an answer leaves out is withdrawn; no answer withdraws nothing.
 */
export function createRemoteKeys(url: string, clock: Clock): RemoteKeys {
  const known = new Map<string, KnownKey>();
  let published: ReadonlySet<unknown> | undefined;
  let cancelLook: Cancel | undefined;

  const set = createRemoteJWKSet(new URL(url), {
    timeoutDuration: timeoutMs,
    cooldownDuration: cooldownMs,
    cacheMaxAge: freshForMs,
    [customFetch]: careful(clock, (kids) => {
      published = kids;
      for (const [kid, key] of known)
        if (!kids.has(kid)) {
          known.delete(kid);
          key.withdraw();
        }
    }),
  });
  const lookLater = () => {
    cancelLook ??= clock.timer(freshForMs, () => {
      cancelLook = undefined;
      // What fails here fails, and is told, when the next token comes.
      void set.reload().catch(() => {});
      if (isAwaited()) lookLater();
    });
  };
  const isAwaited = () => [...known.values()].some(({ waiting }) => waiting.size > 0);
  const onWaiting = () => {
    if (isAwaited()) return lookLater();
    cancelLook?.();
    cancelLook = undefined;
  };
  return {
    get: set,
    named(kid) {
      let key = known.get(kid);
      if (!key) {
        key = new KnownKey(onWaiting);
        // Withdrawn between the token's verification and now.
        if (published?.has(kid) === false) key.withdraw();
        else known.set(kid, key);
      }
      return key;
    },
  };
}

class KnownKey implements Key {
  readonly waiting = new Set<{ work: () => void }>();
  readonly #onWaiting: () => void;
  #withdrawn = false;

  constructor(onWaiting: () => void) {
    this.#onWaiting = onWaiting;
  }

  isWithdrawn(): boolean {
    return this.#withdrawn;
  }

  whenWithdrawn(work: () => void): Cancel {
    const one = { work };
    this.waiting.add(one);
    if (this.#withdrawn) queueMicrotask(() => this.#tell());
    else if (this.waiting.size === 1) this.#onWaiting();
    return () => {
      if (this.waiting.delete(one) && this.waiting.size === 0) this.#onWaiting();
    };
  }

  withdraw(): void {
    this.#withdrawn = true;
    this.#tell();
  }

  #tell(): void {
    const told = [...this.waiting];
    this.waiting.clear();
    this.#onWaiting();
    for (const { work } of told) work();
  }
}

/**
 * jose counts only fetches that succeed: those that fail are counted here, and answered from what came last.
 * @param onPublished told the names of the keys that the provider has now
 */
function careful(clock: Clock, onPublished: (kids: ReadonlySet<unknown>) => void): FetchImplementation {
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
      onPublished(new Set((keys as unknown[]).map((key) => (Object(key) as { kid?: unknown }).kid)));
      return new Response(text);
    } catch (error) {
      failure = { error, at: clock.monotonic() };
      return keptOr(error);
    }
  };
}
