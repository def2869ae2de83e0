import { z } from 'zod';

const seconds = z.int().min(0);

export const refreshModes = [
  'stable-24h',
  'rotate-always-strict',
  'rotate-with-grace',
  'reuse-kills-grant',
  'hard-expired',
] as const;

/** How the emulated QuickBooks behaves. What the real service leaves uncertain is switchable. */
export const quickBooksSettings = z.strictObject({
  /**
   * `stable-24h`: the same refresh token until it is 24 h old, then a new one, the old one good for another 24 h.
   * `rotate-always-strict`: a new one at each refresh, the old one refused at once, the grant lives.
   * `rotate-with-grace`: the same, but the old one is good for `graceSeconds`.
   * `reuse-kills-grant`: a replaced token, presented again, ends the whole grant.
   * `hard-expired`: every refresh is refused, as after the five years that one consent lasts.
   */
  refreshMode: z.enum(refreshModes).default('stable-24h'),
  graceSeconds: seconds.default(60),
  accessTokenLifetimeSeconds: z.int().min(1).default(3600),
  refreshTokenLifetimeSeconds: z.int().min(1).default(8_640_000),
  hardLifetimeSeconds: z.int().min(1).default(157_680_000),
  codeLifetimeSeconds: z.int().min(1).default(300),
  /** A `scope` member in token answers; QuickBooks sends none. */
  tokenScope: z.string().nullable().default(null),
  /** Refresh answers without `refresh_token`: the one presented stays good. */
  omitRefreshToken: z.boolean().default(false),

  rateLimits: z.boolean().default(true),
  requestsPerSecond: z.int().min(1).default(10),
  requestsPerMinute: z.int().min(1).default(500),
  batchesPerMinute: z.int().min(1).default(40),
  concurrentRequests: z.int().min(1).default(10),
  /** Calls in a calendar month over all companies (500,000 in the Builder tier); a batch item counts as one. */
  callsPerMonth: z.int().min(1).nullable().default(null),
  /** Sliding windows are shorter by this much, for the jitter between a client's clock and ours. */
  windowToleranceMs: z.int().min(0).max(900).default(20),
  /** Throttled requests are answered in XML whatever was asked for, in JSON, or in both by turns. */
  throttleFormat: z.enum(['alternate', 'xml', 'json']).default('alternate'),
  throttleStatus: z.union([z.literal(429), z.literal(403), z.literal(503)]).default(429),
  /** QuickBooks documents no Retry-After. */
  retryAfterSeconds: seconds.nullable().default(null),
  /** So many of the next batch items fail with the throttle fault inside a 200. */
  throttledBatchItems: z.int().min(0).default(0),

  /** 401 and 403 in the gateway's lower-case envelope, or as the newer APIs write them. */
  authenticationFault: z.enum(['gateway', 'plain']).default('gateway'),
  /** By realm id. */
  companyConditions: z
    .record(z.string(), z.enum(['normal', 'admin-lost-access', 'subscription-ended']))
    .default({}),
  /** Most objects in one answer of `cdc`; what is beyond it is cut off without a word. */
  changesPerAnswer: z.int().min(1).default(1000),
  /** Changes show up in `cdc` and in queries by time only after this long. */
  visibilityLagMs: z.int().min(0).default(0),
  /** The provider's clock minus ours. */
  clockSkewMs: z.int().default(0),
  /** An old report: MAXRESULTS n sometimes gives n + 1. */
  onePastMaxResults: z.boolean().default(false),

  /** CloudEvents since 2026, `legacy` before. */
  webhookFormat: z.enum(['cloudevents', 'legacy']).default('cloudevents'),
  /** What happens within so long is told in one request; the real service gathers for minutes at times. */
  webhookDelayMs: z.int().min(0).default(100),
  /** Several companies in one body; otherwise each has its own, as the real service does it today. */
  webhooksMixRealms: z.boolean().default(false),
  /** An endpoint that has not answered by then has not acknowledged. */
  webhookTimeoutMs: z.int().min(1).default(3000),
  /** Multiplies the waits before retries: 10 s, 20 s, 30 s, 5 min, 20 min, 2 h, 4 h, 6 h. */
  webhookRetryScale: z.number().min(0).default(1),
  /** Later ones wait until those before were acknowledged or given up. */
  webhooksHeldBack: z.boolean().default(false),

  /** So often something happens in a connected company by itself; 0: never. */
  activityEveryMs: z.int().min(0).default(0),
  /** The same seed gives the same happenings, beginning anew whenever settings are changed. Null: by chance. */
  activitySeed: z.int().nullable().default(null),
});

export type QuickBooksSettings = z.infer<typeof quickBooksSettings>;
