import { z } from 'zod';

/**
 * Who has installed the app, and with what tokens. Tokens are known by their SHA-256 only.
 *
 * An installation is a workspace's. It holds token lines: the bot's, and one of each user who granted scopes of their
 * own. A line that rotates goes on through its refresh tokens; one that does not has tokens that never expire. A line
 * ends when it is revoked; the installation ends when it is uninstalled, or when its last line ends. Nothing brings
 * either back: an app that is installed again is a new installation.
 */
const line = z.object({
  id: z.string(),
  kind: z.enum(['bot', 'user']),
  userId: z.string(),
  scopes: z.array(z.string()),
  rotates: z.boolean(),
  isEnded: z.boolean(),
  accessTokens: z.array(
    z.object({ hash: z.string(), expiresAt: z.number().nullable(), isRevoked: z.boolean() }),
  ),
  refreshTokens: z.array(z.object({ hash: z.string(), usedAt: z.number().nullable() })),
});
const installation = z.object({
  id: z.string(),
  teamId: z.string(),
  /** Null where only users granted scopes. */
  botUserId: z.string().nullable(),
  installedBy: z.string(),
  installedAt: z.number(),
  endedBy: z.enum(['app', 'user']).nullable(),
  lines: z.array(line),
});
const code = z.object({
  hash: z.string(),
  teamId: z.string(),
  userId: z.string(),
  botScopes: z.array(z.string()),
  userScopes: z.array(z.string()),
  redirectUri: z.string(),
  codeChallenge: z.string().nullable(),
  expiresAt: z.number(),
  isUsed: z.boolean(),
});
export const installationsState = z.object({ installations: z.array(installation), codes: z.array(code) });

export type InstallationsState = z.infer<typeof installationsState>;
export type Installation = z.infer<typeof installation>;
export type TokenLine = z.infer<typeof line>;
export type Code = z.infer<typeof code>;
export type AccessToken = TokenLine['accessTokens'][number];
