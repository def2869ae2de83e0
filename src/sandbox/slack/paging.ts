import type { Arguments } from './arguments.ts';
import { invalidArgument, SlackError } from './errors.ts';

export interface Page<T> {
  items: T[];
  /** Empty at the end. */
  nextCursor: string;
}

const mostItems = 1000;

/**
 * `items` rise by id, and a cursor names the id that the next page begins with: what is created meanwhile is not missed,
 * what is deleted shifts nothing. `kind` stands in the cursor, so that one list does not take another's.
 */
export function pageOf<T extends { id: string }>(
  items: readonly T[],
  kind: string,
  { limit, cursor }: { limit: number; cursor: string | undefined },
): Page<T> {
  const from = cursor === undefined ? '' : idIn(cursor, kind);
  const rest = items.filter(({ id }) => id >= from);
  const next = rest[limit];
  return {
    items: rest.slice(0, limit),
    nextCursor: next ? Buffer.from(`${kind}:${next.id}`).toString('base64') : '',
  };
}

/** Undefined where the caller asked for no limit. */
export function limitOf(args: Arguments): number | undefined {
  const text = args.text('limit');
  if (text === undefined) return undefined;
  if (!/^-?\d+$/.test(text)) throw invalidArgument('must be a number', 'limit');
  const limit = Number(text);
  if (limit < 1 || limit > mostItems) throw new SlackError('invalid_limit');
  return limit;
}

function idIn(cursor: string, kind: string): string {
  const text = Buffer.from(cursor, 'base64').toString('utf8');
  const id = text.slice(kind.length + 1);
  if (text !== `${kind}:${id}` || !/^[A-Z0-9]{3,}$/.test(id)) throw new SlackError('invalid_cursor');
  return id;
}
