import type { HttpResponse } from '../calls/http.ts';
import { asObject, jsonIn, textOf } from './httpFaults.ts';
import type { ProviderRequest, RecordSnapshot, Target } from './provider.ts';

/** How one resource is read: one, and all of them page by page; and under which names the answers have them. */
interface Methods {
  one: string;
  argument: string;
  member: string;
  list?: string;
  members: string;
  /** What makes one look as it does in the list: else each of the two would seem to change the other. */
  asked?: Readonly<Record<string, string>>;
  listed?: Readonly<Record<string, string>>;
}

export const methods: Readonly<Record<string, Methods>> = {
  Channel: {
    one: 'conversations.info',
    argument: 'channel',
    member: 'channel',
    list: 'conversations.list',
    members: 'channels',
    asked: { include_num_members: 'true' },
    listed: { types: 'public_channel', exclude_archived: 'false' },
  },
  User: { one: 'users.info', argument: 'user', member: 'user', list: 'users.list', members: 'members' },
  // The workspace itself: there is no list of them.
  Team: { one: 'team.info', argument: 'team', member: 'team', members: 'teams' },
};

/** Every method takes a form by POST, reads too. */
export function call(
  target: Target,
  method: string,
  parameters: Record<string, string> = {},
): ProviderRequest {
  return {
    method: 'POST',
    url: `${target.apiUrl}/${method}`,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(parameters).toString(),
    operation: method,
    isRead: true,
  };
}

/** Of an answer that has one, or a page of them. */
export function snapshotsIn(answer: Record<string, unknown> | undefined, resource: string): RecordSnapshot[] {
  const { member, members } = methods[resource]!;
  const items = answer?.[members] ?? [answer?.[member]];
  return (Array.isArray(items) ? items : []).map(snapshotOf).filter((one) => one !== undefined);
}

/** Empty at the end. */
export function nextCursor(response: HttpResponse): string | undefined {
  const cursor = asObject(asObject(jsonIn(response.body))?.response_metadata)?.next_cursor;
  return typeof cursor === 'string' && cursor !== '' ? cursor : undefined;
}

function snapshotOf(value: unknown): RecordSnapshot | undefined {
  const payload = asObject(value);
  const externalId = textOf(payload?.id);
  if (!payload || externalId === undefined) return undefined;
  return { externalId, payload, updatedAt: timeIn(payload.updated) };
}

/** Seconds since 1970 for users, milliseconds for channels. Teams have none. */
function timeIn(updated: unknown): Date | null {
  if (typeof updated !== 'number' || !(updated > 0)) return null;
  const time = new Date(updated > 1e11 ? updated : updated * 1_000);
  return Number.isNaN(time.getTime()) ? null : time;
}
