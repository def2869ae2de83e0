import type { IncomingHttpHeaders } from 'node:http';
import { isLoopback, type Credentials } from '../identity.ts';

/** What a WebSocket says of who opens it. */
export interface Presented extends Credentials {
  routerSecret: string | undefined;
}

const names = {
  authorization: 'authorization',
  accountHeader: 'x-account-id',
  userHeader: 'x-user-id',
  routerSecret: 'x-router-secret',
} as const;

/** The headers that count, without the rest of the request, which need not be kept. */
export function presentedHeaders(headers: IncomingHttpHeaders): Record<string, unknown> {
  const wanted: readonly string[] = [...Object.values(names), 'origin'];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => wanted.includes(name)));
}

/**
 * From the upgrade's headers and from `connectionParams`: flat, under `headers`, or either of these once more under
 * `connectionParams`, as Apollo Router passes on what it was sent. Names count in any case.
 * @returns undefined where two places say different things: which one is meant cannot be known
 */
export function presentedCredentials(
  headers: Record<string, unknown>,
  params: unknown,
  remoteAddress: string | undefined,
): Presented | undefined {
  const inner = membersOf(params)?.connectionParams;
  const places = [headers, params, membersOf(params)?.headers, inner, membersOf(inner)?.headers];
  const found: Record<string, unknown> = {};
  for (const place of places)
    for (const [key, value] of Object.entries(membersOf(place) ?? {})) {
      const name = key.toLowerCase();
      if (value == null || !Object.values<string>(names).includes(name)) continue;
      if (typeof value !== 'string' || (name in found && found[name] !== value)) return undefined;
      found[name] = value;
    }
  const text = (name: string) => found[name] as string | undefined;
  return {
    authorization: text(names.authorization),
    accountHeader: text(names.accountHeader),
    userHeader: text(names.userHeader),
    routerSecret: text(names.routerSecret),
    remoteAddress,
  };
}

function membersOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

/**
 * Whether a page of another site opened it: browsers let any page open a WebSocket to this machine, with whatever
 * `connectionParams` it likes, so an account that is believed without proof is believed from local pages only.
 */
export function isForeignPage(origin: unknown): boolean {
  if (typeof origin !== 'string') return false;
  if (!URL.canParse(origin)) return true;
  const { hostname } = new URL(origin);
  return hostname !== 'localhost' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
