import { decodeCursor, type PageRequest } from '../src/db/pages.ts';
import { badUserInput } from './context.ts';

const most = 100;

/** Checks the arguments of a page field. `position`: what a cursor of this field decodes to. */
export function pageRequest(
  { first, after }: { first?: number | null; after?: string | null },
  position: RegExp,
): PageRequest {
  const size = first ?? 50;
  if (size < 1 || size > most) throw badUserInput(`first: must be from 1 to ${most}.`);
  const start = after == null ? null : decodeCursor(after);
  if (start === undefined || (start !== null && !position.test(start)))
    throw badUserInput('after: is not a cursor of this list.');
  return { first: size, after: start };
}
