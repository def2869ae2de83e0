import type { FaultDetail } from '../errors.ts';

/** Longer provider text is cut to this before it is looked at: it bounds the time, whatever the answer's size. */
const longestInput = 4_096;
const longestWord = 300;
const mostDetails = 10;
const gone = '[redacted]';

/** A secret's name, with what may follow it up to the value: `=`, `:`, `>` of an element, or an opening quote. */
const named = String.raw`(?:token|secret|passw(?:or)?d|passphrase|pwd|(?:api|private|secret|access|signing|client)[-_ ]?key|credentials?|signature|verifier|assertion|session|ssn|auth(?:orization)?[-_]?code|\b(?:pass|pin|otp|sig)\b)[\w-]{0,20}`;
const separator = String.raw`\\{0,4}["']?\s{0,5}(?:=>?|:|>|%3[ad]|\s(?=["']))\s{0,5}`;
/** Between quotes, escaped as in JSON or as in JSON within JSON, or up to the next delimiter. */
const value = String.raw`(?:\[redacted\]|\\{1,4}"[^"]*"?|"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|[^\s&"'<>]+)`;

type Rule = readonly [shape: RegExp, by: string | ((whole: string, ...groups: string[]) => string)];

/** In this order. No two neighbouring quantifiers take the same characters unless one is bounded: time stays linear. */
const rules: readonly Rule[] = [
  [/-----BEGIN [A-Z ]{1,40}-----[^]*?(?:-----END [A-Z ]{1,40}-----|$)/g, gone],
  [/\b((?:set-)?cookie|(?:proxy-)?authorization)(["']?\s{0,5}[:=])[^\n]*/gi, `$1$2 ${gone}`],
  [/:\/\/[^/\s@]{1,300}@/g, `://${gone}@`],
  [/(?<![A-Za-z\d])eyJ[\w-]{4,}(?:\.[\w-]*)*/g, gone],
  [/(?<![A-Za-z\d])(?:xox[a-z]|xapp|xwfp)[-.][\w.-]+/gi, gone],
  [
    /\b(bearer|basic|negotiate)((?:\s|%20|[+:]){1,5}(?:(?:access[ _-])?token\s{1,5})?["']?)([\w.~+/=%-]+)/gi,
    schemeValue,
  ],
  [new RegExp(`(${named}${separator})${value}`, 'gi'), `$1${gone}`],
  // A bare `code` or `state` only where it is a parameter: "State: CA" is an address, and code=610 says what is wrong.
  [
    new RegExp(
      String.raw`(?<![a-z_-])((?:code|state)(?:\\{0,4}["']\s{0,5}:\s{0,5}|=|%3d))(?!["']?\d{1,8}\b)${value}`,
      'gi',
    ),
    `$1${gone}`,
  ],
  [/[^\s@<>"'(),;:=[\]]{1,320}(?:@|%40)[^\s@<>"'(),;:=[\]]{1,255}/g, gone],
  [/[\w+/=.~%-]{20,}/g, opaque],
  // Bank accounts, SSN, EIN, cards, phones, in groups or not. Dates and short ids stay.
  [/\d(?:[ -]?\d){8,}/g, gone],
];

/**
 * Provider text without what could be a secret or a person's: credentials by name or scheme, tokens by shape, opaque
 * runs of 20 characters and more, e-mail addresses, numbers of 9 digits and more. Rather takes too much: paths and
 * request ids go too. One line, at most 4 KB. Prose that just tells a short password cannot be seen.
 */
export function redact(text: string): string {
  const cut = text.length > longestInput ? text.slice(0, wholeRuns(text)) : text;
  const cleaned = rules.reduce(
    // The two overloads of `replace` do not take a union.
    (rest, [shape, by]) => (typeof by === 'string' ? rest.replace(shape, by) : rest.replace(shape, by)),
    cut,
  );
  return (
    cleaned
      // oxlint-disable-next-line no-control-regex -- these are what must not reach a terminal or split a line
      .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
      .trim()
      .toWellFormed()
  );
}

/** What a provider says of one refusal, before anything is known about its members. */
export interface RawDetail {
  code?: unknown;
  message?: unknown;
  element?: unknown;
}

/** The only way in which provider words become details: redacted, short, few; whatever is not text or number is left out. */
export function faultDetails(raw: readonly RawDetail[]): FaultDetail[] {
  return raw.slice(0, mostDetails).flatMap((one) => {
    const code = word(one.code);
    const message = word(one.message);
    const element = word(one.element);
    const detail: FaultDetail = {
      ...(code && { code }),
      ...(message && { message }),
      ...(element && { element }),
    };
    return Object.keys(detail).length > 0 ? [detail] : [];
  });
}

function word(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') return '';
  return redact(String(value)).slice(0, longestWord).toWellFormed();
}

/** Where to cut so that no half of a secret, too short to be known as one, is left at the end. */
function wholeRuns(text: string): number {
  let end = longestInput;
  while (end > 0 && /[\w+/=.~%-]/.test(text[end - 1]!)) end--;
  return end;
}

const wordsAfterScheme =
  /^(?:access(?:[_-]token)?|auth|authentication|authorization|credentials?|error|expired|has|header|in|invalid|is|malformed|missing|not|or|realm|required|scheme|tokens?|was)[.=]?$/i;

/** Base64 of a name and a password is never one plain word; a bearer token may be. */
function schemeValue(whole: string, scheme: string, space: string, run: string): string {
  const harmless = wordsAfterScheme.test(run) || (!/^bearer/i.test(scheme) && /^[A-Z]?[a-z]*$/.test(run));
  return harmless ? whole : `${scheme}${space}${gone}`;
}

/** Words and identifiers have no digits; 40 letters without a joint are no word either. */
function opaque(run: string): string {
  const mixed = /\d/.test(run) && /[A-Za-z]/.test(run);
  return mixed || /[A-Za-z]{40}/.test(run) ? gone : run;
}
