import { asObject, jsonIn, textOf } from './httpFaults.ts';
import type { ExternalProfile, Provider, ProviderRequest, RecordSnapshot, Target } from './provider.ts';
import { classifySlack } from './slackFaults.ts';
import { slackLimits } from './slackLimits.ts';
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
  deliversWebhooks: true,
  webhookSecretOf: 'application',
  webhookScheme: slackScheme,
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
    idPattern: /^[A-Z][A-Z0-9]{2,20}$/,
    request(target, resource, ids, page) {
      const { one, argument, list } = methods[resource]!;
      if (list === undefined || ids.length === 1)
        return call(target, one, resource === 'Team' ? { team: ids[0]! } : { [argument]: ids[0]! });
      return call(target, list, {
        limit: '999',
        ...listed[resource],
        ...(page !== undefined && { cursor: page }),
      });
    },
    parse(response, resource, ids) {
      const answer = asObject(jsonIn(response.body));
      const { member, members } = methods[resource]!;
      const items = answer?.[members] ?? [answer?.[member]];
      const snapshots = (Array.isArray(items) ? items : [])
        .map(snapshotOf)
        .filter((one) => one !== undefined);
      return new Map(
        snapshots.filter((one) => ids.includes(one.externalId)).map((one) => [one.externalId, one]),
      );
    },
    nextPage(response) {
      const cursor = asObject(asObject(jsonIn(response.body))?.response_metadata)?.next_cursor;
      return typeof cursor === 'string' && cursor !== '' ? cursor : undefined;
    },
    lostPage: 'invalid_cursor',
  },
};

/** By resource: the method for one and its argument, that for all, and where either puts what it found. */
const methods: Record<
  string,
  { one: string; argument: string; member: string; list?: string; members: string }
> = {
  Channel: {
    one: 'conversations.info',
    argument: 'channel',
    member: 'channel',
    list: 'conversations.list',
    members: 'channels',
  },
  User: { one: 'users.info', argument: 'user', member: 'user', list: 'users.list', members: 'members' },
  Team: { one: 'team.info', argument: 'team', member: 'team', members: 'teams' },
};
const listed: Record<string, Record<string, string>> = {
  Channel: { types: 'public_channel', exclude_archived: 'false' },
};

/** Every method takes a form by POST, reads too. */
function call(target: Target, method: string, parameters: Record<string, string> = {}): ProviderRequest {
  return {
    method: 'POST',
    url: `${target.apiUrl}/${method}`,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(parameters).toString(),
    operation: method,
    isRead: true,
  };
}

function snapshotOf(value: unknown): RecordSnapshot | undefined {
  const payload = asObject(value);
  const externalId = textOf(payload?.id);
  if (!payload || externalId === undefined) return undefined;
  return { externalId, payload, updatedAt: timeIn(payload.updated) };
}

/** Seconds since 1970 for users, milliseconds for channels. Teams have none. */
function timeIn(updated: unknown): Date | null {
  if (typeof updated !== 'number' || !(updated > 0)) return null;
  const time = new Date(updated > 1e11 ? updated : updated * 1_000);
  return Number.isNaN(time.getTime()) ? null : time;
}
