import { z } from 'zod';

const seconds = z.int().min(0);
const perMinute = (count: number) => z.int().min(1).default(count);

export const subscribableEvents = [
  'app_uninstalled',
  'tokens_revoked',
  'channel_created',
  'channel_rename',
  'channel_archive',
  'channel_unarchive',
  'channel_deleted',
  'group_rename',
  'group_archive',
  'group_unarchive',
  'group_deleted',
  'member_joined_channel',
  'message',
  'team_join',
  'user_change',
  'team_rename',
] as const;

/** How the emulated Slack behaves. What the real service leaves uncertain is switchable. */
export const slackSettings = z.strictObject({
  /** What is issued from now on expires and comes with a refresh token; without, tokens live until they are revoked. */
  tokenRotation: z.boolean().default(true),
  accessTokenLifetimeSeconds: z.int().min(1).default(43_200),
  /** A used refresh token is good for this long after its first use. Slack says "a short grace period". */
  refreshGraceSeconds: seconds.default(60),
  /** A further refresh revokes the oldest of a token line. */
  activeAccessTokens: z.int().min(1).default(2),
  /**
   * Whether a workspace that installs the app again goes on with the token line it has, so that the count of active
   * tokens goes on too, or begins one beside it.
   */
  reinstall: z.enum(['joins-line', 'own-line']).default('joins-line'),
  codeLifetimeSeconds: z.int().min(1).default(600),

  rateLimits: z.boolean().default(true),
  /** Calls a minute of each method, in each workspace. Slack names the least that it lets through. */
  tierLimits: z
    .strictObject({
      tier1: perMinute(1),
      tier2: perMinute(20),
      tier3: perMinute(50),
      tier4: perMinute(100),
      /** "Hundreds of requests per minute". */
      special: perMinute(300),
    })
    .prefault({}),
  /** Messages into one channel: one a second, so many at once after a pause. */
  messageBurst: z.int().min(1).default(3),
  /** Into all channels of a workspace; Slack says "several hundred". */
  messagesPerMinute: perMinute(300),
  /** Windows are shorter by this much, for the jitter between a client's clock and ours. */
  windowToleranceMs: z.int().min(0).max(900).default(20),
  /** Of every 429; null: the whole seconds until a call is let through. */
  retryAfterSeconds: z.int().min(1).nullable().default(null),

  /** Pages hold this part of what was asked for, at least one: fewer than `limit` is not the end. */
  pageFill: z.number().gt(0).max(1).default(1),
  /** By team id: the `error` of every call, such as `org_login_required` or `team_added_to_org`. */
  workspaceErrors: z.record(z.string(), z.string()).default({}),
  /** The provider's clock minus ours. */
  clockSkewMs: z.int().default(0),

  /** What the app is subscribed to. */
  events: z.array(z.enum(subscribableEvents)).default([...subscribableEvents]),
  /** An uninstalled app is told of its tokens and of itself, in either order. */
  uninstallOrder: z.enum(['any', 'tokens-first', 'app-first']).default('any'),
  /** The legacy `authed_users` and `authed_teams` in envelopes. */
  legacyEnvelope: z.boolean().default(false),
  deliveryTimeoutMs: z.int().min(1).default(3000),
  /** Multiplies the waits before the second and third retry: 1 and 5 minutes. */
  retryScale: z.number().min(0).default(1),
  /** Of one workspace; more are dropped, and `app_rate_limited` says so once a minute. */
  eventsPerHour: z.int().min(1).default(30_000),

  /** Every so often something happens in some workspace. Null: only what is asked for happens. */
  activityEverySeconds: z.int().min(1).nullable().default(null),
});

export type SlackSettings = z.infer<typeof slackSettings>;
