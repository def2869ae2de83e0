import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { QuickBooksSettings } from './settings.ts';

/**
 * Who may do what: one grant per consent. Tokens are known by their SHA-256 only, so that what is kept is no secret.
 *
 * A code is issued, then used once. A grant lives until the client revokes it, the user disconnects it in QuickBooks, or
 * somebody presents a code or (in one refresh mode) a refresh token a second time; nothing brings it back.
 */
const grant = z.object({
  id: z.string(),
  realmId: z.string(),
  scope: z.string(),
  consentedAt: z.number(),
  hardExpiresAt: z.number(),
  /** Rolls on at each refresh. */
  refreshExpiresAt: z.number(),
  endedBy: z.enum(['client', 'user', 'reuse']).nullable(),
  refreshTokens: z.array(
    z.object({ hash: z.string(), issuedAt: z.number(), replacedAt: z.number().nullable() }),
  ),
  accessTokens: z.array(z.object({ hash: z.string(), expiresAt: z.number() })),
});
const code = z.object({
  hash: z.string(),
  realmId: z.string(),
  scope: z.string(),
  redirectUri: z.string(),
  codeChallenge: z.string().nullable(),
  expiresAt: z.number(),
  used: z.boolean(),
  grantId: z.string().nullable(),
});
export const grantsState = z.object({ grants: z.array(grant), codes: z.array(code) });

export type GrantsState = z.infer<typeof grantsState>;
export type Grant = z.infer<typeof grant>;
type Code = z.infer<typeof code>;

export interface IssuedTokens {
  grant: Grant;
  accessToken: string;
  expiresInSeconds: number;
  /** Undefined when the answer is to be without one. */
  refreshToken: string | undefined;
  refreshExpiresInSeconds: number;
  hardExpiresInSeconds: number;
}

/** A refusal of the token endpoint (RFC 6749, 5.2): always `invalid_grant`, with QuickBooks' words. */
export class InvalidGrant extends Error {
  override readonly name = 'InvalidGrant';
}

const dayMs = 86_400_000;
/** Replaced refresh tokens that are remembered, for grace and to see a reuse. */
const rememberedTokens = 200;

export class Grants {
  readonly #clock: Clock;
  readonly #settings: () => QuickBooksSettings;
  readonly #save: (state: GrantsState) => void;
  readonly #grants = new Map<string, Grant>();
  readonly #codes = new Map<string, Code>();
  readonly #byAccessToken = new Map<string, Grant>();
  readonly #byRefreshToken = new Map<string, Grant>();

  constructor(
    clock: Clock,
    settings: () => QuickBooksSettings,
    kept: GrantsState | undefined,
    save: (state: GrantsState) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#save = save;
    for (const one of kept?.codes ?? []) this.#codes.set(one.hash, one);
    for (const one of kept?.grants ?? []) {
      this.#grants.set(one.id, one);
      for (const { hash } of one.accessTokens) this.#byAccessToken.set(hash, one);
      for (const { hash } of one.refreshTokens) this.#byRefreshToken.set(hash, one);
    }
  }

