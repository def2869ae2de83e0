import type { FastifyInstance, FastifyReply } from 'fastify';
import { escapeMarkup, page } from '../pages.ts';
import type { Grants } from './grants.ts';

export interface ConsentOptions {
  clientId: string;
  grants: Grants;
  companies: () => readonly { realmId: string; name: string }[];
}

const scopes = new Set(
  (
    'com.intuit.quickbooks.accounting com.intuit.quickbooks.payment openid profile email phone address ' +
    'payroll.compensation.read project-management.project time-tracking.time-entry ' +
    'app-foundations.custom-field-definitions app-foundations.custom-dimensions.read ' +
    'indirect-tax.tax-calculation.quickbooks'
  ).split(' '),
);
/** Kept in the form from the first request to the answer. */
const parameters = [
  'client_id',
  'redirect_uri',
  'response_type',
  'scope',
  'state',
  'code_challenge',
  'code_challenge_method',
] as const;

/** The authorization endpoint: `GET` shows the consent page, `POST` of its form redirects with a code or a refusal. */
export function consentRoutes(app: FastifyInstance, options: ConsentOptions): void {
  const { grants, companies } = options;

  app.get('/connect/oauth2', (request, reply) => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    const problem = check(query, options.clientId);
    if (problem) return refuse(reply, query, problem);
    const choices = companies()
      .map(
        (
          { realmId, name },
          index,
        ) => `<label><input type="radio" name="realmId" value="${escapeMarkup(realmId)}"${index === 0 ? ' checked' : ''}>
          <span><b>${escapeMarkup(name)}</b><small>Company ${escapeMarkup(realmId)}</small></span></label>`,
      )
      .join('');
    const hidden = parameters
      .filter((name) => query.has(name))
      .map((name) => `<input type="hidden" name="${name}" value="${escapeMarkup(query.get(name) ?? '')}">`)
      .join('');
    const asked = (query.get('scope') ?? '')
      .split(' ')
      .map((scope) => `<li><code>${escapeMarkup(scope)}</code></li>`);
    const target = new URL(query.get('redirect_uri') ?? '').host;
    return reply.type('text/html; charset=utf-8').send(
      page(
        'Connect to QuickBooks (sandbox)',
        `<h1>Choose a company to connect</h1>
        <p>The app at <b>${escapeMarkup(target)}</b> asks for:</p><ul>${asked.join('')}</ul>
        <form method="post" action="${escapeMarkup(request.url.split('?', 1)[0] ?? '')}">${hidden}
        <fieldset><legend>Company</legend>${choices}</fieldset>
        <button name="decision" value="connect">Connect</button>
        <button name="decision" value="cancel" class="quiet">Cancel</button></form>
        <p class="note">An emulated QuickBooks with made-up companies. Nothing here reaches Intuit.</p>`,
      ),
    );
  });

  app.post('/connect/oauth2', (request, reply) => {
    const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
    const problem = check(form, options.clientId);
    if (problem) return refuse(reply, form, problem);
    if (form.get('decision') === 'cancel') return redirect(reply, form, { error: 'access_denied' });
    const company = companies().find(({ realmId }) => realmId === form.get('realmId'));
    if (form.get('decision') !== 'connect' || !company) {
      return showProblem(reply, 'Choose a company, then Connect or Cancel.');
    }
    const code = grants.issueCode({
      realmId: company.realmId,
      scope: form.get('scope') ?? '',
      redirectUri: form.get('redirect_uri') ?? '',
      codeChallenge: form.get('code_challenge'),
    });
    return redirect(reply, form, { code }, company.realmId);
  });
}

interface Problem {
  /** RFC 6749, 4.1.2.1; without one the person is told, since the redirect address cannot be trusted. */
  error?: string;
  text: string;
}

function check(query: URLSearchParams, clientId: string): Problem | undefined {
  for (const name of parameters) {
    if (query.getAll(name).length > 1) return { text: `${name} was sent more than once.` };
  }
  if (query.get('client_id') !== clientId) return { text: 'The client_id is not that of the sandbox.' };
  const address = redirectProblem(query.get('redirect_uri'));
  if (address) return { text: address };
  if (query.get('response_type') !== 'code') {
    return {
      error: query.has('response_type') ? 'unsupported_response_type' : 'invalid_request',
      text: 'response_type',
    };
  }
  const asked = (query.get('scope') ?? '').split(' ');
  if (!asked.every((scope) => scopes.has(scope))) return { error: 'invalid_scope', text: 'scope' };
  const challenge = query.get('code_challenge');
  const method = query.get('code_challenge_method');
  if (challenge === null && method === null) return undefined;
  const isS256 = method === 'S256' && /^[\w-]{43}$/.test(challenge ?? '');
  return isS256
    ? undefined
    : { error: 'invalid_request', text: 'only code_challenge_method S256 is supported' };
}

function redirectProblem(address: string | null): string | undefined {
  if (address === null) return 'The redirect_uri is missing.';
  if (!URL.canParse(address)) return 'The redirect_uri is not an absolute URL.';
  const { protocol, hostname, hash } = new URL(address);
  if (hash !== '' || address.includes('#')) return 'The redirect_uri must not have a fragment.';
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol === 'https:' || (protocol === 'http:' && local)) return undefined;
  return 'The redirect_uri must be https, or http on localhost.';
}

function refuse(reply: FastifyReply, query: URLSearchParams, { error, text }: Problem): FastifyReply {
  return error ? redirect(reply, query, { error, error_description: text }) : showProblem(reply, text);
}

function showProblem(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .code(400)
    .type('text/html; charset=utf-8')
    .send(page('QuickBooks (sandbox)', `<h1>This app cannot be connected</h1><p>${escapeMarkup(text)}</p>`));
}

/** `state` comes back as it was sent; the redirect address keeps the query it has. */
function redirect(
  reply: FastifyReply,
  query: URLSearchParams,
  answer: Record<string, string>,
  realmId?: string,
): FastifyReply {
  const target = new URL(query.get('redirect_uri') ?? '');
  const state = query.get('state');
  const members = { ...answer, ...(state !== null && { state }), ...(realmId !== undefined && { realmId }) };
  for (const [name, value] of Object.entries(members)) target.searchParams.set(name, value);
  return reply.code(302).header('location', target.href).header('cache-control', 'no-store').send();
}
