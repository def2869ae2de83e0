import { timingSafeEqual, createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type { Cancel, Clock } from './clock.ts';
import type { IdentityConfig } from './config.ts';

/** Who asks, verified once per request. Every query is scoped by `accountId`. */
export interface Identity {
  accountId: string;
  /** The token's `sub`; null where the request names no person. */
  userId: string | null;
  scopes: ReadonlySet<string>;
  /** From when on the token is refused, clock tolerance included; null where it does not expire. */
  expiresAt: Date | null;
}

/** The token was good, and is no more: what goes on for longer than a request asks again and again. */
export function hasExpired({ expiresAt }: Identity, clock: Clock): boolean {
  return expiresAt !== null && clock.now() >= expiresAt.getTime();
}

/** Runs `work` once it has expired, unless cancelled before. */
export function whenExpired({ expiresAt }: Identity, clock: Clock, work: () => void): Cancel {
  return expiresAt === null ? () => {} : clock.timer(Math.max(0, expiresAt.getTime() - clock.now()), work);
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
}

/** Undefined when no credentials were sent. Throws `UnauthenticatedError` when they do not verify. */
export type ResolveIdentity = (credentials: Credentials) => Promise<Identity | undefined>;

const allScopes = new Set(['integrations:read', 'integrations:write', 'integrations:admin']);
const asymmetric = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA'.split(' ');
const clockToleranceSeconds = 60;
const longestId = 256;

export function createResolveIdentity(config: IdentityConfig, clock: Clock): ResolveIdentity {
  if (config.kind === 'development') return developmentIdentity;
  const secret = config.kind === 'secret' ? new TextEncoder().encode(config.secret) : undefined;
  const keys: JWTVerifyGetKey =
    config.kind === 'jwks'
      ? createRemoteJWKSet(new URL(config.url), { timeoutDuration: 5_000 })
      : () => secret!;
  return async ({ authorization }) => {
    if (authorization === undefined) return undefined;
    const token = /^bearer +([\w.~+/=-]+)$/i.exec(authorization)?.[1];
    if (token === undefined)
      throw new UnauthenticatedError('the Authorization header must be: Bearer <token>');
    const { payload } = await jwtVerify(token, keys, {
      algorithms: secret ? ['HS256'] : asymmetric,
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(clock.now()),
      ...(config.issuer !== undefined && { issuer: config.issuer }),
      ...(config.audience !== undefined && { audience: config.audience }),
    }).catch(refuse);
    return identityOf(payload, config.accountClaim);
  };
}

/** The identity provider's own trouble stays an internal error: the person's token may be good. */
function refuse(error: unknown): never {
  const ours = error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError);
  if (ours || error.code === 'ERR_JOSE_GENERIC') throw error;
  const expired = error instanceof errors.JWTExpired;
  throw new UnauthenticatedError(expired ? 'the token has expired' : 'the token does not verify');
}

function identityOf(payload: JWTPayload, accountClaim: string): Identity {
  const account = payload[accountClaim];
  if (typeof account !== 'string' || !isId(account))
    throw new UnauthenticatedError(`the token has no usable claim ${accountClaim}`);
  const scope = typeof payload.scope === 'string' ? payload.scope : '';
  return {
    accountId: account,
    userId: typeof payload.sub === 'string' && isId(payload.sub) ? payload.sub : null,
    scopes: new Set(scope.split(' ').filter(Boolean)),
    expiresAt: payload.exp === undefined ? null : new Date((payload.exp + clockToleranceSeconds) * 1_000),
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

/** Whether the request comes through the router: equal to any of `secrets`, compared in constant time. */
export function hasRouterProof(header: string | undefined, secrets: readonly string[]): boolean {
  if (secrets.length === 0) return true;
  if (header === undefined) return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const given = digest(header);
  return secrets.map((secret) => timingSafeEqual(digest(secret), given)).includes(true);
}
