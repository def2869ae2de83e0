import type { FastifyRequest } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import { app } from './app.ts';
import type { Arguments } from './arguments.ts';
import { SlackError } from './errors.ts';
import type { Installation } from './installation.ts';
import type { Installations, IssuedTokens } from './installations.ts';
import type { Team } from './facts.ts';

export interface AccessAnswer {
  teamId: string;
  members: Record<string, unknown>;
}

/** `oauth.v2.access`: a code or a refresh token for tokens. Its refusals, too, are HTTP 200. */
export function access(
  request: FastifyRequest,
  args: Arguments,
  installations: Installations,
  teamOf: (installation: Installation) => Team,
): AccessAnswer {
  authenticateClient(request, args);
  const grantType = args.text('grant_type') ?? 'authorization_code';
  if (grantType === 'refresh_token') {
    const refreshToken = args.text('refresh_token');
    if (refreshToken === undefined) throw new SlackError('invalid_refresh_token');
    const { installation, tokens } = installations.refresh(refreshToken);
    const team = teamOf(installation);
    return { teamId: team.id, members: { ...tokenMembers(tokens, installation), ...installMembers(team) } };
  }
  if (grantType !== 'authorization_code') throw new SlackError('invalid_grant_type');
  const { installation, userId, bot, user } = installations.exchange(
    args.text('code') ?? '',
    args.text('redirect_uri'),
    args.text('code_verifier'),
  );
  const team = teamOf(installation);
  const members = {
    authed_user: { id: userId, ...(user && tokenMembers(user, installation)) },
    ...(bot && tokenMembers(bot, installation)),
    ...installMembers(team),
  };
  return { teamId: team.id, members };
}

/** The bot's stand at the top level, a user's below `authed_user`, or at the top level of a refresh. */
function tokenMembers({ line, accessToken, rotation }: IssuedTokens, { botUserId }: Installation): object {
  return {
    ...(line.kind === 'bot' && { bot_user_id: botUserId }),
    scope: line.scopes.join(','),
    token_type: line.kind,
    access_token: accessToken,
    ...(rotation && { refresh_token: rotation.refreshToken, expires_in: rotation.expiresInSeconds }),
  };
}

function installMembers({ id, name, enterprise }: Team): object {
  return { app_id: app.id, team: { id, name }, enterprise, is_enterprise_install: false };
}

/** RFC 6749, 2.3.1: Basic with form-encoded parts, which Slack prefers, or both among the arguments. */
function authenticateClient(request: FastifyRequest, args: Arguments): void {
  const basic = /^Basic (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const [id, secret] =
    basic === undefined
      ? [args.text('client_id') ?? '', args.text('client_secret') ?? '']
      : basicCredentials(basic);
  if (!isSame(id, app.clientId)) throw new SlackError('invalid_client_id');
  if (!isSame(secret, app.clientSecret)) throw new SlackError('bad_client_secret');
}

function basicCredentials(basic: string): [string, string] {
  const [id = '', ...secret] = Buffer.from(basic, 'base64').toString('utf8').split(':');
  return [formDecoded(id), formDecoded(secret.join(':'))];
}

/** Empty where it is not well-formed. */
function formDecoded(text: string): string {
  return new URLSearchParams(`value=${text.replaceAll('&', '%26')}`).get('value') ?? '';
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
