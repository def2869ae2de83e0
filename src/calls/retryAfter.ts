/** Longer pauses are cut to this: a header that says a year is a mistake, and a timer of 2^31 ms fires at once. */
export const longestPauseMs = 15 * 60_000;

/**
 * Milliseconds to wait by a `Retry-After` header: seconds, or a date in any of HTTP's three forms (RFC 9110 §5.6.7,
 * §10.2.3). A past date is 0. Undefined for anything else. Digits are tried first, for `Date.parse('120')` is a date.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,15}$/.test(text)) return Math.min(Number(text) * 1_000, longestPauseMs);
  const date = httpDate(text, nowMs);
  return date === undefined ? undefined : Math.min(Math.max(date - nowMs, 0), longestPauseMs);
}

const imfFixdate = /^\w{3}, (?<day>\d{2}) (?<month>\w{3}) (?<year>\d{4}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/;
const rfc850 = /^\w{6,9}, (?<day>\d{2})-(?<month>\w{3})-(?<year>\d{2}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/;
const asctime = /^\w{3} (?<month>\w{3}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/;

function httpDate(text: string, nowMs: number): number | undefined {
  const parts = (imfFixdate.exec(text) ?? rfc850.exec(text) ?? asctime.exec(text))?.groups;
  if (!parts) return undefined;
  const { day, month, time } = parts;
  const year = parts.year!.length === 4 ? Number(parts.year) : century(Number(parts.year), nowMs);
  const date = Date.parse(`${day!.trim()} ${month} ${year} ${time} GMT`);
  return Number.isNaN(date) ? undefined : date;
}

/** A two-digit year more than 50 years ahead is the last one that ended so (RFC 9110 §5.6.7). */
function century(shortYear: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = Math.floor(thisYear / 100) * 100 + shortYear;
  return year > thisYear + 50 ? year - 100 : year;
}
