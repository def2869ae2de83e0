import { isIP } from 'node:net';
import { errors, jwtVerify, UnsecuredJWT, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type { Cancel, Clock } from './clock.ts';
import type { IdentityConfig } from './config.ts';
import { createRemoteKeys, type Key } from './identityKeys.ts';

/** Who asks, verified once per request. Every query is scoped by `accountId`. */
export interface Identity {
  accountId: string;
  /** The token's `sub`; null where the request names no person. */
  userId: string | null;
  scopes: ReadonlySet<string>;
  /** From when on the token is refused, clock tolerance included; null where it does not expire. */
  expiresAt: Date | null;
  /** What the token was signed with; null where that cannot be withdrawn while this process runs. */
  key: Key | null;
}

/** Why a token that was good is no more. */
export type Over = 'expired' | 'withdrawn';

/** What goes on for longer than a request asks again and again. */
export function whyOver({ expiresAt, key }: Identity, clock: Clock): Over | undefined {
  if (key?.isWithdrawn()) return 'withdrawn';
  return expiresAt !== null && clock.now() >= expiresAt.getTime() ? 'expired' : undefined;
}

/** Runs `work` once the token is good no more, never at once, unless cancelled before. */
export function whenOver({ expiresAt, key }: Identity, clock: Clock, work: (why: Over) => void): Cancel {
  const cancelKey = key?.whenWithdrawn(() => work('withdrawn'));
  const cancelTimer =
    expiresAt && clock.timer(Math.max(0, expiresAt.getTime() - clock.now()), () => work('expired'));
  return () => {
    cancelKey?.();
    cancelTimer?.();
  };
}

/** Credentials were sent and do not hold. The message never repeats them. */
export class UnauthenticatedError extends Error {
  override readonly name = 'UnauthenticatedError';
}

export interface Credentials {
  authorization: string | undefined;
  accountHeader: string | undefined;
  userHeader: string | undefined;
  remoteAddress: string | undefined;
  /** `extensions.jwt` of the request: `payload`, `token` or both, as Hive Gateway forwards what it has verified. */
  forwarded?: unknown;
  /** Whether the request has proved that it comes through the router, which is then believed about `payload`. */
  isRouter?: boolean;
}

/**
 * Undefined when no credentials were sent. Throws `UnauthenticatedError` when they do not verify, and when two of them
 * name different people: which one is meant cannot be known.
 */
export type ResolveIdentity = (credentials: Credentials) => Promise<Identity | undefined>;

const allScopes = new Set(['integrations:read', 'integrations:write', 'integrations:admin']);
const asymmetric = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA'.split(' ');
const clockToleranceSeconds = 60;
const longestId = 256;

export function createResolveIdentity(config: IdentityConfig, clock: Clock): ResolveIdentity {
  const believed = (payload: Record<string, unknown>) => believedIdentity(payload, config, clock);
  if (config.kind === 'development')
    return async (credentials) => {
      const { payload } = partsOf(credentials.forwarded);
      const routers = payload && credentials.isRouter === true ? [believed(payload)] : [];
      return one([...routers, await developmentIdentity(credentials)]);
    };
  const secret = config.kind === 'secret' ? new TextEncoder().encode(config.secret) : undefined;
  const remote = config.kind === 'jwks' ? createRemoteKeys(config.url, clock) : undefined;
  const keys: JWTVerifyGetKey = remote?.get ?? (() => secret!);
  const verified = async (token: string): Promise<Identity> => {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: secret ? ['HS256'] : asymmetric,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(clock.now()),
      ...(config.issuer !== undefined && { issuer: config.issuer }),
      ...(config.audience !== undefined && { audience: config.audience }),
    }).catch(refuse);
    const { kid } = protectedHeader;
    return identityOf(payload, config.accountClaim, kid === undefined ? null : remote?.named(kid));
  };
  return async ({ authorization, forwarded, isRouter }) => {
    const { payload, token: forwardedToken } = partsOf(forwarded);
    if (payload && isRouter !== true && forwardedToken === undefined)
      throw new UnauthenticatedError('extensions.jwt.payload is believed of the router only: send a token');
    const token =
      authorization === undefined ? undefined : /^bearer +([\w.~+/=-]+)$/i.exec(authorization)?.[1];
    if (authorization !== undefined && token === undefined)
      throw new UnauthenticatedError('the Authorization header must be: Bearer <token>');
    const tokens = new Set([token, forwardedToken].filter((text) => text !== undefined));
    const identities: Identity[] = [];
    for (const text of tokens) identities.push(await verified(text));
    if (payload) {
      // Beside a token it says nothing that the token does not, but must not say anything else.
      if (isRouter === true) identities.push(believed(payload));
      else identities.push({ ...identities.at(-1)!, ...namedBy(payload, config.accountClaim) });
    }
    return one(identities);
  };
}

