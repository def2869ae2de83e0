import { z } from 'zod';
import { ConfigurationError } from './errors.ts';

/** Everything that the environment decides, checked once at the start. No other module reads `process.env`. */
export interface Config {
  production: boolean;
  host: string;
  port: number;
  /** Without a trailing slash. Redirect URIs are made from it. */
  publicUrl: string;
  databaseUrl: string | undefined;
  databasePoolSize: number;
  dataDir: string;
  role: 'api' | 'worker' | 'all';
  /** As given; undefined outside production means: generated in `dataDir`. */
  encryptionKeys: string | undefined;
  identity: IdentityConfig;
  /** When not empty, GraphQL requests must carry one of them. */
  routerSecrets: string[];
  /** The same of Hive Gateway's signatures: one of either kind is enough. */
  routerHmacSecrets: string[];
  returnToOrigins: string[];
  /** What makes a connection ACTIVE. */
  connectCompletion: 'callback' | 'confirm';
  subscriptions: {
    /** Where Apollo Router may have subscriptions posted; undefined: not set. */
    callbackOrigins: string[] | undefined;
    /** WebSockets, streams and callback subscriptions together. */
    perAccount: number;
    total: number;
  };
  /** In points of `@cost`, over all transports; 0: no bound. */
  costPerAccountPerSecond: number;
  sandbox: { enabled: boolean; port: number };
  integrations: Map<string, IntegrationConfig>;
  recordMaxAgeSeconds: number;
  /** Between two proofs of one connection by a call of our own. */
  probeIntervalMs: number;
  pollIntervalMs: number;
  recordRetentionDays: number;
  eventRetentionDays: number;
  requestTimeoutMs: number;
  interactiveDeadlineMs: number;
  /** How long requests are still taken after the signal to stop, while `/readyz` says that none should come. */
  drainDelayMs: number;
  /** Where providers' answers are written, sanitised; never in production. */
  recordDir: string | undefined;
  logLevel: string;
}

export type IdentityConfig = {
  accountClaim: string;
  issuer: string | undefined;
  audience: string | undefined;
} & ({ kind: 'development' } | { kind: 'jwks'; url: string } | { kind: 'secret'; secret: string });

export interface IntegrationConfig {
  credentials: { clientId: string; clientSecret: string } | undefined;
  /** All are accepted; none means that every webhook is refused. */
  webhookSecrets: readonly string[];
  endpoints: { authorizeUrl?: string; tokenUrl?: string; revokeUrl?: string; apiUrl?: string };
  rateLimit: { limit: number; windowMs: number } | undefined;
  retry: { attempts?: number; baseMs?: number; capMs?: number };
}

