import type { Cancel, Clock } from '../../clock.ts';
import type { SlackSettings } from './settings.ts';
import type { Workspace } from './workspace.ts';

/** What happens by itself, as often as the settings say; ends with `signal`. Call what is returned after they changed. */
export function startActivity(
  clock: Clock,
  workspaces: readonly Workspace[],
  settings: () => SlackSettings,
  signal: AbortSignal,
): () => void {
  let next: Cancel = () => undefined;
  const arm = () => {
    next();
    const { activityEverySeconds } = settings();
    if (activityEverySeconds === null || signal.aborted) return;
    next = clock.timer(activityEverySeconds * 1000, () => {
      somethingHappens(pick(clock, workspaces), clock);
      arm();
    });
  };
  signal.addEventListener('abort', () => next());
  arm();
  return arm;
}

/** One thing that people in a workspace do: a channel made, renamed or archived, a person hired or changed, a message. */
export function somethingHappens(workspace: Workspace, clock: Clock): void {
  const people = workspace.users().filter(({ role, isDeactivated }) => role !== 'bot' && !isDeactivated);
  const person = pick(clock, people);
  const open = workspace.channels().filter((one) => !one.isArchived && !one.isGeneral && !one.isPrivate);
  const channel = pick(clock, open);
  const fresh = Math.floor(clock.random() * 1e9).toString(36);
  const things = [
    () => workspace.createChannel(`load-${fresh}`, person.id),
    () => workspace.renameChannel(channel.id, `${channel.name.slice(0, 60)}-${fresh}`),
    () => workspace.archiveChannel(channel.id, person.id),
    () => workspace.addUser({ name: `new.${fresh}`, realName: `New Colleague ${fresh}` }),
    () => workspace.changeUser(person.id, { title: `Desk ${fresh}` }),
    () =>
      workspace.post(channel, { user: person.id, text: `Load ${fresh} is rolling`, team: workspace.team.id }),
  ];
  // Archived channels do not come back by themselves: some are left to talk in.
  pick(clock, open.length > 5 ? things : things.slice(0, 1))();
}

function pick<T>(clock: Clock, items: readonly T[]): T {
  return items[Math.floor(clock.random() * items.length)]!;
}
