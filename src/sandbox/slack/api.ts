import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { RequestLog } from '../requestLog.ts';
import { readArguments, type Arguments } from './arguments.ts';
import { chatMethods } from './chatMethods.ts';
import { directoryMethods } from './directoryMethods.ts';
import { missingScope, SlackError } from './errors.ts';
import { identityMethods } from './identityMethods.ts';
import type { Bearer, Installations } from './installations.ts';
import type { Limits } from './limits.ts';
import type { Method } from './method.ts';
import { access } from './oauth.ts';
import type { SlackSettings } from './settings.ts';
import type { Workspace } from './workspace.ts';

export interface ApiOptions {
  clock: Clock;
  settings: () => SlackSettings;
  installations: Installations;
  limits: Limits;
  requests: RequestLog;
  getWorkspace: (teamId: string) => Workspace;
  log: (line: object) => void;
}

const methods: Readonly<Record<string, Method>> = { ...identityMethods, ...directoryMethods, ...chatMethods };

/** The Web API, below `/api`: any method by GET or POST. The order is: injected faults, token, limits, scopes, work. */
export function apiRoutes(app: FastifyInstance, options: ApiOptions): void {
  // Injected answers have it, too.
  app.addHook('onRequest', async (_request, reply) => {
    void reply.header('x-slack-req-id', options.clock.randomBytes(16).toString('hex'));
  });
  app.route({
    method: ['GET', 'POST'],
    url: '/:method',
    async handler(request, reply) {
      void reply
        .type('application/json; charset=utf-8')
        .header('cache-control', 'private, no-cache, no-store, must-revalidate')
        .header('pragma', 'no-cache');
      try {
        return JSON.stringify({ ok: true, ...(await answer(request, reply, options)) });
      } catch (error) {
        if (!(error instanceof SlackError)) options.log({ event: 'sandbox.bug', message: String(error) });
        const { code, members, retryAfterSeconds } =
          error instanceof SlackError ? error : new SlackError('internal_error');
        if (retryAfterSeconds !== undefined)
          void reply.code(429).header('retry-after', String(retryAfterSeconds));
        return JSON.stringify({ ok: false, error: code, ...members });
      }
    },
  });
}

async function answer(request: FastifyRequest, reply: FastifyReply, options: ApiOptions): Promise<object> {
  const { method: name = '' } = request.params as { method?: string };
  if (name === 'oauth.v2.access') return exchangeTokens(request, options);
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (!method) throw new SlackError('unknown_method', { req_method: name });
  const args = await readArguments(request, method.writes === true);
  const { installations, limits, settings } = options;
  const bearer = authenticate(args, options);
  const { teamId } = bearer.installation;
  options.requests.note(request, { teamId });
  const { scopes } = bearer.line;
  void reply.header('x-oauth-scopes', scopes.join(','));
  if (method.scopes.length > 0) void reply.header('x-accepted-oauth-scopes', method.scopes.join(','));
  if (method.tier) limits.admit(teamId, name, method.tier);
  const need = (scope: string) => {
    if (!scopes.includes(scope)) throw missingScope(scope, scopes);
  };
  if (method.needs) method.needs(args).forEach(need);
  else if (method.scopes.length > 0 && !method.scopes.some((scope) => scopes.includes(scope)))
    throw missingScope(method.scopes.join(','), scopes);
  const workspace = options.getWorkspace(teamId);
  const members = method.run({
    args,
    bearer,
    workspace,
    settings: settings(),
    installations,
    limits,
    need,
  });
  return withWarnings(members, args.warnings);
}

async function exchangeTokens(request: FastifyRequest, options: ApiOptions): Promise<object> {
  const { installations, limits, requests } = options;
  const args = await readArguments(request, true);
  const grantType = args.text('grant_type') ?? 'authorization_code';
  const known = grantType === 'authorization_code' || grantType === 'refresh_token';
  requests.note(request, { grantType: known ? grantType : 'other' });
  limits.admit('', 'oauth.v2.access', 'special');
  const teamOf = ({ teamId }: { teamId: string }) => options.getWorkspace(teamId).team;
  const { teamId, members } = access(request, args, installations, teamOf);
  requests.note(request, { teamId });
  return withWarnings(members, args.warnings);
}

function authenticate(args: Arguments, { installations, settings }: ApiOptions): Bearer {
  if (args.token === undefined) throw new SlackError('not_authed');
  const bearer = installations.authenticate(args.token);
  const refusal = settings().workspaceErrors[bearer.installation.teamId];
  if (refusal !== undefined) throw new SlackError(refusal);
  return bearer;
}

/** One goes by its name at the top level as well. */
function withWarnings(members: Record<string, unknown>, warnings: readonly string[]): object {
  if (warnings.length === 0) return members;
  const metadata = members['response_metadata'] as object | undefined;
  return { ...members, warning: warnings.join(','), response_metadata: { ...metadata, warnings } };
}
