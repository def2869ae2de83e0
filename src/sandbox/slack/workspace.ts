import { SlackError } from './errors.ts';
import { byId, idOf, numberIn, type Channel, type Team, type User, type WrittenWorkspace } from './facts.ts';
import { channelEventObject, channelObject, userObject } from './objects.ts';

/** What the app may be told of. `event` is as in an envelope, but for `event_ts`. */
export interface Happening {
  teamId: string;
  event: { type: string } & Record<string, unknown>;
  /** That a token must have for its app to be told. */
  scope: string;
  /** Where it is told to members of a channel only. */
  channel?: Channel;
}

export interface WorkspaceOptions {
  team: Team;
  channels: Channel[];
  users: User[];
  now: () => number;
}

/** One workspace. What cannot be done throws a `SlackError` and has changed nothing. */
export class Workspace {
  #team: Team;
  readonly #channels: Map<string, Channel>;
  readonly #users: Map<string, User>;
  /** The provider's time. */
  readonly now: () => number;
  readonly #written: { team: Team | null; channels: Set<string>; users: Set<string> } = {
    team: null,
    channels: new Set(),
    users: new Set(),
  };
  #lastTimestamp = 0;
  #changed: () => void = () => undefined;
  #listener: (happening: Happening) => void = () => undefined;

  constructor({ team, channels, users, now }: WorkspaceOptions) {
    this.#team = team;
    this.#channels = new Map(channels.map((one) => [one.id, one]));
    this.#users = new Map(users.map((one) => [one.id, one]));
    this.now = now;
  }

  /** Puts back what `written` gave, and from now on tells `changed` of every write. */
  keep(kept: WrittenWorkspace | undefined, changed: () => void): void {
    if (kept?.team) this.#team = this.#written.team = kept.team;
    for (const one of kept?.channels ?? []) this.#putChannel(one);
    for (const one of kept?.users ?? []) this.#putUser(one);
    this.#changed = changed;
  }

  written(): WrittenWorkspace {
    const { team, channels, users } = this.#written;
    return {
      team,
      channels: [...channels].map((id) => this.#channels.get(id)!),
      users: [...users].map((id) => this.#users.get(id)!),
    };
  }

  listen(listener: (happening: Happening) => void): void {
    this.#listener = listener;
  }

  get team(): Team {
    return this.#team;
  }

  /** Oldest first, since ids rise. */
  channels(): Channel[] {
    return [...this.#channels.values()].filter((one) => !one.isDeleted).sort(byId);
  }

  users(): User[] {
    return [...this.#users.values()].sort(byId);
  }

  findUser(id: string): User | undefined {
    return this.#users.get(id);
  }

  findBot(botId: string): User | undefined {
    return this.users().find((one) => one.botId === botId);
  }

  /** By id or, as `chat.postMessage` takes it too, by name with or without `#`. */
  findChannel(idOrName: string): Channel | undefined {
    const name = idOrName.replace(/^#/, '');
    return this.channels().find((one) => one.id === idOrName || one.name === name);
  }

  getChannel(id: string): Channel {
    const found = this.#channels.get(id);
    if (!found || found.isDeleted) throw new SlackError('channel_not_found');
    return found;
  }

  getUser(id: string): User {
    const found = this.#users.get(id);
    if (!found) throw new SlackError('user_not_found');
    return found;
  }

  createChannel(name: string, creator: string, isPrivate = false): Channel {
    this.#refuseName(name);
    const now = this.now();
    const channel: Channel = {
      id: this.#nextId('C', this.#channels),
      name,
      isPrivate,
      isGeneral: false,
      isArchived: false,
      isDeleted: false,
      creator: this.getUser(creator).id,
      createdAt: now,
      updatedAt: now,
      topic: '',
      purpose: '',
      previousNames: [],
      members: [creator],
    };
    this.#putChannel(channel);
    if (!isPrivate) {
      const told = channelEventObject(channel, this.#team);
      this.#tell({ type: 'channel_created', channel: told }, 'channels:read');
    }
    return channel;
  }

  renameChannel(id: string, name: string): Channel {
    const before = this.getChannel(id);
    if (before.isArchived) throw new SlackError('is_archived');
    this.#refuseName(name);
    const previousNames = [before.name, ...before.previousNames];
    const channel = this.#changeChannel(before, { name, previousNames });
    const { created, is_channel, is_mpim, name_normalized } = channelObject(channel, this.#team, undefined);
    this.#tellOf(channel, 'rename', { channel: { id, is_channel, is_mpim, name, name_normalized, created } });
    return channel;
  }

  archiveChannel(id: string, by: string, isArchived = true): Channel {
    const before = this.getChannel(id);
    if (before.isGeneral) throw new SlackError('cant_archive_general');
    if (before.isArchived === isArchived)
      throw new SlackError(isArchived ? 'already_archived' : 'not_archived');
    const channel = this.#changeChannel(before, { isArchived });
    this.#tellOf(channel, isArchived ? 'archive' : 'unarchive', { channel: id, user: by, is_moved: 0 });
    return channel;
  }

  deleteChannel(id: string, by: string): void {
    const before = this.getChannel(id);
    if (before.isGeneral) throw new SlackError('cant_delete_general');
    const channel = this.#changeChannel(before, { isDeleted: true });
    this.#tellOf(channel, 'deleted', { channel: id, actor_id: by });
  }

  addMember(id: string, userId: string, inviter: string): Channel {
    const before = this.getChannel(id);
    if (before.isArchived) throw new SlackError('is_archived');
    const user = this.getUser(userId).id;
    if (before.members.includes(user)) throw new SlackError('already_in_channel');
    const members = [...before.members, user];
    const channel = { ...before, members };
    // No new `updated`: that tells of the channel's own properties.
    this.#putChannel(channel);
    const event = {
      user,
      channel: id,
      channel_type: before.isPrivate ? 'G' : 'C',
      team: this.#team.id,
      inviter,
    };
    this.#tell({ type: 'member_joined_channel', ...event }, readScope(channel), channel);
    return channel;
  }

  addUser(facts: Pick<User, 'name' | 'realName'> & Partial<User>): User {
    const user: User = {
      displayName: facts.realName,
      title: '',
      email: `${facts.name}@${this.#team.emailDomain}`,
      timeZone: 'America/Chicago',
      role: 'member',
      botId: null,
      isDeactivated: false,
      id: this.#nextId('U', this.#users),
      ...facts,
      updatedAt: this.now(),
    };
    this.#putUser(user);
    if (user.role !== 'bot')
      this.#tell({ type: 'team_join', user: userObject(user, this.#team) }, 'users:read');
    return user;
  }

  changeUser(id: string, changes: Partial<Omit<User, 'id' | 'role' | 'botId'>>): User {
    const user = { ...this.getUser(id), ...changes, updatedAt: this.now() };
    this.#putUser(user);
    const event = {
      type: 'user_change',
      user: userObject(user, this.#team),
      cache_ts: Math.floor(user.updatedAt / 1000),
    };
    this.#tell(event, 'users:read');
    return user;
  }

  renameTeam(name: string): void {
    this.#team = this.#written.team = { ...this.#team, name };
    this.#changed();
    this.#tell({ type: 'team_rename', name }, 'team:read');
  }

  /** `message` is the message's object, but for `ts`, which is returned. Messages are told of, and not kept. */
  post(channel: Channel, message: Record<string, unknown>): string {
    const ts = this.timestamp();
    const kind = channel.isPrivate ? 'group' : 'channel';
    const event = { ...message, type: 'message', channel: channel.id, channel_type: kind, ts, event_ts: ts };
    this.#tell(event, `${kind}s:history`, channel);
    return ts;
  }

  /** `1767614400.000100`: never the same twice in a workspace. */
  timestamp(): string {
    this.#lastTimestamp = Math.max(this.#lastTimestamp + 1, Math.floor(this.now()) * 1000);
    return `${Math.floor(this.#lastTimestamp / 1e6)}.${String(this.#lastTimestamp % 1e6).padStart(6, '0')}`;
  }

  #tellOf(channel: Channel, what: string, members: Record<string, unknown>): void {
    const type = `${channel.isPrivate ? 'group' : 'channel'}_${what}`;
    this.#tell({ type, ...members }, readScope(channel), channel.isPrivate ? channel : undefined);
  }

  #tell(event: Happening['event'], scope: string, channel?: Channel): void {
    this.#listener({ teamId: this.#team.id, event, scope, ...(channel && { channel }) });
  }

  #refuseName(name: string): void {
    if (!/^[\p{Ll}\p{Lo}\p{N}_-]{1,80}$/u.test(name)) throw new SlackError('invalid_name');
    if (this.channels().some((one) => one.name === name)) throw new SlackError('name_taken');
  }

  #changeChannel(before: Channel, changes: Partial<Channel>): Channel {
    const channel = { ...before, ...changes, updatedAt: this.now() };
    this.#putChannel(channel);
    return channel;
  }

  #putChannel(channel: Channel): void {
    this.#channels.set(channel.id, channel);
    this.#written.channels.add(channel.id);
    this.#changed();
  }

  #putUser(user: User): void {
    this.#users.set(user.id, user);
    this.#written.users.add(user.id);
    this.#changed();
  }

  /** Ids rise in a workspace, and begin with its own digits, so that no other has the same. */
  #nextId(letter: string, taken: ReadonlyMap<string, unknown>): string {
    return idOf(letter, this.#team.id, Math.max(0, ...[...taken.keys()].map(numberIn)) + 1);
  }
}

const readScope = ({ isPrivate }: Channel) => (isPrivate ? 'groups:read' : 'channels:read');
