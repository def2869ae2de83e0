/**
 * The one shape of failure. A provider call, a connect or a sync that fails carries an `IntegrationProblem`:
 * what happened (`code`), who must act (`actor`) and whether trying again can help. The same object is what
 * GraphQL shows as `IntegrationProblem` and what is stored on a connection.
 */

/** What each code means for people and for retries, unless the place that raises it knows better. */
const codes = {
  BAD_REQUEST: { actor: 'OPERATOR', retryable: false },
  UNAUTHENTICATED: { actor: 'USER', retryable: false },
  FORBIDDEN: { actor: 'ACCOUNT_ADMIN', retryable: false },
  NOT_FOUND: { actor: 'NOBODY', retryable: false },
  CONFLICT: { actor: 'NOBODY', retryable: false },
  VALIDATION_FAILED: { actor: 'USER', retryable: false },
  RATE_LIMITED: { actor: 'NOBODY', retryable: true },
  PROVIDER_ERROR: { actor: 'PROVIDER', retryable: true },
  TIMEOUT: { actor: 'PROVIDER', retryable: true },
  NETWORK_ERROR: { actor: 'PROVIDER', retryable: true },
  CIRCUIT_OPEN: { actor: 'PROVIDER', retryable: true },
  QUEUE_FULL: { actor: 'NOBODY', retryable: true },
  DEADLINE_EXCEEDED: { actor: 'NOBODY', retryable: true },
  REAUTHORIZATION_REQUIRED: { actor: 'USER', retryable: false },
  AUTHORIZATION_DENIED: { actor: 'USER', retryable: false },
  AUTHORIZATION_EXPIRED: { actor: 'USER', retryable: false },
  ACCOUNT_MISMATCH: { actor: 'USER', retryable: false },
  SCOPES_INSUFFICIENT: { actor: 'USER', retryable: false },
  NOT_CONNECTED: { actor: 'USER', retryable: false },
  NOT_CONFIGURED: { actor: 'OPERATOR', retryable: false },
  ALREADY_CONNECTED: { actor: 'NOBODY', retryable: false },
  INVALID_INPUT: { actor: 'USER', retryable: false },
} as const satisfies Record<string, { actor: ProblemActor; retryable: boolean }>;

export type ProblemCode = keyof typeof codes;
export type ProblemActor = 'USER' | 'ACCOUNT_ADMIN' | 'OPERATOR' | 'PROVIDER' | 'NOBODY';

export interface IntegrationProblem {
  code: ProblemCode;
  /** Safe to show to the person: no secrets, no provider text that could echo one. */
  message: string;
  actor: ProblemActor;
  retryable: boolean;
  retryAfterSeconds?: number;
  occurredAt: Date;
  /** The provider's own code, e.g. QuickBooks `3200`. */
  providerCode?: string;
  /** The provider's id of the request, e.g. QuickBooks `intuit_tid`: what its support asks for. */
  requestId?: string;
}

export type ProblemDetails = Partial<
  Pick<IntegrationProblem, 'actor' | 'retryable' | 'retryAfterSeconds' | 'providerCode' | 'requestId'>
>;

export function problem(
  code: ProblemCode,
  message: string,
  occurredAt: Date,
  details: ProblemDetails = {},
): IntegrationProblem {
  return { code, message, ...codes[code], ...details, occurredAt };
}

/** The provider's own words on one thing that it refused: without secrets, at most 300 characters a member. */
export interface FaultDetail {
  code?: string;
  message?: string;
  /** What of the request it is about, e.g. `Line.Amount`. */
  element?: string;
}

/** Where a failure comes from; each member absent where no provider, or no answer of one, is behind it. */
export interface FailureOrigin {
  /** The integration's id. */
  provider?: string;
  /** HTTP status of the last answer. */
  status?: number;
  /** Whether the provider may have acted on what failed: sent, and not answered in so many words. */
  sent?: boolean;
  /** At most 10. For code and tests; people are shown `problem`, and a log line has no details either. */
  details?: readonly FaultDetail[];
}

/**
 * An expected failure on its way up: the one error type, whatever API or transport it came from. Everything else
 * that is thrown is a bug.
 */
export class IntegrationError extends Error {
  override readonly name = 'IntegrationError';
  readonly problem: IntegrationProblem;
  readonly provider: string | undefined;
  readonly status: number | undefined;
  readonly sent: boolean;
  /** Private, for a log line prints an error's own members. */
  readonly #details: readonly FaultDetail[];

  constructor(cause: IntegrationProblem, origin: FailureOrigin = {}) {
    super(cause.message);
    this.problem = cause;
    this.provider = origin.provider;
    this.status = origin.status;
    this.sent = origin.sent ?? false;
    this.#details = origin.details ?? [];
  }

  get code(): ProblemCode {
    return this.problem.code;
  }

  get retryable(): boolean {
    return this.problem.retryable;
  }

  get retryAfterSeconds(): number | undefined {
    return this.problem.retryAfterSeconds;
  }

  get requestId(): string | undefined {
    return this.problem.requestId;
  }

  get details(): readonly FaultDetail[] {
    return this.#details;
  }
}

/** Throws instead of returning: for the many places where the failure leaves the function anyway. */
export function fail(code: ProblemCode, message: string, occurredAt: Date, details?: ProblemDetails): never {
  throw new IntegrationError(problem(code, message, occurredAt, details));
}

/** The problem inside an expected failure; rethrows a bug. */
export function problemOf(error: unknown): IntegrationProblem {
  if (error instanceof IntegrationError) return error.problem;
  throw error;
}

/** A setting that is wrong or missing. `main` prints its message as one line and exits with 1. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}
