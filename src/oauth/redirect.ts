import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Endpoints, OAuthFacts } from '../providers/provider.ts';
import { printable } from './protocol.ts';

/** The browser's half of OAuth 2.0: where it is sent, and what it brings back. Pure. */

/** What the provider's redirect says. `state` is undefined where it is missing or cannot be one of ours. */
export type CallbackParameters =
  | { kind: 'code'; state: string; code: string; externalId: string | null }
  | {
      kind: 'error';
      state: string;
      code: 'AUTHORIZATION_DENIED' | 'PROVIDER_ERROR' | 'BAD_REQUEST';
      providerError: string;
    }
  | { kind: 'invalid'; state: string | undefined; reason: string };

const longestCode = 4096;

/** 256 bits: 43 characters of base64url. */
export const newState = (clock: Clock): string => clock.randomBytes(32).toString('base64url');
const stateForm = /^[\w-]{43}$/;

/** SHA-256. Only the hash is stored: whoever reads the table cannot finish somebody's authorization. */
export const hashState = (state: string): Buffer => createHash('sha256').update(state).digest();

/** RFC 7636 §4.1: 43 unreserved characters. */
export const newCodeVerifier = (clock: Clock): string => clock.randomBytes(32).toString('base64url');

/** RFC 7636 §4.2, method S256. */
export const codeChallenge = (verifier: string): string =>
  createHash('sha256').update(verifier).digest('base64url');

/** RFC 6749 §4.1.1. */
export function authorizationUrl(
  endpoints: Endpoints,
  facts: OAuthFacts,
  request: {
    clientId: string;
    redirectUri: string;
    scopes: readonly string[];
    state: string;
    codeChallenge?: string;
  },
): string {
  const url = new URL(endpoints.authorizeUrl);
  const parameters = {
    ...facts.authorizeParams,
    response_type: 'code',
    client_id: request.clientId,
    redirect_uri: request.redirectUri,
    ...(request.scopes.length > 0 && {
      [facts.scopeParam ?? 'scope']: request.scopes.join(facts.scopeSeparator),
    }),
    state: request.state,
    ...(request.codeChallenge !== undefined && {
      code_challenge: request.codeChallenge,
      code_challenge_method: 'S256',
    }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  // Not every server reads "+" as a space outside of form bodies; all of them read %20.
  url.search = url.search.replaceAll('+', '%20');
  return url.href;
}

/**
 * Reads the redirect (RFC 6749 §4.1.2). Repeated parameters are refused, as §3.1 has it: two readers could take
 * different ones. An issuer must be the expected one (RFC 9207 §2.4). `reason` may be shown.
 */
export function callbackParameters(query: URLSearchParams, facts: OAuthFacts): CallbackParameters {
  const states = query.getAll('state');
  const state = states.length === 1 && stateForm.test(states[0]!) ? states[0]! : undefined;
  const invalid = (reason: string) => ({ kind: 'invalid', state, reason }) as const;
  if (state === undefined) return invalid('The redirect carried no usable state.');
  if (new Set(query.keys()).size !== query.size) return invalid('The redirect carried a parameter twice.');

  // Before anything else that it says: it may come from another server than the one that the person was sent to.
  const issuer = query.get('iss');
  if (facts.issuer !== undefined && (issuer === null ? facts.issExpected === true : issuer !== facts.issuer))
    return invalid('The redirect came from another issuer than the one that was asked.');
  const code = query.get('code');
  const error = query.get('error');
  if (error !== null) {
    if (code !== null) return invalid('The redirect carried both a code and an error.');
    return {
      kind: 'error',
      state,
      code: callbackErrors.get(error) ?? 'BAD_REQUEST',
      providerError: printable(error),
    };
  }
  if (code === null || code.length > longestCode || !/^[\x20-\x7e]+$/.test(code))
    return invalid('The redirect carried no usable code.');
  if (!facts.externalIdParam) return { kind: 'code', state, code, externalId: null };
  const { name, pattern } = facts.externalIdParam;
  const externalId = query.get(name);
  if (externalId === null || !pattern.test(externalId))
    return invalid(`The redirect carried no usable ${name}.`);
  return { kind: 'code', state, code, externalId };
}

const callbackErrors: ReadonlyMap<string, 'AUTHORIZATION_DENIED' | 'PROVIDER_ERROR'> = new Map([
  ['access_denied', 'AUTHORIZATION_DENIED'],
  ['server_error', 'PROVIDER_ERROR'],
  ['temporarily_unavailable', 'PROVIDER_ERROR'],
]);