const wholeNumber = (least: number, most: number, unit: string) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number of ${unit}`)
    .transform(Number)
    .refine((n) => n >= least && n <= most, `must be from ${least} to ${most} ${unit}`);
const httpUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'must be an http(s) URL')
  .transform((text) => text.replace(/\/+$/, ''));
const origin = httpUrl.refine(
  (url) => new URL(url).origin === url,
  'must be origins, e.g. https://app.example.com',
);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

const settings = z.object({
  NODE_ENV: z.string().default('development'),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: wholeNumber(0, 65535, '(a TCP port)').default(4000),
  PUBLIC_URL: httpUrl.optional(),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgres:// or postgresql://')
    .refine((text) => URL.canParse(text), 'is not a URL')
    .optional(),
  DATABASE_POOL_SIZE: wholeNumber(1, 1000, 'connections').default(10),
  DATA_DIR: z.string().min(1).default('.data'),
  ROLE: z.enum(['api', 'worker', 'all'], 'must be api, worker or all').default('all'),
  ENCRYPTION_KEYS: z.string().optional(),
  AUTH_JWKS_URL: httpUrl.optional(),
  AUTH_JWT_SECRET: z.string().optional(),
  AUTH_ISSUER: z.string().optional(),
  AUTH_AUDIENCE: z.string().optional(),
  AUTH_ACCOUNT_CLAIM: z.string().min(1).default('account_id'),
  ROUTER_SECRET: list.refine((secrets) => secrets.length > 0, 'is set but holds no secret').default([]),
  ROUTER_HMAC_SECRET: list.refine((secrets) => secrets.length > 0, 'is set but holds no secret').default([]),
  CONNECT_COMPLETION: z.enum(['callback', 'confirm'], 'must be callback or confirm').default('callback'),
  RETURN_TO_ORIGINS: list.pipe(z.array(origin)).optional(),
  SUBSCRIPTION_CALLBACK_ORIGINS: list.pipe(z.array(origin)).optional(),
  SUBSCRIPTIONS_PER_ACCOUNT: wholeNumber(1, 1_000_000, 'subscribers').default(1_000),
  SUBSCRIPTIONS_TOTAL: wholeNumber(1, 1_000_000, 'subscribers').default(20_000),
  COST_PER_ACCOUNT_PER_SECOND: wholeNumber(0, 1_000_000_000, 'points of cost').default(200_000),
  SANDBOX: z.enum(['true', 'false'], 'must be true or false').optional(),
  SANDBOX_PORT: wholeNumber(0, 65535, '(a TCP port)').optional(),
  POLL_INTERVAL_SECONDS: wholeNumber(1, 2_592_000, 'seconds').default(300),
  PROBE_INTERVAL_SECONDS: wholeNumber(1, 2_592_000, 'seconds').default(3_600),
  RECORD_RETENTION_DAYS: wholeNumber(0, 3650, 'days').default(30),
  EVENT_RETENTION_DAYS: wholeNumber(1, 3650, 'days').default(30),
  RECORD_MAX_AGE_SECONDS: wholeNumber(0, 31_536_000, 'seconds').default(0),
  REQUEST_TIMEOUT_MS: wholeNumber(1, 600_000, 'milliseconds').default(10_000),
  INTERACTIVE_DEADLINE_MS: wholeNumber(1, 600_000, 'milliseconds').default(5_000),
  DRAIN_DELAY_SECONDS: wholeNumber(0, 600, 'seconds').default(0),
  RECORD_DIR: z.string().min(1).optional(),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'must be a pino level, e.g. info')
    .default('info'),
});

const integrationSettings = z.object({
  CLIENT_ID: z.string().optional(),
  CLIENT_SECRET: z.string().optional(),
  WEBHOOK_SECRETS: list
    .refine(
      (secrets) => secrets.length > 0 && secrets.every((secret) => secret.length >= 8),
      'holds a secret of fewer than 8 characters, or none',
    )
    .default([]),
  AUTHORIZE_URL: httpUrl.optional(),
  TOKEN_URL: httpUrl.optional(),
  REVOKE_URL: httpUrl.optional(),
  API_URL: httpUrl.optional(),
  RATE_LIMIT: z
    .string()
    .regex(/^[1-9]\d{0,8}\/[1-9]\d{0,5}$/, 'must be requests/seconds, e.g. 500/60')
    .optional(),
  RETRY_ATTEMPTS: wholeNumber(1, 20, 'attempts').optional(),
  RETRY_BASE_MS: wholeNumber(1, 600_000, 'milliseconds').optional(),
  RETRY_CAP_MS: wholeNumber(1, 3_600_000, 'milliseconds').optional(),
});

type Environment = Record<string, string | undefined>;

/** What is read before all else: the file may describe integrations that have settings of their own. */
export function integrationsFile(environment: Environment = process.env): {
  path: string | undefined;
  production: boolean;
} {
  const { INTEGRATIONS_FILE: path, NODE_ENV } = environment;
  return { path: path === '' ? undefined : path, production: NODE_ENV === 'production' };
}

/**
 * Throws a `ConfigurationError` whose one line names every wrong setting. An empty value counts as unset.
 * @param publicClients integrations whose client has an id and no secret
 */
export function readConfig(
  integrationIds: readonly string[],
  environment: Environment = process.env,
  publicClients: ReadonlySet<string> = new Set(),
): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const { NODE_ENV, ...s } = parse(settings, given, '');
  const production = NODE_ENV === 'production';
  const integrations = new Map(
    integrationIds.map((id) => [id, integrationConfig(given, id, publicClients.has(id))]),
  );

  if (production) {
    const needed = ['DATABASE_URL', 'ENCRYPTION_KEYS', 'PUBLIC_URL'] as const;
    const missing: string[] = needed.filter((name) => s[name] === undefined);
    if (!s.AUTH_JWKS_URL && !s.AUTH_JWT_SECRET) missing.push('AUTH_JWKS_URL or AUTH_JWT_SECRET');
    if (missing.length > 0) throw new ConfigurationError(`production needs ${missing.join(', ')}`);
    if (s.RECORD_DIR !== undefined)
      throw new ConfigurationError(
        'RECORD_DIR is refused in production: it writes what providers answer to files',
      );
  }
  if (s.AUTH_JWKS_URL && s.AUTH_JWT_SECRET)
    throw new ConfigurationError('AUTH_JWKS_URL and AUTH_JWT_SECRET exclude each other: set one');

  const publicUrl = s.PUBLIC_URL ?? `http://localhost:${s.PORT}`;
  const anyCredentials = [...integrations.values()].some((i) => i.credentials);
  return {
    production,
    host: s.HOST,
    port: s.PORT,
    publicUrl,
    databaseUrl: s.DATABASE_URL,
    databasePoolSize: s.DATABASE_POOL_SIZE,
    dataDir: s.DATA_DIR,
    role: s.ROLE,
    encryptionKeys: s.ENCRYPTION_KEYS,
    identity: {
      accountClaim: s.AUTH_ACCOUNT_CLAIM,
      issuer: s.AUTH_ISSUER,
      audience: s.AUTH_AUDIENCE,
      ...verifier(s.AUTH_JWKS_URL, s.AUTH_JWT_SECRET),
    },
    routerSecrets: s.ROUTER_SECRET,
    routerHmacSecrets: s.ROUTER_HMAC_SECRET,
    connectCompletion: s.CONNECT_COMPLETION,
    returnToOrigins: s.RETURN_TO_ORIGINS ?? [new URL(publicUrl).origin],
    subscriptions: {
      callbackOrigins: s.SUBSCRIPTION_CALLBACK_ORIGINS,
      perAccount: s.SUBSCRIPTIONS_PER_ACCOUNT,
      total: s.SUBSCRIPTIONS_TOTAL,
    },
    costPerAccountPerSecond: s.COST_PER_ACCOUNT_PER_SECOND,
    sandbox: {
      enabled: s.SANDBOX === undefined ? !production && !anyCredentials : s.SANDBOX === 'true',
      port: s.SANDBOX_PORT ?? (s.PORT === 0 || s.PORT === 65_535 ? 0 : s.PORT + 1),
    },
    integrations,
    recordMaxAgeSeconds: s.RECORD_MAX_AGE_SECONDS,
    probeIntervalMs: s.PROBE_INTERVAL_SECONDS * 1_000,
    pollIntervalMs: s.POLL_INTERVAL_SECONDS * 1_000,
    recordRetentionDays: s.RECORD_RETENTION_DAYS,
    eventRetentionDays: s.EVENT_RETENTION_DAYS,
    requestTimeoutMs: s.REQUEST_TIMEOUT_MS,
    interactiveDeadlineMs: s.INTERACTIVE_DEADLINE_MS,
    drainDelayMs: s.DRAIN_DELAY_SECONDS * 1_000,
    recordDir: s.RECORD_DIR,
    logLevel: s.LOG_LEVEL,
  };
}

