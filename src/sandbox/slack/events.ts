import type { Clock } from '../../clock.ts';
import { app } from './app.ts';
import type { Deliveries } from './deliveries.ts';
import type { Team } from './facts.ts';
import type { Installation, TokenLine } from './installation.ts';
import type { Installations } from './installations.ts';
import type { SlackSettings } from './settings.ts';
import type { Happening, Workspace } from './workspace.ts';

type Event = Happening['event'];

export interface Events {
  /** Tells the app, where it is installed, subscribed and has the scope. */
  tell(happening: Happening): void;
  /** Tells the app of the end of token lines. `app_uninstalled` comes where the installation ended with them. */
  tellEnd(installation: Installation, lines: readonly TokenLine[], uninstalled: boolean): void;
  /** Any event at all, whatever the app is subscribed to. False where it is not installed. */
  inject(teamId: string, event: Event): boolean;
}

export interface EventsOptions {
  clock: Clock;
  settings: () => SlackSettings;
  deliveries: Deliveries;
  installations: () => Installations;
  getWorkspace: (teamId: string) => Workspace;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** The Events API: what happens, in envelopes, to whom it may be told. */
export function openEvents(options: EventsOptions): Events {
  const { clock, settings, deliveries, getWorkspace } = options;
  /** By team: the events of the last hour. */
  const sentAt = new Map<string, number[]>();
  const toldOfLimitAt = new Map<string, number>();

  const send = (teamId: string, line: TokenLine | undefined, event: Event) => {
    if (!isWithinLimit(teamId)) return;
    const workspace = getWorkspace(teamId);
    const event_ts = workspace.timestamp();
    const eventId = `Ev${clock.randomBytes(8).toString('hex').toUpperCase().slice(0, 11)}`;
    const body = JSON.stringify(
      envelopeOf(
        workspace.team,
        line,
        { ...event, event_ts: event['event_ts'] ?? event_ts },
        {
          eventId,
          seconds: Math.floor(workspace.now() / 1000),
          isLegacy: settings().legacyEnvelope,
        },
      ),
    );
    deliveries.add({ teamId, eventId, eventType: event.type, body });
  };

  /** Above the limit the event is lost, and the app told so, once a minute. */
  const isWithinLimit = (teamId: string): boolean => {
    const now = clock.monotonic();
    const times = (sentAt.get(teamId) ?? []).filter((time) => time > now - hourMs);
    sentAt.set(teamId, times);
    if (times.length < settings().eventsPerHour) {
      times.push(now);
      return true;
    }
    const minute = Math.floor(getWorkspace(teamId).now() / minuteMs) * 60;
    if (toldOfLimitAt.get(teamId) !== minute) {
      toldOfLimitAt.set(teamId, minute);
      const type = 'app_rate_limited';
      const notice = { token: app.verificationToken, type, team_id: teamId, minute_rate_limited: minute };
      const body = JSON.stringify({ ...notice, api_app_id: app.id });
      deliveries.add({ teamId, eventId: null, eventType: type, body });
    }
    return false;
  };
  const isSubscribed = ({ type }: Event) => (settings().events as readonly string[]).includes(type);

  return {
    tell({ teamId, event, scope, channel }) {
      if (!isSubscribed(event)) return;
      const lines = options.installations().findLive(teamId)?.lines ?? [];
      // Once for the app, in the name of its bot where the bot may know.
      const line = [...lines]
        .sort((a, b) => Number(a.kind === 'user') - Number(b.kind === 'user'))
        .find(
          (one) =>
            !one.isEnded && one.scopes.includes(scope) && (!channel || channel.members.includes(one.userId)),
        );
      if (line) send(teamId, line, line.scopes.includes('users:read.email') ? event : withoutEmail(event));
    },
    tellEnd({ teamId }, lines, uninstalled) {
      const usersOf = (kind: TokenLine['kind']) =>
        lines.filter((one) => one.kind === kind).map((one) => one.userId);
      const tokens = { oauth: usersOf('user'), bot: usersOf('bot') };
      const told: Event[] = [{ type: 'tokens_revoked', tokens }];
      if (uninstalled) told.push({ type: 'app_uninstalled' });
      const order = settings().uninstallOrder;
      if (order === 'app-first' || (order === 'any' && clock.random() < 0.5)) told.reverse();
      for (const event of told) if (isSubscribed(event)) send(teamId, lines[0], event);
    },
    inject(teamId, event) {
      const line = options
        .installations()
        .findLive(teamId)
        ?.lines.find((one) => !one.isEnded);
      if (line) send(teamId, line, event);
      return line !== undefined;
    },
  };
}

function envelopeOf(
  team: Team,
  line: TokenLine | undefined,
  event: Event,
  { eventId, seconds, isLegacy }: { eventId: string; seconds: number; isLegacy: boolean },
): object {
  const enterpriseId = team.enterprise?.id ?? null;
  const context = { et: event.type, tid: team.id, aid: app.id };
  const authorization = line && {
    enterprise_id: enterpriseId,
    team_id: team.id,
    user_id: line.userId,
    is_bot: line.kind === 'bot',
    is_enterprise_install: false,
  };
  return {
    token: app.verificationToken,
    team_id: team.id,
    ...(enterpriseId !== null && { enterprise_id: enterpriseId }),
    context_team_id: team.id,
    context_enterprise_id: enterpriseId,
    api_app_id: app.id,
    event,
    type: 'event_callback',
    event_id: eventId,
    event_time: seconds,
    ...(isLegacy && { authed_users: line ? [line.userId] : [], authed_teams: [team.id] }),
    authorizations: authorization ? [authorization] : [],
    is_ext_shared_channel: false,
    event_context: `4-${Buffer.from(JSON.stringify(context)).toString('base64url')}`,
  };
}

/** An app without `users:read.email` does not get the address by an event either. */
function withoutEmail(event: Event): Event {
  const user = event['user'] as { profile?: Record<string, unknown> } | string | undefined;
  if (typeof user !== 'object' || user.profile === undefined) return event;
  const { email: _email, ...profile } = user.profile;
  return { ...event, user: { ...user, profile } };
}
