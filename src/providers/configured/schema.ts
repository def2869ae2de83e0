import { z } from 'zod';
import {
  baseUrl,
  callableUrl,
  choice,
  count,
  identifierPattern,
  path,
  plainHeader,
  relativePath,
  template,
  type Trust,
  word,
} from './forms.ts';
import { resource } from './resourceShape.ts';
import { webhook } from './webhookShape.ts';

/**
 * What a file of integrations may say: one entry describes an OAuth 2 API, or changes what is built in. Descriptions
 * are what an editor shows; `docs/integrations.schema.json` is made of them.
 */

const parameters = (description: string, reserved: readonly string[]) =>
  z
    .record(z.string(), z.string())
    .superRefine((own, ctx) => {
      for (const name of Object.keys(own).filter((one) => reserved.includes(one.toLowerCase())))
        ctx.addIssue({ code: 'custom', path: [name], message: 'is set by us: leave it out' });
    })
    .default({})
    .describe(description);
const headers = (description: string) =>
  z
    .record(z.string(), template('accountId'))
    .superRefine((own, ctx) => {
      for (const name of Object.keys(own)) {
        const wrong = plainHeader(name);
        if (wrong !== undefined) ctx.addIssue({ code: 'custom', path: [name], message: wrong });
      }
    })
    .default({})
    .describe(description);

const authorizeReserved = [
  'response_type',
  'client_id',
  'client_secret',
  'redirect_uri',
  'scope',
  'state',
  'code_challenge',
  'code_challenge_method',
];
const tokenReserved = [
  'grant_type',
  'code',
  'redirect_uri',
  'client_id',
  'client_secret',
  'code_verifier',
  'refresh_token',
  'username',
  'password',
];

const errors = (description: string) => z.array(word).default([]).describe(description);
const tokenResponse = z
  .strictObject({
    accessTokenPath: path.default('access_token').describe('The access token.'),
    refreshTokenPath: path.default('refresh_token').describe('The refresh token.'),
    expiresInPath: path.default('expires_in').describe('How long the access token is good.'),
    expiresInUnit: choice('seconds', 'milliseconds', 'minutes')
      .default('seconds')
      .describe('What every lifetime in the answer is counted in.'),
    refreshExpiresInPath: path.optional().describe('How long the refresh token is good unless it is used.'),
    hardExpiresInPath: path
      .optional()
      .describe('How long the whole authorization is good, however often refreshed.'),
    scopePath: path.default('scope').describe('What was granted.'),
    errorPath: path.default('error').describe('The code of an error.'),
    errors: z
      .strictObject({
        grantEnded: errors('The person has to authorize again. `invalid_grant` is one of them anyway.'),
        codeExpired: errors('The code is spent or too old: the person has to start again.'),
        clientRefused: errors('Our client id or secret is wrong. `invalid_client` is one of them anyway.'),
        rateLimited: errors('Too many token requests.'),
        unavailable: errors('The provider is in trouble; asking later helps.'),
      })
      .prefault({})
      .describe('Error codes of the token endpoint beyond those of RFC 6749.'),
  })
  .prefault({})
  .describe('Where the token answer has its members. Default: as RFC 6749 §5 names them.');

const revoke = z
  .strictObject({
    style: choice('rfc7009', 'json', 'none')
      .default('rfc7009')
      .describe('A form with `token` (RFC 7009), the same as JSON, or not at all.'),
    tokenKind: choice('refresh', 'access')
      .default('refresh')
      .describe('Which token is sent; the access token where there is no refresh token.'),
    ends: choice('authorization', 'account')
      .default('authorization')
      .describe(
        'What a revocation ends: this authorization, or all that the application has of the external account.',
      ),
  })
  .describe('How tokens are revoked at `revokeUrl`.');

const accountId = z
  .strictObject({
    from: choice('callback', 'token', 'apiCall').describe(
      'A query parameter of the redirect, a member of the token answer, or the profile call.',
    ),
    path: path.optional().describe('The parameter or member. Not for `apiCall`: there it is profile.idPath.'),
    pattern: identifierPattern
      .optional()
      .describe(
        'With `callback`: the form of a usable value. Default: up to 200 letters, digits and `_.:@-`.',
      ),
  })
  .describe('Where the id of the external account is found. Default: the profile call.');

const api = (trust: Trust) =>
  z
    .strictObject({
      baseUrl: baseUrl(trust).describe('What every path below is appended to. `<ID>_API_URL` replaces it.'),
      headers: headers('Sent with every API call. `{accountId}` stands for the external account.'),
      defaultQuery: z
        .record(z.string(), template('accountId'))
        .default({})
        .describe('Added to the query of every API call.'),
      tokenHeader: z
        .string()
        .regex(/^[a-z][a-z0-9-]*$/, 'must be a header name in lower case')
        .default('authorization')
        .describe('The header that carries the access token.'),
      tokenPrefix: z
        .string()
        .optional()
        .describe('Before the token. Default: `Bearer `, or nothing in another header.'),
      idPattern: identifierPattern
        .optional()
        .describe('The form of record ids. Default: up to 128 letters, digits and `_.:@-`.'),
    })
    .describe('How the API is called.');

