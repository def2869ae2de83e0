const zone = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/Los_Angeles',
  timeZoneName: 'longOffset',
  year: 'numeric',
});
const dayMs = 86_400_000;

/** `-08:00` or `-07:00`: QuickBooks answers in Pacific time. */
function pacificOffset(ms: number): string {
  const name = zone.formatToParts(ms).find((part) => part.type === 'timeZoneName')?.value ?? 'GMT-08:00';
  return name.slice('GMT'.length);
}

function pacific(ms: number, digits: number): string {
  const offset = pacificOffset(ms);
  const minutes = Number(offset.slice(0, 3)) * 60;
  return new Date(ms + minutes * 60_000).toISOString().slice(0, digits) + offset;
}

/** `2026-01-05T04:00:00-08:00`, as in `MetaData`. */
export const metaDataTime = (ms: number) => pacific(ms, 19);
/** `2026-01-05T04:00:00.000-08:00`, as in an answer's `time`. */
export const answerTime = (ms: number) => pacific(ms, 23);
/** `2026-01-05`, as in `TxnDate`. */
export const date = (ms: number) => pacific(ms, 10).slice(0, 10);
export const datePlusDays = (text: string, days: number) =>
  new Date(Date.parse(`${text}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);

/** A date or a dateTime, with or without an offset (then Pacific). Undefined when it is neither. */
export function parseTime(text: string): number | undefined {
  const parts = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:?\d{2})?)?$/.exec(
    text,
  );
  if (!parts) return undefined;
  const [, day = '', clockTime = '00:00:00', offset] = parts;
  const local = Date.parse(`${day}T${clockTime}Z`);
  if (Number.isNaN(local)) return undefined;
  const zoned = offset?.replace(/(\d{2})(\d{2})$/, '$1:$2') ?? pacificOffset(local);
  return Date.parse(`${day}T${clockTime}${zoned}`);
}