function verifier(url: string | undefined, secret: string | undefined) {
  if (url !== undefined) return { kind: 'jwks', url } as const;
  if (secret !== undefined) return { kind: 'secret', secret } as const;
  return { kind: 'development' } as const;
}

function integrationConfig(environment: Environment, id: string, isPublic: boolean): IntegrationConfig {
  const prefix = `${id.toUpperCase().replaceAll('-', '_')}_`;
  const names = Object.keys(integrationSettings.shape);
  const own = Object.fromEntries(
    names.map((name) => [name, environment[prefix + name]]).filter(([, value]) => value !== undefined),
  ) as Environment;
  const s = parse(integrationSettings, own, prefix);
  if (isPublic && s.CLIENT_SECRET !== undefined)
    throw new ConfigurationError(`${prefix}CLIENT_SECRET is not used: its clientAuth is none`);
  if (!isPublic && (s.CLIENT_ID === undefined) !== (s.CLIENT_SECRET === undefined))
    throw new ConfigurationError(
      `${prefix}CLIENT_ID and ${prefix}CLIENT_SECRET belong together: set both or none`,
    );
  const [limit, seconds] = s.RATE_LIMIT?.split('/').map(Number) ?? [];
  return {
    credentials:
      s.CLIENT_ID === undefined ? undefined : { clientId: s.CLIENT_ID, clientSecret: s.CLIENT_SECRET ?? '' },
    webhookSecrets: s.WEBHOOK_SECRETS,
    endpoints: {
      ...(s.AUTHORIZE_URL && { authorizeUrl: s.AUTHORIZE_URL }),
      ...(s.TOKEN_URL && { tokenUrl: s.TOKEN_URL }),
      ...(s.REVOKE_URL && { revokeUrl: s.REVOKE_URL }),
      ...(s.API_URL && { apiUrl: s.API_URL }),
    },
    rateLimit: limit !== undefined && seconds !== undefined ? { limit, windowMs: seconds * 1000 } : undefined,
    retry: {
      ...(s.RETRY_ATTEMPTS !== undefined && { attempts: s.RETRY_ATTEMPTS }),
      ...(s.RETRY_BASE_MS !== undefined && { baseMs: s.RETRY_BASE_MS }),
      ...(s.RETRY_CAP_MS !== undefined && { capMs: s.RETRY_CAP_MS }),
    },
  };
}

/** Values are never repeated in the message: a setting may be a secret. */
function parse<T extends z.ZodType>(schema: T, values: unknown, prefix: string): z.output<T> {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${prefix}${String(issue.path[0])} ${issue.message}`);
  throw new ConfigurationError([...new Set(wrong)].join('; '));
}
