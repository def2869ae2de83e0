import { describe, expect, it } from 'vitest';
import { integrationsFile, readConfig } from '../src/config.ts';

const ids = ['quickbooks'];
const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://app@db.internal/integrations',
  ENCRYPTION_KEYS: 'a:AAAA',
  PUBLIC_URL: 'https://integrations.example.com/',
  AUTH_JWKS_URL: 'https://id.example.com/jwks',
};

describe('readConfig', () => {
  it('needs nothing outside production', () => {
    const config = readConfig(ids, {});
    expect(config).toMatchObject({
      production: false,
      host: '127.0.0.1',
      port: 4000,
      publicUrl: 'http://localhost:4000',
      databaseUrl: undefined,
      dataDir: '.data',
      role: 'all',
      identity: { kind: 'development', accountClaim: 'account_id' },
      returnToOrigins: ['http://localhost:4000'],
      sandbox: { enabled: true, port: 4001 },
      requestTimeoutMs: 10_000,
      interactiveDeadlineMs: 5_000,
      recordMaxAgeSeconds: 0,
    });
  });

  it('reads how a connect is completed, and what proves the router', () => {
    expect(readConfig(ids, {})).toMatchObject({
      ...{ connectCompletion: 'callback', routerSecrets: [], routerHmacSecrets: [] },
    });
    const set = { CONNECT_COMPLETION: 'confirm', ROUTER_SECRET: 'a', ROUTER_HMAC_SECRET: 'b, c' };
    expect(readConfig(ids, set)).toMatchObject({
      ...{ connectCompletion: 'confirm', routerSecrets: ['a'], routerHmacSecrets: ['b', 'c'] },
    });
    expect(() => readConfig(ids, { CONNECT_COMPLETION: 'maybe' })).toThrow(/^CONNECT_COMPLETION must be/);
    expect(() => readConfig(ids, { ROUTER_HMAC_SECRET: ',' })).toThrow(/^ROUTER_HMAC_SECRET is set/);
  });

  it('reads an integration under its id in upper case', () => {
    const config = readConfig(ids, {
      QUICKBOOKS_CLIENT_ID: 'id',
      QUICKBOOKS_CLIENT_SECRET: 'hush',
      QUICKBOOKS_WEBHOOK_SECRETS: 'the-old-one, the-new-one',
      QUICKBOOKS_API_URL: 'http://127.0.0.1:9999/',
      QUICKBOOKS_RATE_LIMIT: '500/60',
      QUICKBOOKS_RETRY_ATTEMPTS: '2',
      QUICKBOOKS_RETRY_CAP_MS: '5000',
    });
    expect(config.integrations.get('quickbooks')).toEqual({
      credentials: { clientId: 'id', clientSecret: 'hush' },
      webhookSecrets: ['the-old-one', 'the-new-one'],
      endpoints: { apiUrl: 'http://127.0.0.1:9999' },
      rateLimit: { limit: 500, windowMs: 60_000 },
      retry: { attempts: 2, capMs: 5_000 },
    });
    expect(config.sandbox.enabled, 'credentials turn the sandbox off').toBe(false);
  });

  it('reads a described integration under its id too, - as _', () => {
    const environment = { ACME_CRM_CLIENT_ID: 'id', ACME_CRM_CLIENT_SECRET: 'hush', ACME_CLIENT_ID: 'other' };
    const { integrations } = readConfig(['acme-crm'], environment);
    expect(integrations.get('acme-crm')).toMatchObject({
      credentials: { clientId: 'id', clientSecret: 'hush' },
    });
  });

  it('wants no secret of a client that has none', () => {
    const read = (environment: Record<string, string>) =>
      readConfig(['acme'], environment, new Set(['acme'])).integrations.get('acme')!.credentials;
    expect(read({ ACME_CLIENT_ID: 'id' })).toEqual({ clientId: 'id', clientSecret: '' });
    expect(read({})).toBeUndefined();
    expect(() => read({ ACME_CLIENT_ID: 'id', ACME_CLIENT_SECRET: 'hush' })).toThrow(
      'ACME_CLIENT_SECRET is not used: its clientAuth is none',
    );
  });

  it('takes an empty value for an unset one', () => {
    expect(readConfig(ids, { DATABASE_URL: '', PORT: '' })).toMatchObject({
      databaseUrl: undefined,
      port: 4000,
    });
  });

  it('accepts a complete production environment, without a sandbox', () => {
    const config = readConfig(ids, production);
    expect(config).toMatchObject({
      production: true,
      publicUrl: 'https://integrations.example.com',
      returnToOrigins: ['https://integrations.example.com'],
      sandbox: { enabled: false },
    });
  });

  it.each([
    ['DATABASE_URL', 'production needs DATABASE_URL'],
    ['ENCRYPTION_KEYS', 'production needs ENCRYPTION_KEYS'],
    ['PUBLIC_URL', 'production needs PUBLIC_URL'],
    ['AUTH_JWKS_URL', 'production needs AUTH_JWKS_URL or AUTH_JWT_SECRET'],
  ])('refuses production without %s', (name, message) => {
    expect(() => readConfig(ids, { ...production, [name]: undefined })).toThrow(message);
  });

  it('takes RECORD_DIR, but not in production', () => {
    expect(readConfig(ids, { RECORD_DIR: '/tmp/answers' }).recordDir).toBe('/tmp/answers');
    expect(() => readConfig(ids, { ...production, RECORD_DIR: '/tmp/answers' })).toThrow(
      /^RECORD_DIR is refused in production: [^\n]+$/,
    );
  });

  it.each([
    [{ PORT: 'eighty' }, 'PORT must be a whole number of (a TCP port)'],
    [{ PORT: '70000' }, 'PORT must be from 0 to 65535 (a TCP port)'],
    [{ PUBLIC_URL: 'ftp://x' }, 'PUBLIC_URL must be an http(s) URL'],
    [{ DATABASE_URL: 'mysql://x' }, 'DATABASE_URL must start with postgres:// or postgresql://'],
    [{ ROLE: 'boss' }, 'ROLE must be api, worker or all'],
    [{ SANDBOX: 'yes' }, 'SANDBOX must be true or false'],
    [{ REQUEST_TIMEOUT_MS: '0' }, 'REQUEST_TIMEOUT_MS must be from 1 to 600000 milliseconds'],
    [{ POLL_INTERVAL_SECONDS: '1.5' }, 'POLL_INTERVAL_SECONDS must be a whole number of seconds'],
    [{ RETURN_TO_ORIGINS: 'https://a.example/path' }, 'RETURN_TO_ORIGINS must be origins'],
    [{ SUBSCRIPTION_CALLBACK_ORIGINS: 'router' }, 'SUBSCRIPTION_CALLBACK_ORIGINS must be an http(s) URL'],
    [
      { SUBSCRIPTION_CALLBACK_ORIGINS: 'http://router:4000/callback' },
      'SUBSCRIPTION_CALLBACK_ORIGINS must be origins',
    ],
    [{ SUBSCRIPTIONS_PER_ACCOUNT: '0' }, 'SUBSCRIPTIONS_PER_ACCOUNT must be from 1'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be a pino level'],
    [{ QUICKBOOKS_RATE_LIMIT: '500' }, 'QUICKBOOKS_RATE_LIMIT must be requests/seconds'],
    [{ QUICKBOOKS_RETRY_ATTEMPTS: '0' }, 'QUICKBOOKS_RETRY_ATTEMPTS must be from 1 to 20 attempts'],
    [{ QUICKBOOKS_TOKEN_URL: 'nowhere' }, 'QUICKBOOKS_TOKEN_URL must be an http(s) URL'],
    [{ QUICKBOOKS_CLIENT_ID: 'id' }, 'QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET belong together'],
    [{ AUTH_JWKS_URL: 'https://x.example', AUTH_JWT_SECRET: 'y' }, 'exclude each other'],
  ])('refuses %o with one line that names it', (environment, message) => {
    let line = '';
    try {
      readConfig(ids, environment);
    } catch (error) {
      line = (error as Error).message;
    }
    expect(line).toContain(message);
    expect(line).not.toContain('\n');
  });

  it('names every wrong setting at once, and repeats no value', () => {
    expect(() => readConfig(ids, { PORT: 'secret-1', ROLE: 'secret-2' })).toThrow(
      /^PORT must be [^;]*; ROLE must be api, worker or all$/,
    );
  });
});

describe('integrationsFile', () => {
  it('is what has to be known first', () => {
    expect(integrationsFile({})).toEqual({ path: undefined, production: false });
    expect(integrationsFile({ INTEGRATIONS_FILE: '' })).toEqual({ path: undefined, production: false });
    expect(integrationsFile({ INTEGRATIONS_FILE: 'a.yaml', NODE_ENV: 'production' })).toEqual({
      path: 'a.yaml',
      production: true,
    });
  });
});
