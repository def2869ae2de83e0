import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';
import { httpTime } from './time.ts';

/**
 * One session per sign-in with a password, with the tokens that came of it. Tokens are known by their SHA-256 only, so
 * that what is kept is no secret.
 *
 * A new password or a disabled user ends no token: this stack's access tokens speak for themselves until they expire.
 * Only an operator's revocation, or in one refresh mode the reuse of a refresh token, ends a session.
 */
const session = z.object({
  id: z.string(),
  userName: z.string(),
  ended: z.boolean(),
  refreshTokens: z.array(
    z.object({ hash: z.string(), expiresAt: z.number(), replacedAt: z.number().nullable() }),
  ),
  accessTokens: z.array(z.object({ hash: z.string(), expiresAt: z.number() })),
});
export const sessionsState = z.array(session);

export type Session = z.infer<typeof session>;

export interface TokensOptions {
  clock: Clock;
  /** The provider's time, skew included. */
  now: () => number;
  settings: () => MyCarrierPacketsSettings;
  kept: Session[] | undefined;
  save: (sessions: Session[]) => void;
  /** Whether the user may sign in and refresh. */
  isEnabled: (userName: string) => boolean;
}

export interface Tokens {
  signIn(userName: string): object;
  /** Undefined: refused. */
  refresh(presented: string): object | undefined;
  /** The user behind an access token in force. */
  authenticate(accessToken: string): string | undefined;
  /** Of one user, or of all. Returns how many sessions ended. */
  revoke(userName?: string): number;
  /** Makes access tokens expire now; of one user or of all. Returns how many. */
  expireAccessTokens(userName?: string): number;
}

/** Replaced refresh tokens that a session remembers, for grace and to see a reuse. */
const remembered = 200;

export function openTokens(options: TokensOptions): Tokens {
  const { clock, now, settings } = options;
  let sessions: Session[] = options.kept ?? [];

  const random = (length: number) => clock.randomBytes(length).toString('base64url').slice(0, length);
  const isOver = ({ ended, refreshTokens, accessTokens }: Session) =>
    accessTokens.every(({ expiresAt }) => expiresAt <= now()) &&
    (ended || refreshTokens.every(({ expiresAt }) => expiresAt <= now()));
  const save = () => {
    sessions = sessions.filter((one) => !isOver(one));
    options.save(sessions);
  };
  const issue = (owner: Session, refreshToken: string | undefined): object => {
    const { accessTokenLifetimeSeconds, issuedMembers } = settings();
    const accessToken = random(430);
    const expiresAt = now() + accessTokenLifetimeSeconds * 1000;
    owner.accessTokens = owner.accessTokens.filter((one) => one.expiresAt > now());
    owner.accessTokens.push({ hash: hashOf(accessToken), expiresAt });
    save();
    const dot = issuedMembers === 'dotted' ? '.' : '';
    return {
      access_token: accessToken,
      token_type: 'bearer',
      // Whole seconds that are left when the answer is written.
      expires_in: accessTokenLifetimeSeconds - 1,
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
      userName: owner.userName,
      ...(issuedMembers !== 'none' && {
        [`${dot}issued`]: httpTime(now()),
        [`${dot}expires`]: httpTime(expiresAt),
      }),
    };
  };
  const newRefreshToken = (owner: Session): string => {
    const value = clock.randomBytes(16).toString('hex');
    for (const one of owner.refreshTokens) one.replacedAt ??= now();
    const expiresAt = now() + settings().refreshTokenLifetimeSeconds * 1000;
    owner.refreshTokens.push({ hash: hashOf(value), expiresAt, replacedAt: null });
    owner.refreshTokens.splice(0, owner.refreshTokens.length - remembered);
    return value;
  };

  return {
    signIn(userName) {
      const made: Session = {
        id: clock.randomUUID(),
        userName,
        ended: false,
        refreshTokens: [],
        accessTokens: [],
      };
      sessions.push(made);
      return issue(made, newRefreshToken(made));
    },
    refresh(presented) {
      const { refreshMode, graceSeconds, omitRefreshToken } = settings();
      const hash = hashOf(presented);
      const owner = sessions.find(({ refreshTokens }) => refreshTokens.some((one) => one.hash === hash));
      const token = owner?.refreshTokens.find((one) => one.hash === hash);
      if (!owner || !token || owner.ended || token.expiresAt <= now()) return undefined;
      if (refreshMode === 'refused' || !options.isEnabled(owner.userName)) return undefined;
      if (token.replacedAt !== null) {
        if (refreshMode === 'reuse-ends-session') {
          end(owner);
          save();
        }
        const graceMs = refreshMode === 'rotate-with-grace' ? graceSeconds * 1000 : 0;
        if (now() >= token.replacedAt + graceMs) return undefined;
      }
      if (omitRefreshToken) return issue(owner, undefined);
      return issue(owner, refreshMode === 'stable' ? presented : newRefreshToken(owner));
    },
    authenticate(accessToken) {
      const hash = hashOf(accessToken);
      return sessions.find(({ accessTokens }) =>
        accessTokens.some((one) => one.hash === hash && one.expiresAt > now()),
      )?.userName;
    },
    revoke(userName) {
      const ending = sessions.filter((one) => !one.ended && (userName ?? one.userName) === one.userName);
      for (const one of ending) end(one);
      save();
      return ending.length;
    },
    expireAccessTokens(userName) {
      let expired = 0;
      for (const one of sessions) {
        if (userName !== undefined && one.userName !== userName) continue;
        expired += one.accessTokens.filter(({ expiresAt }) => expiresAt > now()).length;
        one.accessTokens = [];
      }
      save();
      return expired;
    },
  };
}

function end(owner: Session): void {
  owner.ended = true;
  owner.accessTokens = [];
}

/** SHA-256, in hex. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
