import { z } from 'zod';

const seconds = z.int().min(0);

/** How the emulated MyCarrierPackets behaves. What the real service leaves uncertain is switchable. */
export const myCarrierPacketsSettings = z.strictObject({
  /**
   * `rotate-always-strict`: a new refresh token at each refresh, the old one refused at once, what it gave lives on.
   * `rotate-with-grace`: the same, but the old one is good for `graceSeconds`.
   * `reuse-ends-session`: a replaced token, presented again, ends every token that came of the same sign-in.
   * `stable`: the same refresh token for as long as it lives.
   * `refused`: every refresh is refused.
   */
  refreshMode: z
    .enum(['rotate-always-strict', 'rotate-with-grace', 'reuse-ends-session', 'stable', 'refused'])
    .default('rotate-always-strict'),
  graceSeconds: seconds.default(60),
  /** 14 days, of which `expires_in` tells one second less. */
  accessTokenLifetimeSeconds: z.int().min(2).default(1_209_600),
  /** From its own issue; the vendor tells none. */
  refreshTokenLifetimeSeconds: z.int().min(1).default(2_592_000),
  /** Refresh answers without `refresh_token`: the one presented stays good. */
  omitRefreshToken: z.boolean().default(false),
  /** `.issued` and `.expires`, as this stack spells them, the same without the dots, or neither. */
  issuedMembers: z.enum(['dotted', 'plain', 'none']).default('dotted'),
  /** A refresh that carries `client_id` or `client_secret`: one client blames them for its `invalid_grant`. */
  clientCredentialsOnRefresh: z.enum(['refused', 'ignored']).default('refused'),

  rateLimits: z.boolean().default(true),
  /** The vendor's guide: CarriersChanges not more often than every four minutes. Further pages of a range are free. */
  changesIntervalSeconds: seconds.default(240),
  /** Of one user over all operations; the vendor publishes none. */
  requestsPerMinute: z.int().min(1).nullable().default(null),
  /** Windows are shorter by this much, for the jitter between a client's clock and ours. */
  windowToleranceMs: z.int().min(0).max(900).default(20),
  sendRetryAfter: z.boolean().default(true),

  /** A carrier that nobody knows: 404, or an empty list where the answer is a list. */
  unknownCarrier: z.enum(['not-found', 'empty']).default('not-found'),
  /** A required parameter is missing: 404, since the stack then finds no action that fits, or 400. */
  missingParameter: z.enum(['no-action', 'invalid']).default('no-action'),
  /** Operations, by name in any case, that the customer's plan does not hold. */
  deniedOperations: z.array(z.string()).default([]),
  /** The stack answers 401 to a user without the role, too. */
  deniedStatus: z.union([z.literal(401), z.literal(403)]).default(403),
  /** Changes and packets show up in lists by time only after this long. */
  visibilityLagMs: z.int().min(0).default(0),
  /** The provider's clock minus ours. */
  clockSkewMs: z.int().default(0),
  /** The zone, in minutes from UTC, of times without one. */
  zoneOffsetMinutes: z.int().min(-720).max(840).default(0),

  /** The vendor's page and its sample say hex; a stored older copy says base64, with a base64 secret. */
  signatureEncoding: z.enum(['hex', 'base64']).default('hex'),
  secretEncoding: z.enum(['utf8', 'base64']).default('utf8'),
  signaturePrefix: z.string().default(''),
  /** Multiplies the vendor's waits between attempts: 0, 5, 10 and 15 minutes. */
  retryScale: z.number().min(0).default(1),
  /** An endpoint that has not answered by then has not acknowledged. */
  deliveryTimeoutMs: z.int().min(1).default(10_000),

  /** Every so often something happens to some carrier. Null: only what is asked for happens. */
  activityEverySeconds: z.int().min(1).nullable().default(null),
  /** Carriers answer invitations and verification requests after so long. Null: they never do by themselves. */
  answerAfterSeconds: seconds.nullable().default(null),
});

export type MyCarrierPacketsSettings = z.infer<typeof myCarrierPacketsSettings>;
