import type { RateLimit } from './provider.ts';

/**
 * Slack counts for each method and workspace, by the minute, in tiers that name the least it lets through
 * (docs.slack.dev, "Rate limits"). Methods that are not named here are held to tier 2.
 */
const tiers: readonly { name: string; limit: number; operations: readonly string[] }[] = [
  {
    name: 'tier 3',
    limit: 50,
    operations: [
      'auth.revoke',
      'conversations.history',
      'conversations.info',
      'conversations.replies',
      'team.info',
    ],
  },
  { name: 'tier 4', limit: 100, operations: ['users.info', 'conversations.members'] },
  // "Hundreds of requests a minute".
  { name: 'special', limit: 100, operations: ['auth.test', 'oauth.v2.access'] },
];

const perMinute = (limit: Omit<RateLimit, 'windowMs' | 'per'>): RateLimit => ({
  ...limit,
  windowMs: 60_000,
  per: ['account', 'operation'],
});

export const slackLimits: readonly RateLimit[] = [
  ...tiers.map(perMinute),
  perMinute({
    name: 'tier 2',
    limit: 20,
    exceptOperations: [...tiers.flatMap(({ operations }) => operations), 'chat.postMessage'],
  }),
  // A message a second into one channel, and a cap for the workspace that Slack does not number.
  {
    name: 'channel',
    limit: 1,
    windowMs: 1_000,
    per: ['account', 'operation', 'subject'],
    operations: ['chat.postMessage'],
  },
  perMinute({ name: 'messages', limit: 100, operations: ['chat.postMessage'] }),
];
