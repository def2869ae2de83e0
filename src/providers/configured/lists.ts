import type { HttpResponse } from '../../calls/http.ts';
import type { Change, ChangePage, ChangeReads, Position } from '../changes.ts';
import { textOf } from '../httpFaults.ts';
import { answerAt, listAt, readRequest, snapshotOf } from './requests.ts';
import type { ResourceFacts } from './resourceShape.ts';
import type { Entry } from './schema.ts';

type List = NonNullable<ResourceFacts['list']>;

/** Changes of one resource, read from its list, page by page. Throws a `TypeError` for one that has none. */
export function listReadsOf(entry: Entry, resource: string): ChangeReads {
  const facts = entry.resources[resource]!;
  const { list } = facts;
  if (!list) throw new TypeError(`${entry.id} has no list of ${resource}.`);
  const { sinceParam } = list;
  return {
    overlapMs: sinceParam === undefined ? 0 : list.overlapSec * 1_000,
    begin: (since) => ({
      since: sinceParam === undefined ? null : (since?.toISOString() ?? null),
      page: null,
    }),

    request(target, position) {
      const { page } = position;
      if (list.paginate?.type === 'link' && typeof page === 'string') {
        const path = pathOf(page, readRequest(entry, target, resource, list.path).url);
        return readRequest(entry, { ...target, apiUrl: new URL(target.apiUrl).origin }, resource, path);
      }
      const query = { ...sinceIn(list, position), ...pageIn(list, page) };
      return readRequest(entry, target, resource, list.path, {}, query);
    },

    parse(response, position): ChangePage {
      const items = listAt(answerAt(response, list.itemsPath));
      const changes = items
        .map((one) => snapshotOf(one, facts))
        .filter((snapshot) => snapshot !== undefined)
        .map((snapshot): Change => ({ kind: 'UPSERTED', externalId: snapshot.externalId, snapshot }));
      const page = nextOf(list, response, position.page, items.length);
      return {
        changes,
        next: page === undefined ? undefined : { ...position, page },
        at: dateOf(response),
        isWhole: list.whole && position.since === null,
      };
    },
  };
}

function sinceIn({ sinceParam, sinceFormat }: List, { since }: Position): Record<string, string> {
  if (sinceParam === undefined || typeof since !== 'string') return {};
  const ms = Date.parse(since);
  const forms = { iso: since, seconds: String(Math.floor(ms / 1_000)), milliseconds: String(ms) };
  return { [sinceParam]: forms[sinceFormat] };
}

function pageIn({ paginate }: List, page: Position[string] | undefined): Record<string, string> {
  if (paginate?.param === undefined) return {};
  if (paginate.type === 'page') return { [paginate.param]: String(page ?? paginate.firstPage) };
  return page == null ? {} : { [paginate.param]: String(page) };
}

/** Counted pages end with an empty one: a page may be shorter than was asked for. */
function nextOf(
  { paginate }: List,
  response: HttpResponse,
  page: Position[string] | undefined,
  found: number,
): string | number | undefined {
  if (!paginate) return undefined;
  const { type, cursorPath, firstPage } = paginate;
  if (type === 'page') return found === 0 ? undefined : Number(page ?? firstPage) + 1;
  if (type === 'offset') return found === 0 ? undefined : Number(page ?? 0) + found;
  const named = cursorPath === undefined ? undefined : textOf(answerAt(response, cursorPath));
  const next = type === 'cursor' || cursorPath !== undefined ? named : linkIn(response);
  if (next === undefined || next === '' || (type === 'link' && !isOfTheWeb(next))) return undefined;
  // The same page again would never end.
  return next === page ? undefined : next;
}

/** The target of `rel="next"` (RFC 8288). */
function linkIn({ headers }: HttpResponse): string | undefined {
  for (const [, url, parameters] of (headers.link ?? '').matchAll(/<([^<>]*)>((?:\s*;[^,<]*)*)/g))
    if (/;\s*rel="?(?:[^"]*\s)?next\b/i.test(parameters!)) return url;
  return undefined;
}

/** Others, such as `mailto:`, have no path to go on with. */
function isOfTheWeb(link: string): boolean {
  const base = 'https://any.example';
  return URL.canParse(link, base) && /^https?:$/.test(new URL(link, base).protocol);
}

/**
 * Path and query of a link, seen from the page that had it: it cannot lead to another host than the one that is called
 * anyway. Without braces, which would be taken for names of values.
 */
function pathOf(link: string, from: string): string {
  const { pathname, search } = new URL(link, from);
  return `${pathname}${search}`.replaceAll('{', '%7B').replaceAll('}', '%7D');
}

/** The provider's clock (RFC 9110 §6.6.1). */
function dateOf({ headers }: HttpResponse): Date | null {
  const { date = '' } = headers;
  return /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/.test(date) ? new Date(date) : null;
}
