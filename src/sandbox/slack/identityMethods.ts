import { app } from './app.ts';
import { SlackError } from './errors.ts';
import type { Method } from './method.ts';
import { teamObject, teamUrl } from './objects.ts';

/** Who the token is, and the end of it. */
export const identityMethods: Record<string, Method> = {
  'auth.test': {
    tier: 'special',
    writes: true,
    scopes: [],
    run({ bearer: { line, secondsLeft }, workspace }) {
      const { id, name, domain, enterprise } = workspace.team;
      const user = workspace.getUser(line.userId);
      return {
        url: teamUrl(domain),
        team: name,
        user: user.name,
        team_id: id,
        user_id: user.id,
        ...(user.botId && { bot_id: user.botId }),
        ...(enterprise && { enterprise_id: enterprise.id }),
        is_enterprise_install: false,
        ...(secondsLeft !== null && { expires_in: secondsLeft }),
      };
    },
  },
  'auth.revoke': {
    tier: 'tier3',
    scopes: [],
    run({ args, bearer, installations }) {
      if (args.flag('test')) return { revoked: false };
      installations.revoke(bearer);
      return { revoked: true };
    },
  },
  'apps.uninstall': {
    tier: 'tier1',
    scopes: [],
    run({ args, bearer, installations }) {
      if (args.required('client_id') !== app.clientId) throw new SlackError('invalid_client_id');
      if (args.required('client_secret') !== app.clientSecret) throw new SlackError('bad_client_secret');
      installations.uninstall(bearer.installation, 'app');
      return {};
    },
  },
  'team.info': {
    tier: 'tier3',
    scopes: ['team:read'],
    run({ args, workspace: { team } }) {
      if ((args.text('team') ?? team.id) !== team.id) throw new SlackError('team_not_found');
      return { team: teamObject(team) };
    },
  },
};
