import { asObject, jsonIn, textOf } from './httpFaults.ts';
import { slackChanges } from './slackChanges.ts';
import { parseSlackWebhook } from './slackWebhooks.ts';
import type { ExternalProfile, Provider } from './provider.ts';
import { classifySlack } from './slackFaults.ts';
import { slackLimits } from './slackLimits.ts';
import { call, methods, nextCursor, snapshotsIn } from './slackRequests.ts';
import { slackScheme } from './signatures.ts';

/** Slack, with the app's bot token. Facts from docs.slack.dev as of November 2026. */
export const slack: Provider = {
  id: 'slack',
  name: 'Slack',
  auth: 'OAUTH2',
  endpoints: {
    authorizeUrl: 'https://slack.com/oauth/v2/authorize',
    tokenUrl: 'https://slack.com/api/oauth.v2.access',
    revokeUrl: 'https://slack.com/api/apps.uninstall',
    apiUrl: 'https://slack.com/api',
  },
  endpointsAt: (apiUrl) => ({
    tokenUrl: `${apiUrl}/oauth.v2.access`,
    revokeUrl: `${apiUrl}/apps.uninstall`,
  }),
  oauth: {
    grant: 'authorization_code',
    scopes: ['channels:read', 'team:read', 'users:read'],
    scopeSeparator: ',',
    pkce: 'off',
    clientAuthentication: 'basic',
    authorizeParams: {},
    tokenHeaders: {},
    // An organization-wide installation has no team.
    externalIdFields: ['team.id', 'enterprise.id'],
    externalUserIdField: 'bot_user_id',
    tokenTypes: ['bot', 'bearer'],
    requestIdHeaders: ['x-slack-req-id'],
    reauthorizationErrors: [
      'invalid_refresh_token',
      'invalid_grant',
      'token_revoked',
      'account_inactive',
      'invalid_auth',
    ],
    errors: {
      AUTHORIZATION_EXPIRED: ['invalid_code', 'code_already_used', 'oauth_authorization_url_mismatch'],
      NOT_CONFIGURED: ['bad_client_secret', 'invalid_client_id', 'bad_redirect_uri', 'invalid_grant_type'],
      RATE_LIMITED: ['ratelimited', 'rate_limited'],
      PROVIDER_ERROR: ['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout'],
    },
    // A used refresh token is good for a short while more.
    replay: 'grace',
    // `auth.revoke` would end one token and leave the app installed.
    revocation: 'slack',
    revokes: 'externalAccount',
  },
  resources: ['Channel', 'User', 'Team'],
  limits: slackLimits,
  classify: classifySlack,
  identity: {
    request: (target) => call(target, 'auth.test'),
    parse: (response): ExternalProfile => {
      const answer = asObject(jsonIn(response.body));
      return {
        id: textOf(answer?.team_id) ?? textOf(answer?.enterprise_id) ?? '',
        name: textOf(answer?.team) ?? null,
        url: textOf(answer?.url) ?? null,
      };
    },
  },
  records: {
    // One by its own method; more are looked for in the list, a thousand a page: its tier allows fewer calls.
    batchSize: 1_000,
    batchSizes: { Team: 1 },
    // Five calls of `users.info` use as much of their tier as one page of the list does of its own (decision 13).
    oneByOne: { User: 5 },
    idPattern: /^[A-Z][A-Z0-9]{2,20}$/,
    request(target, resource, ids, page) {
      const { one, argument, asked, list, listed } = methods[resource]!;
      if (list === undefined || ids.length === 1) return call(target, one, { [argument]: ids[0]!, ...asked });
      const cursor = page === undefined ? {} : { cursor: page };
      return call(target, list, { limit: '999', ...listed, ...cursor });
    },
    parse(response, resource, ids) {
      const found = snapshotsIn(asObject(jsonIn(response.body)), resource);
      return new Map(found.filter((one) => ids.includes(one.externalId)).map((one) => [one.externalId, one]));
    },
    nextPage: nextCursor,
    lostPage: 'invalid_cursor',
  },
  changes: slackChanges,
  webhook: { scheme: slackScheme, secretOf: 'application', parse: parseSlackWebhook },
};
