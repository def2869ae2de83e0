import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { BadInput, check, read } from '../admin.ts';
import { somethingHappens } from './activity.ts';
import { deliveryRule } from './deliveries.ts';
import { SlackError } from './errors.ts';
import type { User } from './facts.ts';
import { slackSettings } from './settings.ts';
import type { SlackSandbox } from './slack.ts';
import type { Workspace } from './workspace.ts';

const team = z.strictObject({ teamId: z.string() });
const person = z
  .strictObject({
    name: z.string(),
    realName: z.string(),
    displayName: z.string(),
    title: z.string(),
    email: z.string(),
    timeZone: z.string(),
    isDeactivated: z.boolean(),
  })
  .partial();
const of = <T extends string>(change: T) => team.extend({ change: z.literal(change) });
const inChannel = { channel: z.string(), by: z.string().optional() };
/** As people in the workspace do it. `by` is a user id; without it the owner does it. Channels go by id. */
const workspaceChange = z.discriminatedUnion('change', [
  of('create-channel').extend({
    name: z.string(),
    isPrivate: z.boolean().optional(),
    by: z.string().optional(),
  }),
  of('rename-channel').extend({ channel: z.string(), name: z.string() }),
  of('archive-channel').extend(inChannel),
  of('unarchive-channel').extend(inChannel),
  of('delete-channel').extend(inChannel),
  /** Without a user: the app's bot. */
  of('invite').extend({ ...inChannel, user: z.string().optional() }),
  of('post').extend({ ...inChannel, text: z.string() }),
  of('add-user').extend({ user: person.required({ name: true, realName: true }) }),
  of('change-user').extend({ id: z.string(), user: person }),
  of('rename-team').extend({ name: z.string() }),
]);

/** `/_admin/slack`: how tests and developers steer the emulated Slack. */
export function slackAdmin(app: FastifyInstance, slack: SlackSandbox, clock: Clock): void {
  const { installations, deliveries, events, workspaces } = slack;
  const workspaceOf = (teamId: string): Workspace => {
    const found = slack.findWorkspace(teamId);
    if (!found) throw new BadInput(`teamId: no workspace ${teamId}`);
    return found;
  };

  app.get('/settings', () => slack.settings());
  app.put('/settings', (request) => {
    // What is not named stays as it is.
    const changed = read(request, z.record(z.string(), z.unknown()));
    slack.applySettings(check({ ...slack.settings(), ...changed }, slackSettings));
    return slack.settings();
  });
  app.delete('/settings', () => {
    slack.applySettings(slackSettings.parse({}));
    return slack.settings();
  });

  app.get('/grants', () => ({
    grants: installations.list().map(({ lines, installedAt, ...installation }) => ({
      ...installation,
      installedAt: new Date(installedAt).toISOString(),
      lines: lines.map(({ kind, userId, scopes, rotates, isEnded }) => ({
        kind,
        userId,
        scopes,
        rotates,
        isEnded,
      })),
    })),
  }));
  /** Somebody in the workspace removes the app. */
  app.post('/grants/revoke', (request) => {
    const { id } = workspaceOf(read(request, team).teamId).team;
    const live = installations.findLive(id);
    if (live) installations.uninstall(live, 'user');
    return { revoked: live ? 1 : 0 };
  });
  /** The tokens of one user, or all; the app goes with the last. */
  app.post('/tokens/revoke', (request) => {
    const { teamId, userId } = read(request, team.extend({ userId: z.string().optional() }));
    return { revoked: installations.revokeLines(workspaceOf(teamId).team.id, userId) };
  });
  app.post('/access-tokens/expire', (request) => {
    const { teamId } = read(request, team.partial());
    return { expired: installations.expireAccessTokens(teamId && workspaceOf(teamId).team.id) };
  });

  app.get('/workspaces', () => ({
    workspaces: workspaces.map((one) => ({
      ...one.team,
      channels: one.channels().length,
      users: one.users().length,
    })),
  }));
  app.post('/changes', (request) => {
    const change = read(request, workspaceChange);
    return refusing('change', () => apply(change, workspaceOf(change.teamId), installations));
  });
  /** So many random changes, in one workspace or in any. */
  app.post('/activity', (request) => {
    const { teamId, count } = read(
      request,
      team.partial().extend({ count: z.int().min(1).max(1000).default(1) }),
    );
    const among = teamId === undefined ? workspaces : [workspaceOf(teamId)];
    for (let done = 0; done < count; done += 1) somethingHappens(among[done % among.length]!, clock);
    return { changed: count };
  });

  app.get('/request-url', () => ({ url: deliveries.requestUrl() }));
  app.put('/request-url', async (request) => {
    const { url } = read(request, z.strictObject({ url: z.url({ protocol: /^https?$/ }).nullable() }));
    const problem = await deliveries.setRequestUrl(url);
    if (problem !== undefined) throw new BadInput(`url: not verified (${problem})`);
    return { url };
  });
  app.get('/deliveries', () => ({ deliveries: deliveries.list() }));
  app.delete('/deliveries', (_request, reply) => {
    deliveries.clear();
    return reply.code(204).send();
  });
  app.get('/delivery-rules', () => ({ rules: deliveries.rules() }));
  app.post('/delivery-rules', (request, reply) => {
    deliveries.addRule(read(request, deliveryRule));
    return reply.code(201).send({ rules: deliveries.rules() });
  });
  app.delete('/delivery-rules', (_request, reply) => {
    deliveries.clearRules();
    return reply.code(204).send();
  });
  /** An event of the caller's own making, in an envelope of ours. */
  app.post('/events', (request) => {
    const { teamId, event } = read(request, team.extend({ event: z.looseObject({ type: z.string() }) }));
    return { sent: events.inject(workspaceOf(teamId).team.id, event) };
  });
}

function apply(
  change: z.infer<typeof workspaceChange>,
  workspace: Workspace,
  installations: SlackSandbox['installations'],
): object {
  const owner = workspace.users().find(({ role }) => role === 'owner')!.id;
  const by = 'by' in change ? (change.by ?? owner) : owner;
  switch (change.change) {
    case 'create-channel':
      return workspace.createChannel(change.name, by, change.isPrivate);
    case 'rename-channel':
      return workspace.renameChannel(change.channel, change.name);
    case 'archive-channel':
      return workspace.archiveChannel(change.channel, by);
    case 'unarchive-channel':
      return workspace.archiveChannel(change.channel, by, false);
    case 'delete-channel':
      workspace.deleteChannel(change.channel, by);
      return {};
    case 'invite': {
      const bot = installations.findLive(workspace.team.id)?.botUserId;
      return workspace.addMember(change.channel, change.user ?? bot ?? '', by);
    }
    case 'post': {
      const channel = workspace.getChannel(change.channel);
      return { ts: workspace.post(channel, { user: by, text: change.text, team: workspace.team.id }) };
    }
    case 'add-user':
      return workspace.addUser(defined(change.user));
    case 'change-user':
      return workspace.changeUser(change.id, defined(change.user));
    case 'rename-team':
      workspace.renameTeam(change.name);
      return workspace.team;
  }
}

/** The schema gives absent members as undefined. */
function defined<T extends object>(facts: T) {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as T &
    Partial<User>;
}

function refusing<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SlackError) throw new BadInput(`${name}: ${error.code}`);
    throw error;
  }
}
