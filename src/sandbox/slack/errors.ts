/** A refusal in Slack's form: HTTP 200 with `ok: false`, or 429 where `retryAfterSeconds` is given. */
export class SlackError extends Error {
  override readonly name = 'SlackError';
  readonly code: string;
  /** Beside `ok` and `error`, such as `needed` and `provided`. */
  readonly members: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, members: Record<string, unknown> = {}, retryAfterSeconds?: number) {
    super(code);
    this.code = code;
    this.members = members;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export function missingScope(needed: string, provided: readonly string[]): SlackError {
  return new SlackError('missing_scope', { needed, provided: provided.join(',') });
}

/** Slack names the argument by a JSON pointer. */
export function invalidArgument(problem: string, argument: string): SlackError {
  const messages = [`[ERROR] ${problem} [json-pointer:/${argument}]`];
  return new SlackError('invalid_arguments', { response_metadata: { messages } });
}

export function rateLimited(retryAfterSeconds: number): SlackError {
  return new SlackError('ratelimited', {}, retryAfterSeconds);
}

/** What Slack's servers say of themselves with this HTTP status, for injected faults. */
export function bodyFor(status: number): string {
  if (status < 400) return JSON.stringify({ ok: true });
  const byStatus: Record<number, string> = {
    401: 'invalid_auth',
    403: 'accesslimited',
    429: 'ratelimited',
    503: 'service_unavailable',
    504: 'request_timeout',
  };
  const error = byStatus[status] ?? (status < 500 ? 'invalid_arguments' : 'internal_error');
  return JSON.stringify({ ok: false, error });
}
