import type { Clock } from '../clock.ts';
import { IntegrationError, problem, type IntegrationProblem, type ProblemCode } from '../errors.ts';
import { createAttempt, judge, timedOut, type Failed, type Judged } from './attempt.ts';
import { backoffMs, createRetryBudget, type RetryBudget, type RetryPolicy } from './backoff.ts';
import { createCircuitBreaker, type CircuitBreaker, type Health, type Permit } from './circuitBreaker.ts';
import { AttemptCut, Closing, DeadlineReached, NoTurn, outwards, TimeoutReached, unless } from './endings.ts';
import type { Classify, Fault, HttpRequest, HttpResponse } from './http.ts';
import type { Priority } from './priorityQueue.ts';
import { createRateLimiter, type Bucket, type BudgetView as BucketView, type Slot } from './rateLimit.ts';
import { longestPauseMs, parseRetryAfter } from './retryAfter.ts';
import { createTurns } from './turns.ts';

export type { Bucket } from './rateLimit.ts';

/** One polite call. */
export interface Call {
  integration: string;
  connectionId?: string;
  /** Where it goes: with the integration, what a breaker is for. */
  host: string;
  /** Every limit that it counts against. */
  buckets: readonly Bucket[];
  priority: Priority;
  /** By `clock.now()`. Covers the queue, all attempts and the pauses between them. */
  deadlineAtMs: number;
  signal?: AbortSignal;
  /**
   * False for what must not happen twice: then a failure after which the provider may have acted ends the call. What
   * was certainly not processed (a refused line, a 429) is tried again all the same.
   */
  idempotent: boolean;
  /** Fewer attempts than the caller's own, the first included; 1 where even what was refused must not be sent again. */
  retry?: { attempts: number };
  /** Made anew for each attempt, before it waits: nothing slow stands between its turn and the send. */
  request(): Promise<HttpRequest>;
  /** Renews the token after an UNAUTHENTICATED. Called once at most, followed by one more attempt without a pause. */
  reauthenticate?(): Promise<void>;
  classify: Classify;
}

export interface CallerOptions {
  clock: Clock;
  /** One attempt. */
  requestTimeoutMs: number;
  retry: RetryPolicy;
  /** Most calls that may wait. */
  queue: { perBucket: number; total: number };
  /** Once for each call, when it is over. Must not throw. */
  onFinished?: (report: CallReport) => void;
}

/** Holds no URL, header or body. */
export interface CallReport {
  integration: string;
  connectionId: string | undefined;
  priority: Priority;
  waitedMs: number;
  attempts: number;
  outcome: ProblemCode | 'OK';
  durationMs: number;
  requestId: string | undefined;
}

export interface BudgetView extends BucketView {
  queued: number;
  estimatedWaitMs: number;
}

/**
 * The only code that calls a provider. Its order: queue, rate limit, breaker, attempt, classify, back off. Providers
 * judge answers; only this waits, tries again, trips or gives up.
 */
export interface Caller {
  /** Rejects with `IntegrationError`, or with whatever `request` or `reauthenticate` threw. */
  call(call: Call): Promise<HttpResponse>;
  /** The tightest of the buckets; undefined without any. */
  budget(buckets: readonly Bucket[]): BudgetView | undefined;
  /** The worst of the integration's hosts. */
  health(integration: string): Health;
  /** Refuses new calls, ends waiting ones, lets running attempts finish. */
  close(): Promise<void>;
}

