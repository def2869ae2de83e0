import { parseSlackWebhook } from '../../../src/providers/slackWebhooks.ts';
import { consent, visit } from '../browser.ts';
import { canonical, differing, misbehaviours, oneOf, storedOf, type Followed } from './followed.ts';

/** A workspace: channels come and are renamed, people join. */
export function followedSlack(): Followed {
  let teamId = '';
  const channels: string[] = [];
  const redirect = 'http://localhost:4000/oauth/slack/callback';
  const addUser = (at: Parameters<Followed['change']>[0]) => {
    const name = `person-${at.count()}`;
    return at.admin('POST', 'slack/changes', { teamId, change: 'add-user', user: { name, realName: name } });
  };
  return {
    integrationId: 'slack',
    path: '/slack/api',
    settings: ({ slack }, rateLimits) => ({
      SLACK_CLIENT_ID: slack.clientId,
      SLACK_CLIENT_SECRET: slack.clientSecret,
      SLACK_WEBHOOK_SECRETS: slack.signingSecret,
      SLACK_AUTHORIZE_URL: slack.authorizeUrl,
      SLACK_TOKEN_URL: slack.tokenUrl,
      SLACK_REVOKE_URL: slack.revokeUrl,
      SLACK_API_URL: slack.apiUrl,
      SLACK_RETRY_BASE_MS: '50',
      ...(!rateLimits && { SLACK_RATE_LIMIT: '200/1' }),
    }),
    async connect(at) {
      const { data } = await at
        .product()
        .graphql('mutation { connect(input: { integrationId: "slack" }) { authorizationUrl } }');
      const location = new URL(await consent(String(data.connect.authorizationUrl), {}, /allow/i));
      await visit(`${at.product().url}${location.pathname}${location.search}`);
      await at.admin('PUT', 'slack/request-url', { url: `${at.address}/webhooks/slack` });
      const { rows } = await at.db.query(
        "select external_id from connections where integration_id = 'slack' and status = 'ACTIVE'",
      );
      teamId = String(rows[0].external_id);
    },
    async change(at) {
      const dice = at.random();
      if (dice < 0.35) {
        const name = `kept-${at.count()}`;
        const what = { teamId, change: 'create-channel', name };
        channels.push((await at.admin('POST', 'slack/changes', what)).id as string);
      } else if (dice < 0.7 && channels.length > 0) {
        const [channel, name] = [oneOf(at.random, channels), `renamed-${at.count()}`];
        await at.admin('POST', 'slack/changes', { teamId, change: 'rename-channel', channel, name });
      } else await addUser(at);
    },
    async loseOne(at) {
      await at.admin('POST', 'slack/delivery-rules', { eventType: 'channel_created', lost: true });
      const name = `lost-${at.count()}`;
      await at.admin('POST', 'slack/changes', { teamId, change: 'create-channel', name });
    },
    async misbehave(at) {
      const rule = oneOf(at.random, misbehaviours);
      await at.admin('POST', 'slack/delivery-rules', rule);
      await addUser(at);
      // What is held back is let go by the next.
      if ('after' in rule) await addUser(at);
    },
    async lost(at) {
      const { deliveries } = await at.admin('GET', 'slack/deliveries');
      const last = new Map<string, string>();
      for (const { state, body } of deliveries as { state: string; body: string }[])
        for (const notice of parseSlackWebhook(Buffer.from(body)).notices)
          if (notice.kind === 'record') last.set(`${notice.resource} ${notice.externalId}`, state);
      return [...last.values()].filter((state) => state !== 'delivered').length;
    },
    async differences(at) {
      const { slack } = at.sandbox;
      await at.admin('PUT', 'slack/settings', { rateLimits: false });
      const scope = 'channels:read,team:read,users:read';
      const asked = { client_id: slack.clientId, scope, redirect_uri: redirect, state: 'soak' };
      const back = new URL(
        await consent(`${slack.authorizeUrl}?${new URLSearchParams(asked).toString()}`, {}, /allow/i),
      );
      const call = async (url: string, form: Record<string, string>, token?: string) => {
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
        const answer = await fetch(url, { method: 'POST', headers, body: new URLSearchParams(form) });
        const body: any = await answer.json(); // oxlint-disable-line typescript/no-explicit-any -- an answer's shape is what a test asserts
        if (!body.ok) throw new Error(`${url}: ${JSON.stringify(body)}`);
        return body;
      };
      const { access_token: token } = await call(slack.tokenUrl, {
        ...{ client_id: slack.clientId, client_secret: slack.clientSecret, redirect_uri: redirect },
        code: back.searchParams.get('code')!,
      });
      const there = new Map<string, string>();
      for (const [resource, method, member] of [
        ['Channel', 'conversations.list', 'channels'],
        ['User', 'users.list', 'members'],
      ] as const)
        for (let cursor: string | undefined = ''; cursor !== undefined;) {
          const form = { limit: '200', types: 'public_channel', exclude_archived: 'false', cursor };
          const page = await call(`${slack.apiUrl}/${method}`, form, token);
          for (const one of page[member]) there.set(`${resource} ${one.id}`, canonical(one));
          cursor = page.response_metadata?.next_cursor || undefined;
        }
      return differing(there, await storedOf(at, 'slack', ['Channel', 'User']));
    },
  };
}
