/** What an answer says about one limit. A promise of nothing: a provider may refuse earlier, and `Retry-After` wins. */
export interface Learnt {
  /** The limit that the header speaks of, where it says; more than 0. */
  limit?: number;
  /** At most a year. */
  windowMs?: number;
  /** Calls left. */
  remaining: number;
  /** Until the whole limit is free again; at most 31 days. */
  resetMs?: number;
}

/** A longer one is a mistake, or a time in another unit. */
const longestResetMs = 31 * 24 * 3_600_000;
const longestWindowSeconds = 366 * 24 * 3_600;
/** How far the resets of two families may lie apart and still mean the same: each rounds to whole seconds by itself. */
const roundingMs = 2_000;

/**
 * What the answer's rate limit headers say, the IETF's own first: `RateLimit` with `RateLimit-Policy` (drafts from -08
 * on), then `RateLimit-Remaining`, `X-RateLimit-Remaining` and `X-Rate-Limit-Remaining` with their `-Limit` and
 * `-Reset`, less what merely repeats an earlier one. What is malformed is ignored. Pure; runs on every answer.
 *
 * @param headers lower-case names, repeated ones joined by a comma
 */
export function learntFrom(headers: Readonly<Record<string, string>>, nowMs: number): Learnt[] {
  // By constant names, and before anything else: most answers have none of them.
  const current = headers['ratelimit'];
  const remaining = headers['ratelimit-remaining'];
  const xRemaining = headers['x-ratelimit-remaining'];
  const xLongRemaining = headers['x-rate-limit-remaining'];
  if (
    current === undefined &&
    remaining === undefined &&
    xRemaining === undefined &&
    xLongRemaining === undefined
  )
    return [];
  const learnt = fromLists(current, headers['ratelimit-policy']);
  const others = [
    fromTriple(remaining, headers['ratelimit-limit'], headers['ratelimit-reset'], nowMs),
    fromTriple(xRemaining, headers['x-ratelimit-limit'], headers['x-ratelimit-reset'], nowMs),
    fromTriple(xLongRemaining, headers['x-rate-limit-limit'], headers['x-rate-limit-reset'], nowMs),
  ];
  for (const one of others) if (one && !learnt.some((earlier) => saysTheSame(earlier, one))) learnt.push(one);
  return learnt;
}

function saysTheSame(a: Learnt, b: Learnt): boolean {
  const near = (x: number | undefined, y: number | undefined, tolerance: number) =>
    x === undefined || y === undefined || Math.abs(x - y) <= tolerance;
  return a.remaining === b.remaining && near(a.limit, b.limit, 0) && near(a.resetMs, b.resetMs, roundingMs);
}

/** draft-ietf-httpapi-ratelimit-headers-10: `"burst";q=100;w=60` and `"burst";r=50;t=30`, joined by their names. */
function fromLists(current: string | undefined, policy: string | undefined): Learnt[] {
  const states = current === undefined ? undefined : parseList(current);
  if (!states?.every(isState)) return [];
  const listed = policy === undefined ? undefined : parseList(policy);
  const policies = new Map(listed?.every(isPolicy) ? listed.map((item) => [item.value, item]) : []);
  return states.flatMap(({ value, parameters }) => {
    const known = policies.get(value);
    if (!countsRequests(parameters) || (known && !countsRequests(known.parameters))) return [];
    const { q, w } = known?.parameters ?? {};
    return [
      learnt(integer(parameters['r'])!, integer(q), integer(w), bounded(seconds(integer(parameters['t'])))),
    ];
  });
}

const isState = ({ value, parameters: { r, t } }: Item) =>
  typeof value === 'string' && integer(r) !== undefined && (t === undefined || integer(t) !== undefined);
const isPolicy = ({ value, parameters: { q, w } }: Item) =>
  typeof value === 'string' && (integer(q) ?? -1) >= 0 && (w === undefined || (integer(w) ?? 0) > 0);
/** Other units are `content-bytes` and `concurrent-requests`; the drafts spell their default both ways. */
const countsRequests = ({ qu }: Item['parameters']) =>
  qu === undefined || qu === 'requests' || qu === 'request';