  list(): Grant[] {
    return [...this.#grants.values()];
  }

  issueCode(facts: Pick<Code, 'realmId' | 'scope' | 'redirectUri' | 'codeChallenge'>): string {
    const value = `XAB1${this.#random(46)}`;
    const expiresAt = this.#clock.now() + this.#settings().codeLifetimeSeconds * 1000;
    this.#codes.set(hashOf(value), { ...facts, hash: hashOf(value), expiresAt, used: false, grantId: null });
    this.#keep();
    return value;
  }

  /** A failed attempt uses the code up as well. */
  exchange(value: string, redirectUri: string | undefined, codeVerifier: string | undefined): IssuedTokens {
    const found = this.#codes.get(hashOf(value));
    if (!found) throw new InvalidGrant('Invalid authorization code');
    if (found.used) {
      const given = this.#grants.get(found.grantId ?? '');
      if (given) this.#end(given, 'reuse');
      throw new InvalidGrant('Authorization code was used before');
    }
    found.used = true;
    this.#keep();
    if (found.expiresAt <= this.#clock.now()) throw new InvalidGrant('Authorization code has expired');
    if (found.redirectUri !== redirectUri)
      throw new InvalidGrant('redirect_uri is not the one of the authorization request');
    if (found.codeChallenge !== null && challengeOf(codeVerifier ?? '') !== found.codeChallenge) {
      throw new InvalidGrant('code_verifier does not match the code_challenge');
    }
    const now = this.#clock.now();
    const made: Grant = {
      id: this.#clock.randomUUID(),
      realmId: found.realmId,
      scope: found.scope,
      consentedAt: now,
      hardExpiresAt: now + this.#settings().hardLifetimeSeconds * 1000,
      refreshExpiresAt: now,
      endedBy: null,
      refreshTokens: [],
      accessTokens: [],
    };
    found.grantId = made.id;
    this.#grants.set(made.id, made);
    return this.#issue(made, this.#newRefreshToken(made));
  }

  refresh(presented: string): IssuedTokens {
    const { refreshMode, graceSeconds, omitRefreshToken } = this.#settings();
    const now = this.#clock.now();
    const owner = this.#byRefreshToken.get(hashOf(presented));
    const token = owner?.refreshTokens.find(({ hash }) => hash === hashOf(presented));
    if (!owner || !token || owner.endedBy) throw refusedRefresh();
    if (refreshMode === 'hard-expired' || owner.hardExpiresAt <= now || owner.refreshExpiresAt <= now)
      throw refusedRefresh();
    if (token.replacedAt !== null) {
      if (refreshMode === 'reuse-kills-grant') this.#end(owner, 'reuse');
      const graceMs =
        refreshMode === 'stable-24h' ? dayMs : refreshMode === 'rotate-with-grace' ? graceSeconds * 1000 : 0;
      if (now >= token.replacedAt + graceMs) throw refusedRefresh();
    }
    const isOld = now - token.issuedAt >= dayMs || token.replacedAt !== null;
    if (omitRefreshToken) return this.#issue(owner, undefined);
    // The value in force is known by its hash only, so a replaced one, presented in its grace, gets a new value too.
    return this.#issue(
      owner,
      refreshMode === 'stable-24h' && !isOld ? presented : this.#newRefreshToken(owner),
    );
  }

  /** Ends the grant that the access or refresh token belongs to. False for a token that is not in force. */
  revoke(token: string): boolean {
    const hash = hashOf(token);
    const owner = this.#byRefreshToken.get(hash) ?? this.#byAccessToken.get(hash);
    if (!owner || owner.endedBy) return false;
    if (this.#byAccessToken.has(hash) && !this.#isInForce(owner, hash)) return false;
    this.#end(owner, 'client');
    return true;
  }

  /** The user disconnects the app in QuickBooks. Returns how many grants ended. */
  disconnect(realmId: string): number {
    const ended = this.list().filter((one) => one.realmId === realmId && !one.endedBy);
    for (const one of ended) this.#end(one, 'user');
    return ended.length;
  }

  /** Makes access tokens expire now; of one company or of all. */
  expireAccessTokens(realmId?: string): number {
    const now = this.#clock.now();
    let expired = 0;
    for (const one of this.list()) {
      if (realmId !== undefined && one.realmId !== realmId) continue;
      for (const token of one.accessTokens) {
        if (token.expiresAt > now) expired += 1;
        token.expiresAt = Math.min(token.expiresAt, now);
      }
    }
    this.#keep();
    return expired;
  }

  /** The grant behind an access token, when the token is in force or when the user ended the grant. */
  authenticate(accessToken: string): Grant | undefined {
    const hash = hashOf(accessToken);
    const owner = this.#byAccessToken.get(hash);
    if (!owner || !this.#isInForce(owner, hash)) return undefined;
    return owner.endedBy === null || owner.endedBy === 'user' ? owner : undefined;
  }

  #isInForce(owner: Grant, hash: string): boolean {
    return owner.accessTokens.some((one) => one.hash === hash && one.expiresAt > this.#clock.now());
  }

  #newRefreshToken(owner: Grant): string {
    const now = this.#clock.now();
    const value = `AB11${this.#random(46)}`;
    for (const one of owner.refreshTokens) one.replacedAt ??= now;
    owner.refreshTokens.push({ hash: hashOf(value), issuedAt: now, replacedAt: null });
    this.#byRefreshToken.set(hashOf(value), owner);
    for (const { hash } of owner.refreshTokens.splice(0, owner.refreshTokens.length - rememberedTokens)) {
      this.#byRefreshToken.delete(hash);
    }
    return value;
  }

  #issue(owner: Grant, refreshToken: string | undefined): IssuedTokens {
    const { accessTokenLifetimeSeconds, refreshTokenLifetimeSeconds } = this.#settings();
    const now = this.#clock.now();
    // Real ones are encrypted JWTs of this length: room for them is part of what a client has to get right.
    const accessToken = `eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..${this.#random(22)}.${this.#random(620)}.${this.#random(22)}`;
    owner.refreshExpiresAt = Math.min(now + refreshTokenLifetimeSeconds * 1000, owner.hardExpiresAt);
    for (const { hash } of owner.accessTokens.filter(({ expiresAt }) => expiresAt <= now))
      this.#byAccessToken.delete(hash);
    owner.accessTokens = owner.accessTokens.filter(({ expiresAt }) => expiresAt > now);
    owner.accessTokens.push({
      hash: hashOf(accessToken),
      expiresAt: now + accessTokenLifetimeSeconds * 1000,
    });
    this.#byAccessToken.set(hashOf(accessToken), owner);
    this.#keep();
    return {
      grant: owner,
      accessToken,
      expiresInSeconds: accessTokenLifetimeSeconds,
      refreshToken,
      refreshExpiresInSeconds: Math.round((owner.refreshExpiresAt - now) / 1000),
      hardExpiresInSeconds: Math.round((owner.hardExpiresAt - now) / 1000),
    };
  }

  #end(owner: Grant, by: NonNullable<Grant['endedBy']>): void {
    owner.endedBy ??= by;
    this.#keep();
  }

  #keep(): void {
    const longAgo = this.#clock.now() - dayMs;
    for (const [hash, one] of this.#codes) if (one.expiresAt < longAgo) this.#codes.delete(hash);
    this.#save({ grants: this.list(), codes: [...this.#codes.values()] });
  }

  #random(length: number): string {
    return this.#clock.randomBytes(length).toString('base64url').replace(/[-_]/g, 'x').slice(0, length);
  }
}

function refusedRefresh(): InvalidGrant {
  return new InvalidGrant('Incorrect or invalid refresh token');
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** RFC 7636, 4.2. */
function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}