/** The first that is known, which all others have to agree with. */
function one(identities: readonly (Identity | undefined)[]): Identity | undefined {
  const [first, ...others] = identities.filter((identity) => identity !== undefined);
  const isOther = ({ accountId, userId }: Identity) =>
    accountId !== first!.accountId || userId !== first!.userId;
  if (others.some(isOther)) throw new UnauthenticatedError('the request names two identities');
  return first;
}

/** A token comes as its text, or as `{ value, prefix }`. */
function partsOf(forwarded: unknown): { payload?: Record<string, unknown>; token?: string } {
  if (forwarded == null) return {};
  const { payload, token } = Object(forwarded) as { payload?: unknown; token?: unknown };
  const text = typeof token === 'object' && token !== null ? (token as { value?: unknown }).value : token;
  const isObject = typeof payload === 'object' && payload !== null && !Array.isArray(payload);
  const isWrong = (payload != null && !isObject) || (text != null && typeof text !== 'string');
  if (isWrong || (payload == null && text == null))
    throw new UnauthenticatedError('extensions.jwt must have a payload or a token');
  return {
    ...(isObject && { payload: payload as Record<string, unknown> }),
    ...(typeof text === 'string' && { token: text }),
  };
}

function namedBy(payload: Record<string, unknown>, accountClaim: string) {
  const { accountId, userId } = identityOf(payload, accountClaim);
  return { accountId, userId };
}

/** Of claims that somebody else has verified: what they say of time, issuer and audience holds here as well. */
function believedIdentity(payload: JWTPayload, config: IdentityConfig, clock: Clock): Identity {
  const { issuer, audience } = config;
  try {
    UnsecuredJWT.decode(new UnsecuredJWT(payload).encode(), {
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(clock.now()),
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    });
  } catch (error) {
    refuse(error);
  }
  return identityOf(payload, config.accountClaim);
}

/** The identity provider's own trouble stays an internal error: the person's token may be good. */
function refuse(error: unknown): never {
  const ours = error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError);
  if (ours || error.code === 'ERR_JOSE_GENERIC') throw error;
  const expired = error instanceof errors.JWTExpired;
  throw new UnauthenticatedError(expired ? 'the token has expired' : 'the token does not verify');
}

function identityOf(payload: JWTPayload, accountClaim: string, key: Key | null = null): Identity {
  const account = payload[accountClaim];
  if (typeof account !== 'string' || !isId(account))
    throw new UnauthenticatedError(`the token has no usable claim ${accountClaim}`);
  const scope = typeof payload.scope === 'string' ? payload.scope : '';
  return {
    accountId: account,
    userId: typeof payload.sub === 'string' && isId(payload.sub) ? payload.sub : null,
    scopes: new Set(scope.split(' ').filter(Boolean)),
    expiresAt: payload.exp === undefined ? null : new Date((payload.exp + clockToleranceSeconds) * 1_000),
    key,
  };
}

/** Anybody on this machine is believed, nobody from elsewhere, whatever address the server listens on. */
async function developmentIdentity({
  accountHeader,
  userHeader,
  remoteAddress,
}: Credentials): Promise<Identity | undefined> {
  if (accountHeader === undefined) return undefined;
  if (!isLoopback(remoteAddress))
    throw new UnauthenticatedError(
      'x-account-id is believed from this machine only: set AUTH_JWKS_URL or AUTH_JWT_SECRET',
    );
  if (!isId(accountHeader)) throw new UnauthenticatedError('x-account-id is empty or too long');
  return {
    accountId: accountHeader,
    userId: userHeader !== undefined && isId(userHeader) ? userHeader : null,
    scopes: allScopes,
    expiresAt: null,
    key: null,
  };
}

/** PostgreSQL stores no NUL, and would store half a surrogate pair as the same character as any other half. */
function isId(text: string): boolean {
  return text.trim() !== '' && text.length <= longestId && !text.includes('\0') && text.isWellFormed();
}

export function isLoopback(address: string | undefined): boolean {
  if (address === undefined || isIP(address) === 0) return false;
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}
