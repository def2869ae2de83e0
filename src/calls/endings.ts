import { IntegrationError, problem, type IntegrationProblem } from '../errors.ts';

// The ways in which a call ends without an answer.

/** One attempt's time is over. */
export class TimeoutReached extends Error {}
/** The time of the whole call is over. */
export class DeadlineReached extends Error {}
/** The deadline fell into an attempt. */
export class AttemptCut extends Error {}
export class Closing extends Error {}
/** The call cannot have its turn: the problem of a first attempt, while a retry keeps that of the one before. */
export class NoTurn extends Error {
  readonly refusal: IntegrationError;
  constructor(cause: IntegrationError) {
    super(cause.message);
    this.refusal = cause;
  }
}

/** `work`, given up (it goes on unheard) when the signal aborts first. */
export function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason as Error);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}

/** What the caller of the call is told. */
export function outwards(
  error: unknown,
  last: IntegrationProblem | undefined,
  signal: AbortSignal | undefined,
  nowMs: number,
): unknown {
  const ended = (message: string) =>
    new IntegrationError(problem('DEADLINE_EXCEEDED', message, new Date(nowMs)));
  if (last && (error instanceof DeadlineReached || error instanceof NoTurn))
    return new IntegrationError(last);
  if (error instanceof NoTurn) return error.refusal;
  if (error instanceof DeadlineReached || error instanceof AttemptCut)
    return ended('The provider did not answer in the time there was.');
  if (error instanceof Closing)
    return new IntegrationError(problem('QUEUE_FULL', 'The service is shutting down.', new Date(nowMs)));
  if (signal?.aborted && error === signal.reason) return ended('Nobody waits for the answer any longer.');
  return error;
}
