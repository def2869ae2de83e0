/** Whether an answer says what only we should know, or that something broke. */

export interface Judged {
  /** What is wrong with it; empty where nothing is. */
  faults: string[];
  /** `extensions.code` of each error. */
  codes: string[];
}

/** Nowhere in an answer. */
const everywhere: [string, RegExp][] = [
  ['a stack trace', /(\\n|\n)\s*at [^"]{1,200}?:\d+:\d+|\(node:internal|node_modules\/|\/src\/[\w/]+\.[tj]s/],
  ['a secret', /-----BEGIN|"(access|refresh)_?token"|client_?secret/i],
];

/** In no message that a person reads. Provider data may have any of it. */
const inMessages: [string, RegExp][] = [
  [
    'words of the database',
    /syntax error at|relation "|column "|violates|duplicate key|invalid input syntax|byte sequence|out of range for type|field value out of range|sqlstate|\bselect\b.+\bfrom\b|insert into|pglite|kysely|postgres|deadlock|row-level/i,
  ],
  [
    'words of the runtime',
    /\b(Type|Reference|Range|Syntax)Error\b|ECONN|ENOTFOUND|EPIPE|Cannot read propert|is not a function|is not iterable|Unexpected (token|end)|\bundefined\b|\[object |Maximum call stack/,
  ],
  ['words of a provider', /errorCode=|<html|"Fault"|intuit_tid|AuthenticationFailed/],
];

/** @param foreign what belongs to other accounts: it must not come where it was not sent */
export function judge(text: string, sent: string, foreign: readonly string[] = []): Judged {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return { faults: [`no JSON: ${text.slice(0, 100)}`], codes: [] };
  }
  const faults: string[] = [];
  for (const [what, pattern] of everywhere) if (pattern.test(text)) faults.push(what);
  for (const id of foreign)
    if (text.includes(id) && !sent.includes(id)) faults.push(`another account's ${id}`);
  const codes: string[] = [];
  const look = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(look);
    if (typeof value !== 'object' || value === null) return;
    for (const [name, one] of Object.entries(value)) {
      if (name === 'message' && typeof one === 'string')
        for (const [what, pattern] of inMessages)
          if (pattern.test(one)) faults.push(`${what}: ${one.slice(0, 200)}`);
      if (name === 'code' && typeof one === 'string') codes.push(one);
      if (name === 'stacktrace' || name === 'exception') faults.push(name);
      // A record's own content is the provider's to choose.
      if (name !== 'payload') look(one);
    }
  };
  look(answer);
  if (codes.includes('INTERNAL_SERVER_ERROR')) faults.push('INTERNAL_SERVER_ERROR');
  return { faults, codes };
}

/** Lines of a process that say of an error, and what was printed beside them. */
export function errorLines(output: string): string[] {
  return output.split('\n').filter((line) => {
    if (!line.startsWith('{')) return /^\s+at |Error:|Warning:/.test(line);
    const { level } = JSON.parse(line) as { level: string | number };
    return level === 'error' || level === 'fatal' || Number(level) >= 50;
  });
}
