import { app } from './app.ts';
import type { Channel, Team, User } from './facts.ts';

/** The objects of the Web API, as its answers and events hold them. `viewer` is the user id behind the token. */

const seconds = (ms: number) => Math.floor(ms / 1000);

export function channelObject(channel: Channel, team: Team, viewer: string | undefined) {
  const { id, name, isPrivate, isGeneral, isArchived, creator, createdAt, updatedAt, members } = channel;
  const note = (value: string) => ({
    value,
    creator: value ? creator : '',
    last_set: value ? seconds(createdAt) : 0,
  });
  return {
    id,
    name,
    is_channel: !isPrivate,
    is_group: isPrivate,
    is_im: false,
    is_mpim: false,
    is_private: isPrivate,
    created: seconds(createdAt),
    is_archived: isArchived,
    is_general: isGeneral,
    unlinked: 0,
    name_normalized: name,
    is_shared: false,
    is_org_shared: false,
    is_pending_ext_shared: false,
    pending_shared: [] as string[],
    context_team_id: team.id,
    // Milliseconds, unlike `created`.
    updated: updatedAt,
    parent_conversation: null,
    creator,
    is_ext_shared: false,
    shared_team_ids: [team.id],
    pending_connected_team_ids: [] as string[],
    is_member: viewer !== undefined && members.includes(viewer),
    topic: note(channel.topic),
    purpose: note(channel.purpose),
    properties: {},
    previous_names: channel.previousNames,
  };
}

/** As in `channel_created`: without what depends on who looks. */
export function channelEventObject(channel: Channel, team: Team) {
  const { is_member: _member, properties: _properties, ...rest } = channelObject(channel, team, undefined);
  return { ...rest, is_moved: 0, internal_team_ids: [] as string[] };
}

export function userObject(user: User, team: Team, withEmail = true) {
  const { id, name, realName, displayName, role, botId, isDeactivated } = user;
  const [firstName = '', ...lastNames] = realName.split(' ');
  const isBot = role === 'bot';
  // Slack leaves most of these out for those who are no longer there.
  const standing = {
    color: colors[id.charCodeAt(id.length - 1) % colors.length],
    real_name: realName,
    tz: user.timeZone,
    tz_label: timeZones[user.timeZone]?.label ?? 'Pacific Time',
    tz_offset: timeZones[user.timeZone]?.offset ?? -28_800,
    is_admin: role === 'owner' || role === 'admin',
    is_owner: role === 'owner',
    is_primary_owner: role === 'owner',
    is_restricted: role === 'guest',
    is_ultra_restricted: false,
  };
  return {
    id,
    team_id: team.id,
    name,
    deleted: isDeactivated,
    ...(!isDeactivated && standing),
    profile: {
      title: user.title,
      phone: '',
      skype: '',
      real_name: realName,
      real_name_normalized: realName,
      display_name: displayName,
      display_name_normalized: displayName,
      fields: null,
      status_text: '',
      status_emoji: '',
      status_emoji_display_info: [] as object[],
      status_expiration: 0,
      avatar_hash: `g${id.slice(-11).toLowerCase()}`,
      ...(isBot
        ? { api_app_id: botId === null ? '' : app.id, always_active: true, ...(botId && { bot_id: botId }) }
        : withEmail && { email: user.email }),
      first_name: firstName,
      last_name: lastNames.join(' '),
      ...pictures(id, [24, 32, 48, 72, 192, 512]),
      status_text_canonical: '',
      team: team.id,
    },
    is_bot: isBot && botId !== null,
    is_app_user: false,
    updated: seconds(user.updatedAt),
    ...(!isBot && !isDeactivated && { is_email_confirmed: true, has_2fa: false }),
    who_can_share_contact_card: 'EVERYONE',
  };
}

export function teamObject({ id, name, domain, emailDomain, enterprise }: Team) {
  return {
    id,
    name,
    url: teamUrl(domain),
    domain,
    email_domain: emailDomain,
    icon: { image_default: true, ...pictures(id, [34, 44, 68, 88, 102, 132, 230]) },
    avatar_base_url: 'https://ca.slack-edge.example/',
    is_verified: false,
    lob_sales_home_enabled: false,
    ...(enterprise && { enterprise_id: enterprise.id, enterprise_name: enterprise.name }),
  };
}

/** In messages that the app posts. */
export function botProfile(bot: User, team: Team) {
  return {
    id: bot.botId,
    app_id: app.id,
    user_id: bot.id,
    name: app.name,
    icons: pictures(bot.id, [36, 48, 72]),
    deleted: bot.isDeactivated,
    updated: seconds(bot.updatedAt),
    team_id: team.id,
  };
}

export const teamUrl = (domain: string) => `https://${domain}.slack.example/`;

function pictures(id: string, sizes: readonly number[]): Record<string, string> {
  return Object.fromEntries(
    sizes.map((size) => [`image_${size}`, `https://avatars.slack.example/${id}/${size}.png`]),
  );
}

const colors = ['9f69e7', '4bbe2e', 'e7392d', '3c989f', '674b1b', 'e96699', 'e0a729', '684b6c'];
/** Without summer time: Slack sends what holds at the moment. */
const timeZones: Record<string, { label: string; offset: number }> = {
  'America/New_York': { label: 'Eastern Standard Time', offset: -18_000 },
  'America/Chicago': { label: 'Central Standard Time', offset: -21_600 },
  'America/Denver': { label: 'Mountain Standard Time', offset: -25_200 },
  'America/Los_Angeles': { label: 'Pacific Standard Time', offset: -28_800 },
};