/** Drafts up to -06, and the unstandardised `X-` ones, whose reset is a time of day as often as a number of seconds. */
function fromTriple(
  remaining: string | undefined,
  limit: string | undefined,
  reset: string | undefined,
  nowMs: number,
): Learnt | undefined {
  const left = remaining === undefined ? undefined : plainNumber(remaining);
  if (left === undefined) return undefined;
  // `10, 10;w=1;burst=1000`: the limit that is nearest, then all policies (draft -06 §5.1).
  const items = limit === undefined ? [] : (parseList(limit) ?? []);
  const nearest = integer(items[0]?.value);
  const windows = items.flatMap(({ value, parameters }) =>
    value === nearest && (integer(parameters['w']) ?? 0) > 0 ? [integer(parameters['w'])] : [],
  );
  return learnt(left, nearest, windows[0], reset === undefined ? undefined : untilMs(reset, nowMs));
}

function learnt(
  remaining: number,
  limit: number | undefined,
  windowSeconds: number | undefined,
  resetMs: number | undefined,
): Learnt {
  return {
    ...(limit !== undefined && limit > 0 && { limit }),
    ...(windowSeconds !== undefined &&
      windowSeconds <= longestWindowSeconds && { windowMs: windowSeconds * 1_000 }),
    remaining: Math.max(0, Math.floor(remaining)),
    ...(resetMs !== undefined && { resetMs }),
  };
}

/** Epoch milliseconds above 10^12, epoch seconds above 10^9 (September 2001), seconds from now below, or a date. */
function untilMs(reset: string, nowMs: number): number | undefined {
  const number = plainNumber(reset);
  if (number === undefined) return bounded(dateMs(reset.trim(), nowMs));
  if (number > 1e12) return bounded(number - nowMs);
  return bounded(number > 1e9 ? number * 1_000 - nowMs : number * 1_000);
}

const imfFixdate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
/** With its zone: without one it would mean another moment on each machine. */
const isoDate = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

function dateMs(text: string, nowMs: number): number | undefined {
  if (!imfFixdate.test(text) && !isoDate.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : date - nowMs;
}

function bounded(ms: number | undefined): number | undefined {
  return ms === undefined || ms > longestResetMs ? undefined : Math.max(0, Math.round(ms));
}

const seconds = (count: number | undefined) => (count === undefined ? undefined : count * 1_000);

/** Neither `1e999` nor `0x10` nor `NaN`, all of which `Number` would take. */
function plainNumber(text: string): number | undefined {
  const trimmed = text.trim();
  return /^-?\d{1,15}(\.\d{1,9})?$/.test(trimmed) ? Number(trimmed) : undefined;
}

const integer = (value: Bare | undefined) => (Number.isInteger(value) ? (value as number) : undefined);

/** Strings (their escapes left in) and tokens as text; what no rate limit header uses as null. */
type Bare = number | string | null;
interface Item {
  value: Bare;
  parameters: Partial<Record<string, Bare>>;
}

/** No provider has so many limits; what made them all would cost every answer. */
const mostItems = 32;

const bareItem =
  /(?<number>-?(?:\d{1,12}\.\d{1,3}|\d{1,15}))(?![\d.])|"(?<string>(?:[ !#-[\]-~]|\\["\\])*)"|(?<token>[A-Za-z*][\w!#$%&'*+.^`|~:/-]*)|:[A-Za-z\d+/]*={0,2}:|\?[01]|@-?\d{1,15}(?![\d.])|%"(?:[ !#$&-~]|%[\da-f]{2})*"/y;
const parameterKey = /[ \t]*;[ \t]*(?<key>[a-z*][a-z\d_.*-]*)(?<equals>=)?/y;
const comma = /[ \t]*,[ \t]*/y;

/** A List of Items (RFC 9651 §4.2.1), no inner lists; spaces may stand before a semicolon too. Undefined for anything else. */
function parseList(header: string): Item[] | undefined {
  const text = header.trim();
  let at = 0;
  const next = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  const bare = (): Bare | undefined => {
    const groups = next(bareItem)?.groups;
    if (!groups) return undefined;
    const { number, string, token } = groups;
    return number === undefined ? (string ?? token ?? null) : Number(number);
  };

  const items: Item[] = [];
  do {
    const value = bare();
    if (value === undefined || items.length === mostItems) return undefined;
    // Without a prototype: a provider names the keys.
    const parameters = Object.create(null) as Item['parameters'];
    for (let found = next(parameterKey)?.groups; found; found = next(parameterKey)?.groups) {
      const given = found['equals'] === undefined ? null : bare();
      if (given === undefined) return undefined;
      parameters[found['key']!] = given;
    }
    items.push({ value, parameters });
  } while (next(comma));
  return at === text.length ? items : undefined;
}
