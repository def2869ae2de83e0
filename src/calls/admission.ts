import type { Clock } from '../clock.ts';
import { IntegrationError, problem, type ProblemCode } from '../errors.ts';
import type { Call } from './call.ts';
import type { CircuitBreaker, Permit } from './circuitBreaker.ts';
import { NoTurn, type Life, type Stoppable } from './endings.ts';
import { priorities, type Place } from './fairQueue.ts';
import type { RateLimiter } from './rateLimit.ts';
import type { Slot } from './slots.ts';
import { createTurns, type Turns, type Waiter } from './turns.ts';
import type { Bucket } from './window.ts';

/** A call under way. */
export interface Run {
  call: Call;
  breaker: CircuitBreaker;
  life: Life;
  /** How long the integration's answers take of late. */
  usual: { answerMs: number };
  waitedMs: number;
  attempts: number;
  requestId: string | undefined;
  /** Why the last attempt failed. */
  last: IntegrationError | undefined;
}

/** Leave for one attempt: of the rate limits, and of the breaker. */
export interface Turn {
  slot: Slot;
  permit: Permit;
}

/** What stands before an attempt: the queue, the rate limit and the breaker. */
export interface Admission {
  turns: Turns;
  /** At once where nobody stands before it. Refuses at once what cannot have its turn in time. */
  turn(run: Run): Turn | Promise<Turn>;
  refusal(call: Call, code: ProblemCode, message: string, afterMs: number): IntegrationError;
}

/** Who has hardly waited may try, however little time it was given. */
const patientMs = 100;
const crowded = 'Too many calls are waiting for this provider.';

export function createAdmission(
  clock: Clock,
  limiter: RateLimiter,
  bounds: { perBucket: number; total: number },
): Admission {
  const turns = createTurns(clock, limiter, bounds);

  const refusal = (call: Call, code: ProblemCode, message: string, afterMs: number) =>
    new IntegrationError(
      problem(code, message, new Date(clock.now()), { retryAfterSeconds: Math.ceil(afterMs / 1_000) }),
      { provider: call.integration },
    );
  const circuitOpen = ({ call, breaker }: Run): IntegrationError | undefined => {
    const refusedForMs = breaker.refusedForMs();
    if (refusedForMs === 0) return undefined;
    return refusal(call, 'CIRCUIT_OPEN', 'The provider is failing; calls are held back.', refusedForMs);
  };
  /** The provider told us to stay away for longer than the call has time. */
  const paused = ({ call }: Run): NoTurn | undefined => {
    const pausedMs = limiter.pausedMs(call.buckets);
    if (pausedMs <= 0 || clock.now() + pausedMs <= call.deadlineAtMs) return undefined;
    return new NoTurn(refusal(call, 'RATE_LIMITED', 'The provider asked us to wait.', pausedMs));
  };
  /** What could not be answered in the time that is left would use the budget up for nothing. */
  const tooLate = ({ call, usual }: Run): NoTurn | undefined => {
    if (clock.now() + usual.answerMs <= call.deadlineAtMs) return undefined;
    return new NoTurn(refusal(call, 'DEADLINE_EXCEEDED', crowded, usual.answerMs));
  };
  const inQueue: Queue = {
    clock,
    turns,
    refusal: (run, waitedMs) =>
      circuitOpen(run) ?? paused(run) ?? (waitedMs > patientMs ? tooLate(run) : undefined),
  };

  return {
    turns,
    refusal,
    turn(run) {
      const { call, breaker, life } = run;
      const { buckets, deadlineAtMs } = call;
      const open = circuitOpen(run);
      if (open) throw open;
      const level = priorities.indexOf(call.priority);
      const slot = turns.now(buckets, level);
      // Nothing comes between the two: who is not refused is admitted.
      if (slot) return { slot, permit: breaker.admit()! };

      const stayAway = paused(run);
      if (stayAway) throw stayAway;
      const who = call.connectionId ?? '';
      const estimateMs = turns.estimateMs(buckets, level, who);
      const neededMs = estimateMs > 0 ? estimateMs + run.usual.answerMs : 0;
      if (clock.now() + neededMs > deadlineAtMs)
        throw new NoTurn(refusal(call, 'DEADLINE_EXCEEDED', crowded, estimateMs));
      if (!turns.hasRoom(buckets))
        throw new NoTurn(refusal(call, 'QUEUE_FULL', crowded, Math.max(1, estimateMs)));
      return new Promise((resolve, reject) => {
        const waiting = new WaitingCall(inQueue, run, resolve, reject);
        waiting.place = turns.wait(waiting, level, who);
        if (waiting.place.line) life.started(waiting);
      });
    },
  };
}

interface Queue {
  clock: Clock;
  turns: Turns;
  refusal(run: Run, waitedMs: number): Error | undefined;
}

/** A call in the queue. A class with all it needs, for thousands wait at once. */
class WaitingCall implements Waiter, Stoppable {
  place: Place<Waiter> | undefined;
  readonly #queue: Queue;
  readonly #run: Run;
  readonly #resolve: (turn: Turn) => void;
  readonly #reject: (reason: Error) => void;
  readonly #since: number;

  constructor(queue: Queue, run: Run, resolve: (turn: Turn) => void, reject: (reason: Error) => void) {
    this.#queue = queue;
    this.#run = run;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#since = queue.clock.monotonic();
  }

  get integration(): string {
    return this.#run.call.integration;
  }

  get buckets(): readonly Bucket[] {
    return this.#run.call.buckets;
  }

  refusal(): Error | undefined {
    return this.#queue.refusal(this.#run, this.#queue.clock.monotonic() - this.#since);
  }

  /** In the instant in which the buckets are taken: nobody else can become the probe in between. */
  go(slot: Slot): void {
    this.#over();
    this.#resolve({ slot, permit: this.#run.breaker.admit()! });
  }

  end(reason: Error): void {
    this.#over();
    this.#reject(reason);
  }

  stop(reason: Error): void {
    this.#queue.turns.leave(this.place!);
    this.end(reason);
  }

  #over(): void {
    this.#run.life.finished(this);
    this.#run.waitedMs += this.#queue.clock.monotonic() - this.#since;
  }
}
