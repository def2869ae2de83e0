import type { GraphQLError } from 'graphql';
import type { Answer } from './operations.ts';
import { refusal } from './operations.ts';

/**
 * Apollo Router's HTTP callback protocol, version 1.0: a subscription is asked for by POST, and everything that it
 * yields is posted to an address that the router names. What is asked and what is posted, without I/O.
 * https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/callback-protocol
 */
export interface CallbackRequest {
  url: URL;
  id: string;
  verifier: string;
  /** 0: the router wants none. */
  heartbeatMs: number;
}

export const protocolHeader = { 'subscription-protocol': 'callback/1.0' };
const usualHeartbeatMs = 5_000;
const leastHeartbeatMs = 100;
const mostHeartbeatMs = 3_600_000;

export function asksForCallback(accept: string | undefined): boolean {
  return accept !== undefined && /;\s*callbackSpec\s*=\s*"?1\.0"?\s*(,|;|$)/i.test(accept);
}

/**
 * From `extensions.subscription`.
 * @param origins that the operator allows; undefined: any of this machine's own
 */
export function readCallback(
  extensions: unknown,
  isAllowed: (url: URL) => boolean,
): CallbackRequest | GraphQLError {
  const wrong = (what: string) => refusal('BAD_USER_INPUT', `extensions.subscription: ${what}.`);
  const { subscription } = (extensions ?? {}) as { subscription?: unknown };
  if (typeof subscription !== 'object' || subscription === null) return wrong('is missing');
  const { callbackUrl, subscriptionId, verifier, heartbeatIntervalMs } = subscription as Record<
    string,
    unknown
  >;
  if (!isText(subscriptionId, 256)) return wrong('subscriptionId must be a string of up to 256 characters');
  if (!isText(verifier, 2_048)) return wrong('verifier must be a string of up to 2048 characters');
  const heartbeat = heartbeatIntervalMs ?? usualHeartbeatMs;
  if (
    !Number.isSafeInteger(heartbeat) ||
    (heartbeat as number) < 0 ||
    (heartbeat as number) > mostHeartbeatMs
  )
    return wrong(`heartbeatIntervalMs must be a whole number of up to ${mostHeartbeatMs}`);
  if (!isText(callbackUrl, 2_048) || !URL.canParse(callbackUrl)) return wrong('callbackUrl is not a URL');
  const url = new URL(callbackUrl);
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.hash !== '')
    return wrong('callbackUrl must be an http(s) URL without credentials and fragment');
  if (!isAllowed(url))
    return wrong('callbackUrl is not at an origin that SUBSCRIPTION_CALLBACK_ORIGINS allows');
  const heartbeatMs = heartbeat === 0 ? 0 : Math.max(leastHeartbeatMs, heartbeat as number);
  return { url, id: subscriptionId, verifier, heartbeatMs };
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= most;
}

export type CallbackMessage =
  | { action: 'check' }
  /** With an `Answer` as JSON. */
  | { action: 'next'; payload: string }
  | { action: 'complete'; errors?: Answer['errors'] };

export function messageBody({ id, verifier }: CallbackRequest, message: CallbackMessage): string {
  if (message.action !== 'next') return JSON.stringify({ kind: 'subscription', id, verifier, ...message });
  const start = JSON.stringify({ kind: 'subscription', id, verifier, action: message.action });
  return `${start.slice(0, -1)},"payload":${message.payload}}`;
}
