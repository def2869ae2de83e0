import { SlackError } from './errors.ts';
import type { Channel } from './facts.ts';
import type { Call, Method } from './method.ts';
import { channelObject, userObject } from './objects.ts';
import { limitOf, pageOf } from './paging.ts';

const scopeOfType: Record<string, string> = {
  public_channel: 'channels:read',
  private_channel: 'groups:read',
  mpim: 'mpim:read',
  im: 'im:read',
};
const conversationScopes = Object.values(scopeOfType);
const defaultLimit = 100;

/** Reads of channels and users. */
export const directoryMethods: Record<string, Method> = {
  'conversations.list': {
    tier: 'tier2',
    scopes: conversationScopes,
    needs: (args) => typesIn(args.text('types')).map((type) => scopeOfType[type]!),
    run(call) {
      const { args, bearer, workspace } = call;
      const types = typesIn(args.text('types'));
      const seen = workspace.channels().filter((one) => isVisible(one, bearer.line.userId));
      const page = pageOf(seen, 'team', { limit: filled(call, defaultLimit), cursor: args.text('cursor') });
      // What the page holds is chosen before what it shows: so it can be short, or empty, before the end.
      const shown = page.items.filter(
        ({ isPrivate, isArchived }) =>
          types.includes(isPrivate ? 'private_channel' : 'public_channel') &&
          !(isArchived && args.flag('exclude_archived')),
      );
      return {
        channels: shown.map((one) => ({ ...objectOf(call, one), num_members: one.members.length })),
        response_metadata: { next_cursor: page.nextCursor },
      };
    },
  },
  'conversations.info': {
    tier: 'tier3',
    scopes: conversationScopes,
    run(call) {
      const { args, bearer, workspace } = call;
      const found = workspace.getChannel(args.required('channel'));
      if (!isVisible(found, bearer.line.userId)) throw new SlackError('channel_not_found');
      call.need(found.isPrivate ? 'groups:read' : 'channels:read');
      const count = args.flag('include_num_members') ? { num_members: found.members.length } : {};
      return { channel: { ...objectOf(call, found), ...count } };
    },
  },
  'users.list': {
    tier: 'tier2',
    scopes: ['users:read'],
    run(call) {
      const { args, workspace } = call;
      const users = workspace.users();
      const limit = filled(call, users.length);
      const page = pageOf(users, 'user', { limit, cursor: args.text('cursor') });
      return {
        members: page.items.map((one) => personOf(call, one.id)),
        cache_ts: Math.floor(workspace.now() / 1000),
        response_metadata: { next_cursor: page.nextCursor },
      };
    },
  },
  'users.info': {
    tier: 'tier4',
    scopes: ['users:read'],
    run: (call) => ({ user: personOf(call, call.args.required('user')) }),
  },
};

function typesIn(text = 'public_channel'): string[] {
  const types = text.split(',').map((type) => type.trim());
  if (!types.every((type) => type in scopeOfType)) throw new SlackError('invalid_types');
  return types;
}

/** How many to hold in a page. */
function filled({ args, settings }: Call, byDefault: number): number {
  return Math.max(1, Math.ceil((limitOf(args) ?? byDefault) * settings.pageFill));
}

const isVisible = ({ isPrivate, members }: Channel, viewer: string) => !isPrivate || members.includes(viewer);

function objectOf({ bearer, workspace }: Call, channel: Channel): object {
  return channelObject(channel, workspace.team, bearer.line.userId);
}

function personOf({ args, bearer, workspace }: Call, id: string): object {
  const withEmail = bearer.line.scopes.includes('users:read.email');
  const person = userObject(workspace.getUser(id), workspace.team, withEmail);
  return args.flag('include_locale') ? { ...person, locale: 'en-US' } : person;
}
