import { jsonOf, UnreadableWebhook, type Announcement, type Notice } from './announcements.ts';
import { asObject, textOf } from './httpFaults.ts';

/** Slack's Events API (docs.slack.dev, "The Events API"): one event an envelope, named the same at each retry. */
export function parseSlackWebhook(body: Buffer): Announcement {
  const envelope = asObject(jsonOf(body));
  const type = textOf(envelope?.type);
  if (!envelope || type === undefined) throw new UnreadableWebhook('The envelope has no type.');
  if (type === 'url_verification') {
    const challenge = textOf(envelope.challenge);
    if (challenge === undefined) throw new UnreadableWebhook('The challenge is missing.');
    return { notices: [], challenge };
  }
  // An organization-wide installation is known by its enterprise.
  const account = textOf(envelope.team_id) ?? textOf(envelope.enterprise_id);
  if (account === undefined) throw new UnreadableWebhook('The envelope names no workspace.');
  if (type === 'app_rate_limited') {
    const minute = Number(envelope.minute_rate_limited);
    const eventId = `app_rate_limited ${minute}`;
    return { notices: [{ kind: 'missed', account, eventId, occurredAt: secondsOf(minute) }] };
  }
  const event = asObject(envelope.event);
  const eventId = textOf(envelope.event_id);
  if (type !== 'event_callback' || !event || eventId === undefined)
    throw new UnreadableWebhook('The envelope has no event, or its event no id.');
  const occurredAt = secondsOf(Number(event.event_ts)) ?? secondsOf(Number(envelope.event_time));
  const said = saidBy(event, account);
  return { notices: said ? [{ account, eventId, occurredAt, ...said }] : [] };
}

type Said = Notice extends infer N
  ? N extends Notice
    ? Omit<N, 'account' | 'eventId' | 'occurredAt'>
    : never
  : never;

/** Undefined for what is about none of our resources. */
function saidBy(event: Record<string, unknown>, account: string): Said | undefined {
  const type = textOf(event.type) ?? '';
  if (type === 'app_uninstalled') return { kind: 'revoked', users: null };
  // User ids, not tokens. Slack does not say in which order this and `app_uninstalled` come.
  if (type === 'tokens_revoked') {
    const { bot, oauth } = asObject(event.tokens) ?? {};
    const users = [bot, oauth].flatMap((ids) => (Array.isArray(ids) ? (ids as unknown[]) : []));
    return { kind: 'revoked', users: users.filter((id) => typeof id === 'string') };
  }
  const resource = resources.find(([form]) => form.test(type))?.[1];
  if (resource === undefined) return undefined;
  const externalId = resource === 'Team' ? account : idIn(event, resource);
  if (externalId === undefined) return undefined;
  return {
    kind: 'record',
    resource,
    externalId,
    change: type === 'channel_deleted' ? 'DELETED' : 'UPSERTED',
  };
}

const resources: readonly [form: RegExp, resource: string][] = [
  [/^channel_(created|rename|archive|unarchive|deleted)$/, 'Channel'],
  [/^(team_join|user_change|user_profile_changed)$/, 'User'],
  [/^team_(rename|domain_change)$/, 'Team'],
];

/** The object itself, or its id, under the resource's name. */
function idIn(event: Record<string, unknown>, resource: string): string | undefined {
  const value = event[resource.toLowerCase()];
  return textOf(value) ?? textOf(asObject(value)?.id);
}

function secondsOf(seconds: number): Date | null {
  return seconds > 0 && seconds < 1e11 ? new Date(seconds * 1_000) : null;
}
