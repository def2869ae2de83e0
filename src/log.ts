import { pino, type DestinationStream, type Logger } from 'pino';

export type Log = Logger;

/** Names whose values never reach a log line, whatever object they sit in and however deep. */
const secretName =
  /token|secret|password|passwd|authorization|cookie|credential|verifier|signature|api[-_]?key|sealed|^(code|state|body|query|parameters|params|detail|where|username)$/i;
/** Values that are secret by their shape, wherever they stand: in a message, a URL or a stack. */
const secretShapes: readonly [RegExp, string][] = [
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 [redacted]'],
  [/\beyJ[\w-]{8,}\.[\w-]+\.?[\w-]*/g, '[redacted]'],
  [
    /([?&#](?:code|state|token|access_token|refresh_token|client_secret|code_verifier)=)[^&\s"']+/gi,
    '$1[redacted]',
  ],
  [/(\w+:\/\/[^:/\s@]*):[^@/\s]+@/g, '$1:[redacted]@'],
];
const deepest = 8;

/** JSON lines on stdout. `destination` is for tests. */
export function createLog(level: string, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      // `redact` has made errors plain already.
      serializers: { err: (error: unknown) => error },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (object) => redact(object) as Record<string, unknown>,
      },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((a) => (typeof a === 'string' ? scrub(a) : a)) as typeof args);
        },
      },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** A copy that is safe to print: secret names and shapes replaced, errors as plain data with their causes. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrub(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (depth >= deepest) return '[deeper]';
  if (value instanceof Error) return redactError(value, depth);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return '[bytes]';
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  return redactMembers(Object.entries(value), depth);
}

function redactMembers(members: [string, unknown][], depth: number): Record<string, unknown> {
  return Object.fromEntries(
    members.map(([name, value]) => [
      name,
      secretName.test(name) && !isHarmless(value) ? '[redacted]' : redact(value, depth + 1),
    ]),
  );
}

/** Times, counts, flags, and constants such as a problem's `code`. */
function isHarmless(value: unknown): boolean {
  if (typeof value === 'string') return /^[A-Z][A-Z_]*$/.test(value);
  return value == null || value instanceof Date || typeof value === 'number' || typeof value === 'boolean';
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  return {
    ...redactMembers(Object.entries(error), depth),
    type: name,
    message: scrub(message),
    stack: stack === undefined ? undefined : scrub(stack),
    ...(cause === undefined ? {} : { cause: redact(cause, depth + 1) }),
  };
}

function scrub(text: string): string {
  return secretShapes.reduce((scrubbed, [shape, by]) => scrubbed.replace(shape, by), text);
}
