/**
 * How a provider signs its webhooks, as data. One verifier (`webhooks/verify.ts`) reads all of them; a configured
 * integration has the same members.
 */
export interface SignatureScheme {
  /** Lower case. */
  header: string;
  /**
   * What the header holds: one signature, maybe behind a prefix; `t=1700000000,v1=<signature>,v1=<signature>`; or
   * `v1,<signature> v1,<signature>`. Of several signatures one must be right, of other versions none counts.
   */
  form: 'plain' | 'pairs' | 'list';
  /** Plain: before the signature, e.g. `sha256=`. Pairs: the name of a signature. List: the version. */
  label?: string;
  /** Plain: the label may be missing. */
  labelOptional?: boolean;
  algorithm: 'sha1' | 'sha256' | 'sha512';
  encoding: 'hex' | 'base64';
  /** What a secret's text is: the key itself, the key in base64, or the same after `whsec_`. */
  secretEncoding: 'utf8' | 'base64' | 'whsec';
  /** What is signed, with `{body}`, `{timestamp}` and `{id}` filled in. */
  signed: string;
  /** Where the time stands, in seconds since 1970: a header, or, in pairs, a name. */
  timestamp?: { header: string } | { pair: string };
  /** How far it may be from our time, on either side. */
  toleranceSeconds?: number;
  /** Where the provider names the delivery, the same at each retry. */
  idHeader?: string;
}

const usual = {
  algorithm: 'sha256',
  secretEncoding: 'utf8',
  signed: '{body}',
} as const satisfies Partial<SignatureScheme>;
const fiveMinutes = 300;

/** Intuit: Base64 of the HMAC over the body, keyed with the verifier token. No time, no id. */
export const intuitScheme: SignatureScheme = {
  ...usual,
  header: 'intuit-signature',
  form: 'plain',
  encoding: 'base64',
};

/** Slack, "Verifying requests": `v0=` and hex, over the version, the time and the body. */
export const slackScheme: SignatureScheme = {
  ...usual,
  header: 'x-slack-signature',
  form: 'plain',
  label: 'v0=',
  encoding: 'hex',
  signed: 'v0:{timestamp}:{body}',
  timestamp: { header: 'x-slack-request-timestamp' },
  toleranceSeconds: fiveMinutes,
};

/** MyCarrierPackets: lower-case hex; some of its senders put `sha256=` before it. No time, no id. */
export const myCarrierPacketsScheme: SignatureScheme = {
  ...usual,
  header: 'mcp-signature',
  form: 'plain',
  label: 'sha256=',
  labelOptional: true,
  encoding: 'hex',
};

/** GitHub, "Validating webhook deliveries". The delivery's id stays when it is sent again. */
export const githubScheme: SignatureScheme = {
  ...usual,
  header: 'x-hub-signature-256',
  form: 'plain',
  label: 'sha256=',
  encoding: 'hex',
  idHeader: 'x-github-delivery',
};

/** Stripe, "Check the webhook signatures": keyed with the whole `whsec_` text. */
export const stripeScheme: SignatureScheme = {
  ...usual,
  header: 'stripe-signature',
  form: 'pairs',
  label: 'v1',
  encoding: 'hex',
  signed: '{timestamp}.{body}',
  timestamp: { pair: 't' },
  toleranceSeconds: fiveMinutes,
};

/** The Standard Webhooks specification: the id stays at each retry, the time does not. */
export const standardScheme: SignatureScheme = {
  ...usual,
  header: 'webhook-signature',
  form: 'list',
  label: 'v1',
  encoding: 'base64',
  secretEncoding: 'whsec',
  signed: '{id}.{timestamp}.{body}',
  timestamp: { header: 'webhook-timestamp' },
  toleranceSeconds: fiveMinutes,
  idHeader: 'webhook-id',
};