export function createCaller(options: CallerOptions): Caller {
  const { clock, retry, requestTimeoutMs } = options;
  const limiter = createRateLimiter(clock);
  const attempt = createAttempt(requestTimeoutMs);
  const breakers = new Map<string, Map<string, CircuitBreaker>>();
  const retryBudgets = new Map<string, RetryBudget>();
  const closing = new AbortController();
  let closed: Promise<void> | undefined;
  const turns = createTurns(clock, limiter, options.queue);

  const breakerOf = ({ integration, host }: Call): CircuitBreaker => {
    const hosts = entry(breakers, integration, () => new Map<string, CircuitBreaker>());
    return entry(hosts, host, () => createCircuitBreaker(clock, requestTimeoutMs + 1_000));
  };
  const refusal = (code: ProblemCode, message: string, afterMs: number) =>
    new IntegrationError(
      problem(code, message, new Date(clock.now()), { retryAfterSeconds: seconds(afterMs) }),
    );
  const refusalOf = (breaker: CircuitBreaker): IntegrationError | undefined => {
    const refusedForMs = breaker.refusedForMs();
    if (refusedForMs === 0) return undefined;
    return refusal('CIRCUIT_OPEN', 'The provider is failing; calls are held back.', refusedForMs);
  };
  /** Those who wait for a breaker that opens are told at once, before they use up any budget. */
  const failed = (breaker: CircuitBreaker, permit: Permit) => {
    const before = breaker.refusedForMs();
    permit.failed();
    if (before === 0 && breaker.refusedForMs() > 0) turns.recheck();
  };

  /** The queue, the rate limit and the breaker. Refuses at once what cannot have its turn in time. */
  const turn = async (
    call: Call,
    breaker: CircuitBreaker,
    slot: Slot,
    signal: AbortSignal,
  ): Promise<Permit> => {
    const { buckets, priority } = call;
    const estimateMs = turns.estimateMs(buckets, priority);
    if (clock.now() + estimateMs > call.deadlineAtMs) {
      if (limiter.pausedMs(buckets) > 0)
        throw new NoTurn(refusal('RATE_LIMITED', 'The provider asked us to wait.', estimateMs));
      throw new NoTurn(
        refusal('DEADLINE_EXCEEDED', 'Too many calls are waiting for this provider.', estimateMs),
      );
    }
    if (estimateMs > 0 && !turns.hasRoom(buckets))
      throw new NoTurn(refusal('QUEUE_FULL', 'Too many calls are waiting for this provider.', estimateMs));
    // Nothing comes between the two: who is not refused is admitted.
    return turns.wait(buckets, priority, signal, {
      slot,
      refusal: () => refusalOf(breaker),
      enter: () => breaker.admit()!,
    });
  };

  /** One attempt, reported to the breaker. */
  const tryOnce = async (
    call: Call,
    request: HttpRequest,
    breaker: CircuitBreaker,
    permit: Permit,
    signal: AbortSignal,
  ): Promise<Judged> => {
    const startedAt = clock.monotonic();
    const timeout = new AbortController();
    const answered = new AbortController();
    void clock.sleep(requestTimeoutMs, answered.signal).then(
      () => timeout.abort(new TimeoutReached()),
      () => undefined,
    );
    try {
      const result = await attempt.send(request, AbortSignal.any([signal, timeout.signal]));
      const judged = judge(result, call.classify, clock.now());
      // Failures of the provider, not of what one tenant asked: a 4xx and a 429 prove that it is alive.
      if (['PROVIDER_ERROR', 'TIMEOUT', 'NETWORK_ERROR'].includes(judged.fault?.code ?? ''))
        failed(breaker, permit);
      else permit.succeeded();
      return judged;
    } catch (error) {
      if (error instanceof TimeoutReached) {
        failed(breaker, permit);
        return judge(timedOut, call.classify, clock.now());
      }
      // A deadline is its caller's, but silence for a second says something about the provider.
      if (error instanceof DeadlineReached && clock.monotonic() - startedAt >= silenceMs)
        failed(breaker, permit);
      else permit.abandoned();
      throw error instanceof DeadlineReached ? new AttemptCut() : error;
    } finally {
      answered.abort();
    }
  };

  /** What a failed attempt means: to try again after a pause, or the problem that ends the call. */
  const decide = (call: Call, { fault, response, sent }: Failed, attempts: number): Decision => {
    const now = clock.now();
    const toldMs = parseRetryAfter(response?.headers['retry-after'], now) ?? capped(fault.retryAfterMs);
    const backoff = backoffMs(attempts, retry, clock.random());
    if (fault.code === 'RATE_LIMITED') limiter.pause(call.buckets, toldMs ?? backoff);
    const delayMs = Math.max(
      toldMs ?? 0,
      toldMs === undefined || fault.code !== 'RATE_LIMITED' ? backoff : 0,
    );
    const cause = problem(fault.code, fault.message, new Date(now), {
      ...evidence(fault),
      ...((toldMs !== undefined || fault.code === 'RATE_LIMITED') && {
        retryAfterSeconds: seconds(toldMs ?? backoff),
      }),
    });
    const again =
      isTransient(fault.code) &&
      (call.idempotent || fault.code === 'RATE_LIMITED' || !sent) &&
      attempts < Math.min(retry.attempts, call.retry?.attempts ?? Infinity) &&
      now + delayMs < call.deadlineAtMs &&
      entry(retryBudgets, call.integration, () => createRetryBudget(clock)).spend();
    return { retry: again, delayMs, cause };
  };

  /** `signal` ends what only waits; `running` what has been sent, which closing lets finish. */
  const run = async (
    call: Call,
    signal: AbortSignal,
    running: AbortSignal,
    progress: Progress,
  ): Promise<HttpResponse> => {
    const breaker = breakerOf(call);
    let reauthenticated = false;
    for (let failures = 0; ;) {
      const refused = refusalOf(breaker);
      if (refused) throw refused;
      const request = await unless(signal, call.request());
      const since = clock.monotonic();
      const slot: Slot = { arrivedBy: 0 };
      const permit = await turn(call, breaker, slot, signal).finally(() => {
        progress.waitedMs += clock.monotonic() - since;
      });
      progress.attempts++;
      const judged = await tryOnce(call, request, breaker, permit, running).finally(() =>
        limiter.arrived(slot),
      );
      if (!judged.fault) return judged.response;
      progress.requestId = judged.fault.requestId;
      if (judged.fault.code === 'UNAUTHENTICATED' && call.reauthenticate) {
        if (reauthenticated)
          throw new IntegrationError(
            problem(
              'REAUTHORIZATION_REQUIRED',
              'The provider refuses even a new token: connect again.',
              new Date(clock.now()),
              evidence(judged.fault),
            ),
          );
        reauthenticated = true;
        await unless(signal, call.reauthenticate());
        continue;
      }
      const decision = decide(call, judged, ++failures);
      if (!decision.retry) throw new IntegrationError(decision.cause);
      progress.last = decision.cause;
      await clock.sleep(decision.delayMs, signal);
    }
  };

  return {
    async call(call) {
      if (closing.signal.aborted) throw refusal('QUEUE_FULL', 'The service is shutting down.', 1_000);
      entry(retryBudgets, call.integration, () => createRetryBudget(clock)).earn();
      const startedAt = clock.monotonic();
      const progress: Progress = { waitedMs: 0, attempts: 0, requestId: undefined, last: undefined };
      const deadline = new AbortController();
      const over = new AbortController();
      void clock.sleep(Math.max(0, call.deadlineAtMs - clock.now()), over.signal).then(
        () => deadline.abort(new DeadlineReached()),
        () => undefined,
      );
      const running = AbortSignal.any([deadline.signal, ...(call.signal ? [call.signal] : [])]);
      let outcome: CallReport['outcome'] = 'OK';
      try {
        return await run(call, AbortSignal.any([running, closing.signal]), running, progress);
      } catch (error) {
        const failure = outwards(error, progress.last, call.signal, clock.now());
        outcome = failure instanceof IntegrationError ? failure.problem.code : 'PROVIDER_ERROR';
        throw failure;
      } finally {
        over.abort();
        options.onFinished?.({
          integration: call.integration,
          connectionId: call.connectionId,
          priority: call.priority,
          waitedMs: Math.round(progress.waitedMs),
          attempts: progress.attempts,
          outcome,
          durationMs: Math.round(clock.monotonic() - startedAt),
          requestId: progress.requestId,
        });
      }
    },
    budget(buckets) {
      const view = limiter.view(buckets);
      return (
        view && {
          ...view,
          queued: turns.queued(buckets),
          estimatedWaitMs: turns.estimateMs(buckets, 'backfill'),
        }
      );
    },
    health(integration) {
      const all = [...(breakers.get(integration)?.values() ?? [])].map((breaker) => breaker.health());
      return all.includes('DOWN') ? 'DOWN' : all.includes('DEGRADED') ? 'DEGRADED' : 'HEALTHY';
    },
    close() {
      closing.abort(new Closing());
      return (closed ??= attempt.close());
    },
  };
}

/** `cause` is the problem of a call that ends here, or that finds no time or turn for the retry. */
type Decision = { retry: boolean; delayMs: number; cause: IntegrationProblem };
type Progress = Pick<CallReport, 'waitedMs' | 'attempts' | 'requestId'> & {
  /** Why the last attempt failed. */
  last: IntegrationProblem | undefined;
};

/** A provider that says nothing for this long counts as failing even where a shorter deadline ended the attempt. */
const silenceMs = 1_000;

const seconds = (ms: number) => Math.ceil(ms / 1_000);
const capped = (ms: number | undefined) => (ms === undefined ? undefined : Math.min(ms, longestPauseMs));
/** What the provider's support asks for. */
const evidence = ({ providerCode, requestId }: Fault) => ({
  ...(providerCode !== undefined && { providerCode }),
  ...(requestId !== undefined && { requestId }),
});
const isTransient = (code: ProblemCode) =>
  code === 'RATE_LIMITED' || code === 'PROVIDER_ERROR' || code === 'TIMEOUT' || code === 'NETWORK_ERROR';

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
