import type { Clock } from '../clock.ts';
import { IntegrationError, problem } from '../errors.ts';
import type { Alarm, Alarms } from './alarms.ts';

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

/** What is under way in a call, and ends early when the call does. */
export interface Stoppable {
  stop(reason: Error): void;
}

/**
 * One call's time, from its start until its deadline, until nobody wants it any longer, or until we close. A class, for
 * thousands live at once.
 */
export class Life implements Alarm {
  together: Set<Alarm> | undefined;
  readonly #alarms: Alarms;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted: (() => void) | undefined;
  #ended: { reason: unknown } | undefined;
  #closing = false;
  #sent = false;
  #current: Stoppable | undefined;

  constructor(alarms: Alarms, leftMs: number, signal: AbortSignal | undefined) {
    this.#alarms = alarms;
    this.#signal = signal;
    alarms.set(Math.max(0, leftMs), this);
    if (!signal) return;
    this.#aborted = () => this.#end(signal.reason);
    if (signal.aborted) this.#aborted();
    else signal.addEventListener('abort', this.#aborted, { once: true });
  }

  /** The deadline is reached. */
  ring(): void {
    this.#end(new DeadlineReached());
  }

  /** Lets what has been sent finish, and ends the rest. */
  close(): void {
    this.#closing = true;
    if (!this.#sent) this.#end(new Closing());
  }

  /** From now until `finished` the call's end stops it; at once when the call has ended. */
  started(work: Stoppable): void {
    if (this.#ended) work.stop(this.#ended.reason as Error);
    else this.#current = work;
  }

  /** Does nothing once something else has started. */
  finished(work: Stoppable): void {
    if (this.#current === work) this.#current = undefined;
  }

  /** `work`, given up (it goes on unheard) when the call ends first. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { stop: reject };
      this.started(waiting);
      void work.then(resolve, reject).then(() => this.finished(waiting));
    });
  }

  /** Rejects when the call ends first. */
  pause(clock: Clock, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const pausing: Stoppable = {
        stop(reason) {
          cancel();
          reject(reason);
        },
      };
      const cancel = clock.timer(ms, () => {
        this.finished(pausing);
        resolve();
      });
      this.started(pausing);
    });
  }

  /** One attempt, told by the signal when it must end. */
  async attempt<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#ended) throw this.#ended.reason;
    const controller = new AbortController();
    const timeout: Alarm = { ring: () => controller.abort(new TimeoutReached()), together: undefined };
    this.#alarms.set(timeoutMs, timeout);
    const attempting: Stoppable = { stop: (reason) => controller.abort(reason) };
    this.started(attempting);
    this.#sent = true;
    try {
      return await work(controller.signal);
    } finally {
      this.#alarms.clear(timeout);
      this.#sent = false;
      this.finished(attempting);
      if (this.#closing) this.#end(new Closing());
    }
  }

  /** Nothing ends it any longer. */
  over(): void {
    this.#alarms.clear(this);
    if (this.#aborted) this.#signal!.removeEventListener('abort', this.#aborted);
  }

  /** Ends whatever is under way, and whatever comes, with the reason. */
  #end(reason: unknown): void {
    this.#ended ??= { reason };
    const current = this.#current;
    this.#current = undefined;
    current?.stop(reason as Error);
  }
}

/** What the caller of the call is told. */
export function outwards(
  error: unknown,
  last: IntegrationError | undefined,
  signal: AbortSignal | undefined,
  nowMs: number,
): unknown {
  const ended = (message: string) =>
    new IntegrationError(problem('DEADLINE_EXCEEDED', message, new Date(nowMs)), {
      sent: error instanceof AttemptCut,
    });
  if (last && (error instanceof DeadlineReached || error instanceof NoTurn)) return last;
  if (error instanceof NoTurn) return error.refusal;
  if (error instanceof DeadlineReached || error instanceof AttemptCut)
    return ended('The provider did not answer in the time there was.');
  if (error instanceof Closing)
    return new IntegrationError(problem('QUEUE_FULL', 'The service is shutting down.', new Date(nowMs)));
  if (signal?.aborted && error === signal.reason) return ended('Nobody waits for the answer any longer.');
  return error;
}
