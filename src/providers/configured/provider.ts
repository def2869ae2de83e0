import type { Classify, HttpResponse } from '../../calls/http.ts';
import { valueAt } from '../../calls/valueAt.ts';
import {
  asObject,
  createHttpClassify,
  faultOf,
  jsonIn,
  textOf,
  usualRequestIdHeaders,
} from '../httpFaults.ts';
import type { ExternalProfile, OAuthFacts, Provider, RateLimit, Target } from '../provider.ts';
import { compiled } from './forms.ts';
import { listReadsOf } from './lists.ts';
import { recordReadsOf } from './records.ts';
import { answerAt, idOf, readRequest } from './requests.ts';
import type { Entry } from './schema.ts';
import { webhookOf } from './webhook.ts';

/** The provider that an entry without contradictions describes. */
export function toProvider(entry: Entry): Provider {
  const { api, profile, resources } = entry;
  const tokenPrefix = api.tokenPrefix ?? (api.tokenHeader === 'authorization' ? 'Bearer ' : '');
  const listed = Object.entries(resources).flatMap(([name, { list }]) => (list ? [name] : []));
  const masked = Object.entries(resources).flatMap(([name, { mask }]) =>
    mask.length > 0 ? [[name, mask] as const] : [],
  );
  return {
    id: entry.id,
    name: entry.displayName,
    auth: entry.authMode === 'oauth2_password' ? 'CREDENTIALS' : 'OAUTH2',
    endpoints: {
      authorizeUrl: entry.authorizeUrl ?? '',
      tokenUrl: entry.tokenUrl,
      ...(entry.refreshUrl !== undefined && { refreshUrl: entry.refreshUrl }),
      revokeUrl: entry.revokeUrl ?? '',
      apiUrl: api.baseUrl,
    },
    oauth: oauthFactsOf(entry),
    resources: Object.keys(resources),
    tokenHeader: { name: api.tokenHeader, prefix: tokenPrefix },
    limits: rateLimitsOf(entry.rateLimits),
    classify: classifyOf(entry.displayName),
    ...(profile && {
      identity: {
        request: (target: Target) => ({
          ...readRequest(entry, target, 'profile', profile.path),
          method: profile.method,
        }),
        parse: (response: HttpResponse, target: Target) => profileIn(profile, response, target),
      },
    }),
    records: recordReadsOf(entry),
    changes: (resource) => listReadsOf(entry, resource),
    listed,
    ...(entry.webhook && { webhook: webhookOf(entry.webhook) }),
    ...(masked.length > 0 && { masked: Object.fromEntries(masked) }),
  };
}

function oauthFactsOf(entry: Entry): OAuthFacts {
  const { accountId, revoke, tokenResponse: answer, issuer } = entry;
  const isPassword = entry.authMode === 'oauth2_password';
  const isPublic = entry.clientAuth === 'none' && !isPassword;
  const fromCallback = accountId?.from === 'callback' ? accountId : undefined;
  const { grantEnded, codeExpired, clientRefused, rateLimited, unavailable } = answer.errors;
  return {
    grant: isPassword ? 'password' : 'authorization_code',
    scopes: entry.defaultScopes ?? [],
    scopeSeparator: entry.scopeSeparator,
    scopeParam: entry.scopeParam,
    unansweredScopes: entry.unansweredScopes,
    pkce: entry.pkce,
    ...(issuer !== undefined && { issuer, issExpected: entry.issExpected }),
    clientAuthentication: isPublic ? 'public' : entry.clientAuth,
    authorizeParams: entry.authorizeParams,
    tokenHeaders: lowerCased(entry.tokenHeaders),
    tokenParams: entry.tokenParams,
    refreshParams: entry.refreshParams,
    bodyFormat: entry.bodyFormat,
    ...(fromCallback && {
      externalIdParam: {
        name: fromCallback.path!,
        pattern:
          (fromCallback.pattern === undefined ? undefined : compiled(fromCallback.pattern)) ?? usualAccountId,
      },
    }),
    ...(accountId?.from === 'token' && { externalIdFields: [accountId.path!] }),
    answer: {
      accessToken: answer.accessTokenPath,
      refreshToken: answer.refreshTokenPath,
      expiresIn: answer.expiresInPath,
      scope: answer.scopePath,
      error: answer.errorPath,
    },
    lifetimeUnit: answer.expiresInUnit,
    ...(answer.refreshExpiresInPath !== undefined && { refreshExpiresInField: answer.refreshExpiresInPath }),
    ...(answer.hardExpiresInPath !== undefined && { hardExpiresInField: answer.hardExpiresInPath }),
    reauthorizationErrors: ['invalid_grant', ...grantEnded],
    errors: {
      AUTHORIZATION_EXPIRED: codeExpired,
      NOT_CONFIGURED: clientRefused,
      RATE_LIMITED: rateLimited,
      PROVIDER_ERROR: unavailable,
    },
    replay: entry.replay,
    revocation: entry.revokeUrl === undefined ? 'none' : (revoke?.style ?? 'rfc7009'),
    ...(revoke?.tokenKind === 'access' && { revokedToken: 'access' }),
    revokes: revoke?.ends === 'account' ? 'externalAccount' : 'authorization',
  };
}

const usualAccountId = /^(?!\.{1,2}$)[\w.:@-]{1,200}$/;

export function rateLimitsOf(limits: Entry['rateLimits']): RateLimit[] {
  if (!limits) return [{ name: 'second', limit: 10, windowMs: 1_000 }];
  return limits.map(({ limit, windowSec, concurrency, key }, i) => ({
    name: `limit ${i + 1}`,
    limit: concurrency ?? limit!,
    windowMs: concurrency === undefined ? windowSec! * 1_000 : 0,
    ...(!key.includes('account') && { per: [] }),
  }));
}

/** By status alone; but what is not JSON is no answer of an API, and to take it for one would lose records. */
function classifyOf(name: string): Classify {
  const byStatus = createHttpClassify(name);
  const dialect = { name, requestIdHeaders: usualRequestIdHeaders };
  return (response, nowMs) => {
    const fault = byStatus(response, nowMs);
    if (fault || jsonIn(response.body) !== undefined) return fault;
    return faultOf(dialect, response, { code: 'PROVIDER_ERROR' });
  };
}

/** Of a list of accounts the one that is connected, or else the first. */
function profileIn(
  { recordPath, idPath, namePath, urlPath }: NonNullable<Entry['profile']>,
  response: HttpResponse,
  { externalId }: Target,
): ExternalProfile {
  const found = answerAt(response, recordPath);
  const accounts = Array.isArray(found) ? (found as unknown[]) : [found];
  const account = accounts.find((one) => idOf(valueAt(one, idPath)) === externalId) ?? accounts[0];
  const text = (path: string | undefined) =>
    path === undefined ? null : (textOf(valueAt(account, path)) ?? null);
  const url = text(urlPath);
  return {
    id: asObject(account) ? (idOf(valueAt(account, idPath)) ?? '') : '',
    name: text(namePath),
    url: url !== null && /^https?:\/\//.test(url) ? url : null,
  };
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