const profile = z
  .strictObject({
    path: relativePath('accountId').describe('A call that says whose token it is, e.g. `/me`.'),
    method: choice('GET', 'POST').default('GET').describe('Without a body.'),
    recordPath: path
      .optional()
      .describe('Where the answer has it: an object, or a list of accounts. Default: all of it.'),
    idPath: path.describe('The id of the external account.'),
    namePath: path.optional().describe('Its name, for people.'),
    urlPath: path.optional().describe('Where people find it.'),
  })
  .describe('Proves a connection, and gives `Connection.profile`.');

const rateLimit = z.strictObject({
  limit: count.optional().describe('Most calls in `windowSec`.'),
  windowSec: count.max(86_400).optional().describe('In any so many seconds.'),
  concurrency: count.optional().describe('Instead: most calls at one time.'),
  key: z
    .array(choice('app', 'account'))
    .default(['app', 'account'])
    .describe('What the provider counts by. `[app]`: all accounts share it.'),
});

const changeable = (trust: Trust) => ({
  displayName: word.optional().describe('As people know it.'),
  authorizeUrl: callableUrl(trust)
    .optional()
    .describe('Where the person is sent. `<ID>_AUTHORIZE_URL` replaces it.'),
  tokenUrl: callableUrl(trust).optional().describe('Where tokens are had. `<ID>_TOKEN_URL` replaces it.'),
  revokeUrl: callableUrl(trust)
    .optional()
    .describe('Absent: nothing is revoked. `<ID>_REVOKE_URL` replaces it.'),
  defaultScopes: z.array(word).optional().describe('Asked for by every connect.'),
  rateLimits: z
    .array(rateLimit)
    .min(1, 'must have one')
    .optional()
    .describe('As published. `<ID>_RATE_LIMIT` replaces them. Default: 10 a second for each account.'),
  allowPrivateNetwork: z
    .boolean()
    .default(false)
    .describe('Its addresses may be in a private network. Link-local and metadata addresses never are.'),
});

const id = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, 'must be lower-case letters, digits and -, beginning with a letter')
  .describe('Names routes and settings: `acme-crm` is set up by ACME_CRM_CLIENT_ID.');

/** What may be said of a built-in integration. */
export const overrideShape = (trust: Trust) =>
  z.strictObject({
    id,
    ...changeable(trust),
    api: z
      .strictObject({ baseUrl: baseUrl(trust).describe('`<ID>_API_URL` replaces it.') })
      .optional()
      .describe('How the API is called.'),
    webhook: z
      .strictObject({
        encoding: choice('hex', 'base64').optional().describe('Of the signature.'),
        secretEncoding: choice('utf8', 'base64').optional().describe('Of the secret, as it is set.'),
      })
      .optional()
      .describe('How webhooks are signed, where that is another way than the provider documents.'),
  });

export const entryShape = (trust: Trust) =>
  z.strictObject({
    id,
    ...changeable(trust),
    displayName: word.describe('As people know it.'),
    docs: z.url().optional().describe('The provider’s documentation.'),
    verified: z
      .boolean()
      .default(true)
      .describe('false: described from documentation, not tried against the live service.'),
    authMode: choice('oauth2_code', 'oauth2_password', 'oauth2_client_credentials', 'api_key')
      .default('oauth2_code')
      .describe(
        'A person in the browser, or a user name and password that are kept sealed. The others are not supported yet.',
      ),
    tokenUrl: callableUrl(trust).describe('Where tokens are had. `<ID>_TOKEN_URL` replaces it.'),
    refreshUrl: callableUrl(trust).optional().describe('Default: tokenUrl.'),
    issuer: z
      .url()
      .optional()
      .describe(
        'The authorization server’s issuer: where the redirect has `iss`, it must be this, letter by letter (RFC 9207).',
      ),
    issExpected: z.boolean().default(false).describe('A redirect without `iss` is refused.'),
    authorizeParams: parameters('Added to the authorization request.', authorizeReserved),
    tokenParams: parameters('Added to the first token request.', tokenReserved),
    refreshParams: parameters('Added to refreshes.', tokenReserved),
    tokenHeaders: headers('Sent with every token request.'),
    scopeParam: word
      .default('scope')
      .describe('The parameter of the authorization request that has the scopes.'),
    scopeSeparator: choice(' ', ',').default(' ').describe('What stands between scopes.'),
    unansweredScopes: z
      .array(word)
      .default([])
      .describe('Asked for, but never named in the token answer, e.g. offline_access.'),
    clientAuth: choice('basic', 'body', 'none')
      .default('basic')
      .describe('How token requests carry the client id and secret. none: a public client has no secret.'),
    bodyFormat: choice('form', 'json').default('form').describe('How token requests are written.'),
    pkce: choice('S256', 'off').default('S256').describe('Proof Key for Code Exchange (RFC 7636).'),
    tokenResponse,
    replay: choice('strict', 'grace')
      .default('strict')
      .describe(
        'A used refresh token may end the authorization when used again, or is taken once more for a while.',
      ),
    revoke: revoke.optional(),
    accountId: accountId.optional(),
    api: api(trust),
    profile: profile.optional(),
    resources: z
      .record(z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,59}$/, 'must be letters, digits and _'), resource)
      .default({})
      .describe('Kinds of record, by the provider’s own names.'),
    webhook: webhook.optional(),
  });

export type Entry = z.output<ReturnType<typeof entryShape>>;
export type Override = z.output<ReturnType<typeof overrideShape>>;
