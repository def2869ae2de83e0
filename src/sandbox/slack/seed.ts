import { workspaceFacts, type WorkspaceFacts } from './data.ts';
import { idOf, type Channel, type User } from './facts.ts';
import { Workspace } from './workspace.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** The same workspaces for the same `anchorMs`: everything in them is older than it. */
export function seedWorkspaces(anchorMs: number, now: () => number): Workspace[] {
  return workspaceFacts.map((facts) => {
    const users = seedUsers(facts, anchorMs - 700 * dayMs);
    return new Workspace({
      team: facts.team,
      users,
      channels: seedChannels(facts, users, anchorMs - 690 * dayMs),
      now,
    });
  });
}

function seedUsers({ team, people, leavers, timeZone }: WorkspaceFacts, foundedAt: number): User[] {
  const user = (realName: string, index: number, facts: Partial<User>): User => {
    const name = realName
      .toLowerCase()
      .normalize('NFKD')
      .replace(/[^a-z ]/g, '')
      .replaceAll(' ', '.');
    return {
      id: idOf('U', team.id, index + 1),
      name,
      realName,
      displayName: realName.split(' ')[0]!,
      title: '',
      email: `${name}@${team.emailDomain}`,
      timeZone,
      role: 'member',
      botId: null,
      isDeactivated: false,
      updatedAt: foundedAt + index * 9 * hourMs,
      ...facts,
    };
  };
  const slackbot = { id: 'USLACKBOT', name: 'slackbot', email: null, role: 'bot' } as const;
  return [
    ...people.map(([realName, title], index) =>
      user(realName, index, {
        title,
        role:
          index === 0 ? 'owner' : index === 1 ? 'admin' : index === people.length - 1 ? 'guest' : 'member',
      }),
    ),
    ...leavers.map((realName, index) => user(realName, people.length + index, { isDeactivated: true })),
    user('Slackbot', 0, slackbot),
  ];
}

function seedChannels(facts: WorkspaceFacts, users: readonly User[], foundedAt: number): Channel[] {
  const present = users.filter(({ role, isDeactivated }) => !isDeactivated && role !== 'bot');
  const staff = present.filter(({ role }) => role !== 'guest').map(({ id }) => id);
  const [owner = '', admin = ''] = staff;
  const lanes = facts.lanes.flatMap(([a, b]) => [
    [`lane-${a}-${b}`, `Loads ${a} to ${b}`] as const,
    [`lane-${b}-${a}`, `Loads ${b} to ${a}`] as const,
  ]);
  const rows: { name: string; purpose: string; kind: 'general' | 'public' | 'private' | 'archived' }[] = [
    { name: 'general', purpose: 'Announcements and work-based matters', kind: 'general' },
    { name: 'random', purpose: 'Non-work banter and water cooler conversation', kind: 'public' },
    ...facts.channels.map(([name, purpose]) => ({ name, purpose, kind: 'public' as const })),
    ...facts.privateChannels.map(([name, purpose]) => ({ name, purpose, kind: 'private' as const })),
    ...facts.archivedChannels.map((name) => ({ name, purpose: '', kind: 'archived' as const })),
    ...lanes.map(([name, purpose]) => ({ name, purpose, kind: 'public' as const })),
  ];
  return rows.map(({ name, purpose, kind }, index) => {
    const createdAt = foundedAt + index * 31 * hourMs;
    // Some staff each, the owner always; the guest is in #random only.
    const some = staff.filter((id, at) => id === owner || (at * 7 + index * 3) % 5 < 2);
    return {
      id: idOf('C', facts.team.id, index + 1),
      name,
      isPrivate: kind === 'private',
      isGeneral: kind === 'general',
      isArchived: kind === 'archived',
      isDeleted: false,
      creator: kind === 'public' && index % 2 === 1 ? admin : owner,
      createdAt,
      updatedAt: createdAt + (kind === 'archived' ? 200 * dayMs : 40 * hourMs),
      topic: name === 'dispatch' ? 'Night line 555-0142' : '',
      purpose,
      previousNames: name === 'billing' ? ['invoicing'] : [],
      members:
        kind === 'general'
          ? staff
          : kind === 'archived'
            ? []
            : kind === 'private'
              ? [owner, admin]
              : name === 'random'
                ? present.map(({ id }) => id)
                : some,
    };
  });
}
