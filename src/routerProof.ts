import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** What a request brings to show that it comes through the router. */
export interface PresentedProof {
  /** The header `x-router-secret`. */
  secret: string | undefined;
  /** The parsed GraphQL request; undefined where there is none (yet). */
  request: unknown;
}

/** One way to prove it: false where what it looks for is missing or wrong. */
export type Proof = (presented: PresentedProof) => boolean;

export interface RouterProof {
  /** Whether requests without proof are refused. */
  isRequired: boolean;
  /** Whether it is in each request, so that a connection alone proves nothing. */
  isInRequests: boolean;
  /** False for everything while no way is set: what is believed of a router is then believed of nobody. */
  holds(presented: PresentedProof): boolean;
}

/**
 * Any of the ways that are set will do, so that one can take over from another.
 * @param hmacSecrets as Hive Gateway's `hmacSignature` has it
 */
export function createRouterProof(
  secrets: readonly string[],
  hmacSecrets: readonly string[] = [],
): RouterProof {
  const proofs: Proof[] = [
    ...(secrets.length > 0 ? [sharedSecret(secrets)] : []),
    ...(hmacSecrets.length > 0 ? [signature(hmacSecrets)] : []),
  ];
  return {
    isRequired: proofs.length > 0,
    isInRequests: hmacSecrets.length > 0,
    holds: (presented) => proofs.some((proof) => proof(presented)),
  };
}

/** Equal to any of `secrets`, compared in constant time. */
function sharedSecret(secrets: readonly string[]): Proof {
  const known = secrets.map(digest);
  return ({ secret }) => {
    if (secret === undefined) return false;
    const given = digest(secret);
    return known.map((one) => timingSafeEqual(one, given)).includes(true);
  };
}

/**
 * `extensions["hmac-signature"]`: HMAC-SHA-256, in base64, of query and variables as JSON with sorted keys. It does not
 * cover the other extensions, nor the time: whoever can read the line to us can use it again.
 * https://the-guild.dev/graphql/hive/docs/gateway/other-features/security/hmac-signature
 */
function signature(secrets: readonly string[]): Proof {
  return ({ request }) => {
    const { query, variables, extensions } = members(request);
    const given = members(extensions)['hmac-signature'];
    if (typeof query !== 'string' || typeof given !== 'string') return false;
    const text = canonical(query, variables);
    if (text === undefined) return false;
    const presented = digest(given);
    return secrets
      .map((secret) => digest(createHmac('sha256', secret).update(text).digest('base64')))
      .map((expected) => timingSafeEqual(expected, presented))
      .includes(true);
  };
}

/** Undefined for variables that are nested beyond what can be written. */
function canonical(query: string, variables: unknown): string | undefined {
  const isEmpty = variables == null || Object.keys(variables).length === 0;
  try {
    return JSON.stringify(sorted(isEmpty ? { query } : { query, variables }));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest();

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** Without a prototype: a key may be `__proto__`. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(value).toSorted())
    copy[name] = sorted((value as Record<string, unknown>)[name]);
  return copy;
}
