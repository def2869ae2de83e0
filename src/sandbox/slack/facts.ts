import { z } from 'zod';

/** Times are milliseconds. Lists of ids are of users. */
export const channelFacts = z.object({
  id: z.string(),
  name: z.string(),
  isPrivate: z.boolean(),
  isGeneral: z.boolean(),
  isArchived: z.boolean(),
  /** Kept, so that what is written outlasts a restart; nobody sees it any more. */
  isDeleted: z.boolean(),
  creator: z.string(),
  createdAt: z.number(),
  updatedAt: z.number(),
  topic: z.string(),
  purpose: z.string(),
  previousNames: z.array(z.string()),
  members: z.array(z.string()),
});
export const userFacts = z.object({
  id: z.string(),
  name: z.string(),
  realName: z.string(),
  displayName: z.string(),
  title: z.string(),
  email: z.string().nullable(),
  timeZone: z.string(),
  role: z.enum(['owner', 'admin', 'member', 'guest', 'bot']),
  /** Of bots. */
  botId: z.string().nullable(),
  isDeactivated: z.boolean(),
  updatedAt: z.number(),
});
export const teamFacts = z.object({
  id: z.string(),
  name: z.string(),
  domain: z.string(),
  emailDomain: z.string(),
  enterprise: z.object({ id: z.string(), name: z.string() }).nullable(),
});
/** What was written since the seed. */
export const writtenWorkspace = z.object({
  team: teamFacts.nullable(),
  channels: z.array(channelFacts),
  users: z.array(userFacts),
});

export type Channel = z.infer<typeof channelFacts>;
export type User = z.infer<typeof userFacts>;
export type Team = z.infer<typeof teamFacts>;
export type WrittenWorkspace = z.infer<typeof writtenWorkspace>;

export const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);

/** `C` and eleven signs: three of the workspace's own id, then the number in base 36. So ids rise, and none is shared. */
export function idOf(letter: string, teamId: string, number: number): string {
  return `${letter}${teamId.slice(1, 4)}${number.toString(36).toUpperCase().padStart(8, '0')}`;
}

/** 0 for ids of another form, such as `USLACKBOT`. */
export function numberIn(id: string): number {
  return /^.\w{3}0\w{7}$/.test(id) ? parseInt(id.slice(4), 36) : 0;
}
