/**
 * The portal's times are .NET's: ticks of 100 ns, written with the digits of the fraction that are not trailing zeros,
 * so with none to seven. Most carry no zone.
 */

/** Our clocks have milliseconds. The four digits below are made from them, so that a time always reads the same. */
function fraction(ms: number): string {
  const milliseconds = ((ms % 1000) + 1000) % 1000;
  if (milliseconds === 0) return '';
  const ticks =
    String(milliseconds).padStart(3, '0') + String(((ms % 10_000) * 7919) % 10_000).padStart(4, '0');
  return `.${ticks.replace(/0+$/, '')}`;
}

const wholeSeconds = (ms: number) => new Date(ms).toISOString().slice(0, 19);

/** `2026-01-05T12:00:00.1234567`: on the wall of the portal, whose zone is a setting. */
export function localTime(ms: number, offsetMinutes: number): string {
  const local = ms + offsetMinutes * 60_000;
  return wholeSeconds(local) + fraction(local);
}

/** `2026-01-05T12:00:00.1234567Z`. */
export const utcTime = (ms: number) => `${wholeSeconds(ms)}${fraction(ms)}Z`;

/** The same with seven digits in any case; `sequence` tells apart what happens within one millisecond. */
export function eventTime(ms: number, sequence: number): string {
  const ticks = ((sequence * 7919) % 1111) * 9 + 1;
  return `${new Date(ms).toISOString().slice(0, 23)}${String(ticks).padStart(4, '0')}Z`;
}

/** `01/05/2026`. */
export function day(ms: number): string {
  const [year, month, date] = new Date(ms).toISOString().slice(0, 10).split('-');
  return `${month}/${date}/${year}`;
}

/** `Mon, 05 Jan 2026 12:00:00 GMT` (RFC 1123). */
export const httpTime = (ms: number) => new Date(ms).toUTCString();

/** What a date parameter means; without a zone it is on the portal's wall. Undefined when it is no date. */
export function parseTime(text: string, offsetMinutes: number): number | undefined {
  const american = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
  const normal = american
    ? `${american[3]}-${american[1]!.padStart(2, '0')}-${american[2]!.padStart(2, '0')}`
    : text;
  const parts =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?(Z|[+-]\d{2}:\d{2})?)?$/.exec(
      normal,
    );
  if (!parts) return undefined;
  const [, date, minutes = '00:00', seconds = '00', digits = '', zone] = parts;
  const given = `${date}T${minutes}:${seconds}.${digits.padEnd(3, '0').slice(0, 3)}`;
  const ms = Date.parse(`${given}${zone ?? 'Z'}`);
  if (Number.isNaN(ms) || !new Date(`${date}T00:00:00Z`).toISOString().startsWith(date!)) return undefined;
  return zone === undefined ? ms - offsetMinutes * 60_000 : ms;
}
