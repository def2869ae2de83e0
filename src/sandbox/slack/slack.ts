import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { escapeMarkup } from '../pages.ts';
import type { RequestLog } from '../requestLog.ts';
import type { StateFile } from '../stateFile.ts';
import { startActivity } from './activity.ts';
import { apiRoutes } from './api.ts';
import { app as slackApp } from './app.ts';
import { consentRoutes } from './consent.ts';
import { openDeliveries, type Deliveries } from './deliveries.ts';
import { bodyFor } from './errors.ts';
import { openEvents, type Events } from './events.ts';
import { writtenWorkspace } from './facts.ts';
import { installationsState, type InstallationsState } from './installation.ts';
import { Installations } from './installations.ts';
import { Limits } from './limits.ts';
import { seedWorkspaces } from './seed.ts';
import { slackSettings, type SlackSettings } from './settings.ts';
import type { Workspace } from './workspace.ts';

const dayMs = 86_400_000;

export interface SlackSandbox {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly signingSecret: string;
  readonly installations: Installations;
  readonly deliveries: Deliveries;
  readonly events: Events;
  readonly workspaces: readonly Workspace[];
  findWorkspace(teamId: string): Workspace | undefined;
  settings(): SlackSettings;
  applySettings(settings: SlackSettings): void;
  /** What Slack would say with this status, for injected faults. */
  bodyFor(status: number): string;
  /** Markup for the sandbox's own page. */
  summary(): string;
}

export interface SlackOptions {
  clock: Clock;
  state: StateFile;
  requests: RequestLog;
  /** Ends waits and requests when the sandbox closes. */
  signal: AbortSignal;
  log: (line: object) => void;
}

const keptState = z.object({
  /** The seed's dates hang on this, so that channels and users keep their times over a restart. */
  seededAt: z.number(),
  installations: installationsState,
  requestUrl: z.string().nullable(),
  /** By team id: what was written since the seed. */
  written: z.record(z.string(), writtenWorkspace),
});

/** The emulated Slack, mounted on `app`, whose prefix it does not know. */
export function mountSlack(app: FastifyInstance, options: SlackOptions): SlackSandbox {
  const { clock, state, requests, signal, log } = options;
  let settings = slackSettings.parse({});
  const currentSettings = () => settings;
  const now = () => clock.now() + settings.clockSkewMs;

  const kept = state.read('slack', keptState);
  const seededAt = kept?.seededAt ?? Math.floor(clock.now() / dayMs) * dayMs;
  const workspaces = seedWorkspaces(seededAt, now);
  let installationsKept: InstallationsState = kept?.installations ?? { installations: [], codes: [] };
  let requestUrl = kept?.requestUrl ?? null;
  const save = () =>
    state.write('slack', {
      seededAt,
      installations: installationsKept,
      requestUrl,
      written: Object.fromEntries(workspaces.map((one) => [one.team.id, one.written()])),
    });
  const findWorkspace = (teamId: string) => workspaces.find(({ team }) => team.id === teamId);
  const getWorkspace = (teamId: string): Workspace => {
    const found = findWorkspace(teamId);
    if (!found) throw new Error(`no workspace ${teamId}`);
    return found;
  };

  const deliveries = openDeliveries({
    clock,
    now,
    signal,
    settings: currentSettings,
    requestUrl,
    save(url) {
      requestUrl = url;
      save();
    },
    log,
  });
  const installations: Installations = new Installations({
    clock,
    settings: currentSettings,
    kept: kept?.installations,
    save(next) {
      installationsKept = next;
      save();
    },
    addBotUser: (teamId) => botUserOf(getWorkspace(teamId)),
    ended(installation, lines, uninstalled) {
      events.tellEnd(installation, lines, uninstalled);
      const { teamId, botUserId } = installation;
      if (uninstalled && botUserId !== null)
        getWorkspace(teamId).changeUser(botUserId, { isDeactivated: true });
    },
  });
  const events: Events = openEvents({
    clock,
    settings: currentSettings,
    deliveries,
    installations: () => installations,
    getWorkspace,
  });
  for (const workspace of workspaces) {
    workspace.keep(kept?.written[workspace.team.id], save);
    workspace.listen(events.tell);
  }
  const restartActivity = startActivity(clock, workspaces, currentSettings, signal);

  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ ok: false, error: 'not_found' }));
  consentRoutes(app, { installations, workspaces });
  const limits = new Limits(clock, currentSettings);
  const api = { clock, settings: currentSettings, installations, limits, requests, getWorkspace, log };
  void app.register(async (scope) => apiRoutes(scope, api), { prefix: '/api' });

  return {
    clientId: slackApp.clientId,
    clientSecret: slackApp.clientSecret,
    signingSecret: slackApp.signingSecret,
    installations,
    deliveries,
    events,
    workspaces,
    findWorkspace,
    settings: currentSettings,
    applySettings(next) {
      settings = next;
      restartActivity();
    },
    bodyFor,
    summary: () => summaryOf(workspaces),
  };
}

/** The app's bot user: made at the first installation, revived at a later one. */
function botUserOf(workspace: Workspace): string {
  const { id, userName, name } = slackApp;
  const botId = `B${workspace.team.id.slice(1)}`;
  const before = workspace.findBot(botId);
  if (before) return workspace.changeUser(before.id, { isDeactivated: false }).id;
  return workspace.addUser({
    name: userName,
    realName: name,
    displayName: '',
    title: id,
    email: null,
    role: 'bot',
    botId,
  }).id;
}

function summaryOf(workspaces: readonly Workspace[]): string {
  const rows = workspaces.map((one) => {
    const { id, name } = one.team;
    return `<tr><td><b>${escapeMarkup(name)}</b><br><code>${escapeMarkup(id)}</code></td>
      <td>${one.channels().length} channels, ${one.users().length} users</td></tr>`;
  });
  const links = ['grants', 'settings', 'request-url', 'deliveries', 'delivery-rules', 'workspaces'].map(
    (name) => `<li><a href="/_admin/slack/${name}">/_admin/slack/${name}</a></li>`,
  );
  return `<h2>Slack, below <code>/slack</code></h2><table>${rows.join('')}</table><ul>${links.join('')}</ul>`;
}
