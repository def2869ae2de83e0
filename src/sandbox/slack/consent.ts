import type { FastifyInstance, FastifyReply } from 'fastify';
import { escapeMarkup, page } from '../pages.ts';
import { app as slackApp } from './app.ts';
import type { Installations } from './installations.ts';
import type { Workspace } from './workspace.ts';

export interface ConsentOptions {
  installations: Installations;
  workspaces: readonly Workspace[];
}

const botScopes = new Set(
  (
    'app_mentions:read channels:history channels:join channels:manage channels:read chat:write ' +
    'chat:write.customize chat:write.public commands conversations.connect:read files:read groups:history ' +
    'groups:read groups:write im:history im:read im:write mpim:history mpim:read mpim:write reactions:read ' +
    'reactions:write team:read usergroups:read users.profile:read users:read users:read.email'
  ).split(' '),
);
const userScopes = new Set([
  ...botScopes,
  'identify',
  'search:read',
  'channels:write',
  'users:write',
  'stars:read',
]);
/** Kept in the form from the first request to the answer. */
const parameters = [
  'client_id',
  'scope',
  'user_scope',
  'redirect_uri',
  'state',
  'code_challenge',
  'code_challenge_method',
] as const;

/**
 * `/oauth/v2/authorize`: `GET` shows the consent page, `POST` of its form redirects with a code or with `access_denied`.
 * Whatever else is wrong Slack tells the person, and redirects nobody.
 */
export function consentRoutes(app: FastifyInstance, { installations, workspaces }: ConsentOptions): void {
  app.get('/oauth/v2/authorize', (request, reply) => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    const problem = problemOf(query);
    if (problem !== undefined) return showProblem(reply, problem);
    const preset = workspaces.find(({ team }) => team.id === query.get('team')) ?? workspaces[0];
    const choices = workspaces.map(
      ({ team: { id, name, domain } }) =>
        `<label><input type="radio" name="team" value="${escapeMarkup(id)}"${id === preset?.team.id ? ' checked' : ''}>
          <span><b>${escapeMarkup(name)}</b><small>${escapeMarkup(domain)}.slack.example, ${escapeMarkup(id)}</small></span></label>`,
    );
    const hidden = parameters
      .filter((name) => query.has(name))
      .map((name) => `<input type="hidden" name="${name}" value="${escapeMarkup(query.get(name) ?? '')}">`);
    const action = escapeMarkup(request.url.split('?', 1)[0] ?? '');
    return reply.type('text/html; charset=utf-8').send(
      page(
        'Install into Slack (sandbox)',
        `<h1>${escapeMarkup(slackApp.name)} asks for access to a workspace</h1>
        ${scopeList('As itself', scopesIn(query, 'scope'))}${scopeList('On your behalf', scopesIn(query, 'user_scope'))}
        <p>You come back to <b>${escapeMarkup(new URL(query.get('redirect_uri') ?? '').host)}</b>.</p>
        <form method="post" action="${action}">${hidden.join('')}
        <fieldset><legend>Workspace</legend>${choices.join('')}</fieldset>
        <button name="decision" value="allow">Allow</button>
        <button name="decision" value="cancel" class="quiet">Cancel</button></form>
        <p class="note">An emulated Slack with made-up workspaces. Nothing here reaches Slack.</p>`,
      ),
    );
  });

  app.post('/oauth/v2/authorize', (request, reply) => {
    const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
    const problem = problemOf(form);
    if (problem !== undefined) return showProblem(reply, problem);
    if (form.get('decision') === 'cancel') return redirect(reply, form, { error: 'access_denied' });
    const workspace = workspaces.find(({ team }) => team.id === form.get('team'));
    if (form.get('decision') !== 'allow' || !workspace)
      return showProblem(reply, 'Choose a workspace, then Allow or Cancel.');
    const owner = workspace.users().find(({ role }) => role === 'owner')!;
    const code = installations.issueCode({
      teamId: workspace.team.id,
      userId: owner.id,
      botScopes: scopesIn(form, 'scope'),
      userScopes: scopesIn(form, 'user_scope'),
      redirectUri: form.get('redirect_uri') ?? '',
      codeChallenge: form.get('code_challenge'),
    });
    return redirect(reply, form, { code });
  });
}

function scopesIn(query: URLSearchParams, name: 'scope' | 'user_scope'): string[] {
  return [...new Set((query.get(name) ?? '').split(',').filter((scope) => scope !== ''))];
}

function problemOf(query: URLSearchParams): string | undefined {
  for (const name of [...parameters, 'team'])
    if (query.getAll(name).length > 1) return `${name} was sent more than once.`;
  if (query.get('client_id') !== slackApp.clientId)
    return 'invalid_client_id: that is not the app of the sandbox.';
  const address = addressProblem(query.get('redirect_uri'));
  if (address !== undefined) return `bad_redirect_uri: ${address}`;
  const asked = { bot: scopesIn(query, 'scope'), user: scopesIn(query, 'user_scope') };
  if (asked.bot.length + asked.user.length === 0) return 'invalid_scope: no scopes were requested.';
  const unknown = [
    ...asked.bot.filter((scope) => !botScopes.has(scope)),
    ...asked.user.filter((scope) => !userScopes.has(scope)),
  ];
  if (unknown.length > 0)
    return `invalid_scope: Slack has no scope ${unknown.join(', ')}. Commas part scopes.`;
  const challenge = query.get('code_challenge');
  const method = query.get('code_challenge_method');
  if (challenge === null && method === null) return undefined;
  const isS256 = method === 'S256' && /^[\w-]{43}$/.test(challenge ?? '');
  return isS256 ? undefined : 'Only the code_challenge_method S256 is supported.';
}

function addressProblem(address: string | null): string | undefined {
  if (address === null) return 'the redirect_uri is missing.';
  if (!URL.canParse(address)) return 'the redirect_uri is not an absolute URL.';
  const { protocol, hostname } = new URL(address);
  if (address.includes('#')) return 'the redirect_uri must not have a fragment.';
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol === 'https:' || (protocol === 'http:' && isLocal)) return undefined;
  return 'the redirect_uri must be https, or http on localhost.';
}

function scopeList(title: string, scopes: readonly string[]): string {
  if (scopes.length === 0) return '';
  const items = scopes.map((scope) => `<li><code>${escapeMarkup(scope)}</code></li>`);
  return `<h2>${title}</h2><ul>${items.join('')}</ul>`;
}

function showProblem(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .code(400)
    .type('text/html; charset=utf-8')
    .send(page('Slack (sandbox)', `<h1>This app cannot be installed</h1><p>${escapeMarkup(text)}</p>`));
}

/** `state` comes back as it was sent, empty where there was none; the redirect address keeps the query it has. */
function redirect(reply: FastifyReply, query: URLSearchParams, answer: Record<string, string>): FastifyReply {
  const target = new URL(query.get('redirect_uri') ?? '');
  const members = { ...answer, state: query.get('state') ?? '' };
  for (const [name, value] of Object.entries(members)) target.searchParams.set(name, value);
  return reply.code(302).header('location', target.href).header('cache-control', 'no-store').send();
}
