import type { Clock } from '../clock.ts';
import { IntegrationError, problem, type ProblemCode } from '../errors.ts';
import type { Reach } from './addresses.ts';
import { createAdmission, type Run, type Turn } from './admission.ts';
import { createAlarms } from './alarms.ts';
import { createAttempt, judge, timedOut, type Attempt, type Failed, type Judged } from './attempt.ts';
import { backoffMs, createRetryBudget, type RetryBudget, type RetryPolicy } from './backoff.ts';
import type { AttemptReport, Call, CallReport } from './call.ts';
import {
  createCircuitBreaker,
  type BreakerState,
  type CircuitBreaker,
  type Health,
  type Permit,
} from './circuitBreaker.ts';
import { AttemptCut, DeadlineReached, Life, outwards, TimeoutReached } from './endings.ts';
import { priorities, type Priority } from './fairQueue.ts';
import type { Fault, HttpRequest, HttpResponse } from './http.ts';
import { createRateLimiter, type BudgetView as BucketView, type RateLimiter } from './rateLimit.ts';
import { learntFrom } from './rateLimitHeaders.ts';
import type { RecordedAs } from './recorder.ts';
import { longestPauseMs, parseRetryAfter } from './retryAfter.ts';
import type { Bucket } from './window.ts';

export type {
  AttemptReport,
  BreakerState,
  Bucket,
  Call,
  CallReport,
  Priority,
  Reach,
  RecordedAs,
  RetryPolicy,
};

export interface CallerOptions {
  clock: Clock;
  /** One attempt, where the call does not say. */
  requestTimeoutMs: number;
  retry: RetryPolicy;
  /** What an integration has of its own. */
  retryOf?: (integration: string) => Partial<RetryPolicy> | undefined;
  /** Most calls that may wait. */
  queue: { perBucket: number; total: number };
  /** Default: in memory, for this process alone. */
  limiter?: RateLimiter;
  /** The transport; default: HTTP. */
  attempt?: Attempt;
  /** How far a request of an integration may go; default: the public internet and loopback. */
  reachOf?: (integration: string, host: string) => Reach;
  /** Once for each attempt, and once for each call, when it is over. Must not throw. */
  onAttempt?: (report: AttemptReport) => void;
  onFinished?: (report: CallReport) => void;
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
  /** The tightest of the buckets; undefined without any. `refreshBudgets` first for what other processes did. */
  budget(buckets: readonly Bucket[]): BudgetView | undefined;
  /** One statement for any number of buckets. */
  refreshBudgets(buckets: readonly Bucket[]): Promise<void>;
  /** The worst of the integration's hosts. */
  health(integration: string): Health;
  breakerState(integration: string): BreakerState;
  /** Calls that wait. */
  queueDepth(): Iterable<{ integration: string; priority: Priority; waiting: number }>;
  /** Refuses new calls, ends waiting ones, lets running attempts finish. */
  close(): Promise<void>;
}

export function createCaller(options: CallerOptions): Caller {
  const { clock, requestTimeoutMs, onAttempt, onFinished } = options;
  const limiter = options.limiter ?? createRateLimiter(clock);
  const attempt = options.attempt ?? createAttempt(requestTimeoutMs);
  const integrations = new Map<string, Integration>();
  const alarms = createAlarms(clock);
  const alive = new Set<Life>();
  let closed: Promise<void> | undefined;
  const { turns, turn, refusal } = createAdmission(clock, limiter, options.queue);

  const integrationOf = (id: string): Integration => {
    let own = integrations.get(id);
    if (!own) {
      const retry = { ...options.retry, ...options.retryOf?.(id) };
      const usual = { answerMs: 0 };
      integrations.set(id, (own = { retry, budget: createRetryBudget(clock), breakers: new Map(), usual }));
    }
    return own;
  };
  const breakerOf = ({ breakers }: Integration, { host, timeoutMs = requestTimeoutMs }: Call) => {
    let breaker = breakers.get(host);
    if (!breaker) breakers.set(host, (breaker = createCircuitBreaker(clock, timeoutMs + 1_000)));
    return breaker;
  };
  const reachOf = ({ integration }: Call, { url }: HttpRequest) =>
    options.reachOf?.(integration, new URL(url).host);
  /** Those who wait for a breaker that opens are told at once, before they use up any budget. */
  const failed = (breaker: CircuitBreaker, permit: Permit) => {
    const before = breaker.refusedForMs();
    permit.failed();
    if (before === 0 && breaker.refusedForMs() > 0) turns.recheck();
  };

  const learn = ({ buckets }: Call, { headers }: HttpResponse) => {
    const learnt = learntFrom(headers, clock.now());
    if (learnt.length === 0) return;
    limiter.learn(buckets, learnt);
    // Nothing is left for longer than any window of ours: that is a limit which we do not know.
    const longestMs = Math.max(0, ...buckets.map(({ windowMs }) => windowMs));
    const resetMs = Math.max(0, ...learnt.map((one) => (one.remaining === 0 ? (one.resetMs ?? 0) : 0)));
    if (resetMs <= longestMs * 1.1) return;
    limiter.pause(pausable(buckets), Math.min(resetMs, longestPauseMs));
    turns.recheck();
  };

  /**
   * One attempt, reported to the breaker; undefined when making the request took so long that the turn is over.
   * @param heed what a failure means, asked before its place is free: who waits for that must know of a pause
   */
  const tryWith = async (
    { slot, permit }: Turn,
    run: Run,
    heed: (failure: Failed) => Meaning,
  ): Promise<Tried | undefined> => {
    const { call, breaker, life } = run;
    const told = (judged: Judged) =>
      judged.fault ? { failure: judged, means: heed(judged) } : { response: judged.response };
    let made: HttpRequest | undefined;
    try {
      made = await life.during(call.request());
      if (!slot.usable()) made = undefined;
    } finally {
      if (!made) {
        slot.unused();
        permit.abandoned();
      }
    }
    if (!made) return undefined;
    const request = made;
    run.attempts++;
    const startedAt = clock.monotonic();
    let answered = false;
    let outcome: AttemptReport['outcome'] = 'OK';
    try {
      const result = await life.attempt(call.timeoutMs ?? requestTimeoutMs, (signal) =>
        attempt.send(request, signal, () => slot.sent(), call.timeoutMs, reachOf(call, request)),
      );
      answered = result.kind === 'answered';
      const judged = judge(result, call.classify, clock.now());
      outcome = judged.fault?.code ?? 'OK';
      // Failures of the provider, not of what one tenant asked: a 4xx and a 429 prove that it is alive.
      if (troubles.has(outcome)) failed(breaker, permit);
      else if (judged.response) permit.succeeded();
      else permit.abandoned();
      if (judged.response) learn(call, judged.response);
      return told(judged);
    } catch (error) {
      if (error instanceof TimeoutReached) {
        outcome = 'TIMEOUT';
        failed(breaker, permit);
        return told(judge(timedOut, call.classify, clock.now()));
      }
      const isEnded = error instanceof DeadlineReached || error === call.signal?.reason;
      outcome = isEnded ? 'DEADLINE_EXCEEDED' : 'PROVIDER_ERROR';
      // A deadline is its caller's, but silence for a second says something about the provider.
      if (error instanceof DeadlineReached && clock.monotonic() - startedAt >= silenceMs)
        failed(breaker, permit);
      else permit.abandoned();
      throw error instanceof DeadlineReached ? new AttemptCut() : error;
    } finally {
      slot.ended(answered);
      if (answered) learnUsual(run.usual, clock.monotonic() - startedAt);
      if (onAttempt)
        onAttempt({ integration: call.integration, outcome, durationMs: clock.monotonic() - startedAt });
    }
  };

  const refusesNewToken = (call: Call, judged: Failed) =>
    new IntegrationError(
      problem(
        'REAUTHORIZATION_REQUIRED',
        'The provider refuses even a new token: connect again.',
        new Date(clock.now()),
        evidence(judged.fault),
      ),
      originOf(call, judged),
    );

  /** What a failed attempt means: to try again after a pause, or the problem that ends the call. */
  const decide = (call: Call, failure: Failed, attempts: number, own: Integration): Decision => {
    const { fault, response, sent } = failure;
    const now = clock.now();
    const headerMs = parseRetryAfter(response?.headers['retry-after'], now);
    const toldMs = headerMs ?? capped(fault.retryAfterMs);
    const backoff = backoffMs(attempts, own.retry, clock.random());
    const limited = fault.code === 'RATE_LIMITED';
    // Whoever tells us to stay away means all who count against the same limit.
    if (limited || (headerMs !== undefined && troubles.has(fault.code))) {
      limiter.pause(pausable(call.buckets), toldMs ?? backoff);
      turns.recheck();
    }
    const delayMs = Math.max(toldMs ?? 0, toldMs === undefined || !limited ? backoff : 0);
    const cause = problem(fault.code, fault.message, new Date(now), {
      ...evidence(fault),
      ...((toldMs !== undefined || limited) && { retryAfterSeconds: seconds(toldMs ?? backoff) }),
      ...(fault.retryable !== undefined && { retryable: fault.retryable }),
    });
    const again =
      (limited || troubles.has(fault.code)) &&
      fault.retryable !== false &&
      (call.idempotent || limited || !sent) &&
      attempts < Math.min(own.retry.attempts, call.retry?.attempts ?? Infinity) &&
      now + delayMs < call.deadlineAtMs &&
      own.budget.spend();
    return { retry: again, delayMs, cause: new IntegrationError(cause, originOf(call, failure)) };
  };

  return {
    async call(call) {
      if (closed) throw refusal(call, 'QUEUE_FULL', 'The service is shutting down.', 1_000);
      const own = integrationOf(call.integration);
      own.budget.earn();
      const startedAt = clock.monotonic();
      const life = new Life(alarms, call.deadlineAtMs - clock.now(), call.signal);
      alive.add(life);
      const run: Run = {
        call,
        breaker: breakerOf(own, call),
        life,
        usual: own.usual,
        waitedMs: 0,
        attempts: 0,
        requestId: undefined,
        last: undefined,
      };
      let outcome: CallReport['outcome'] = 'OK';
      try {
        let reauthenticated = false;
        let failures = 0;
        const heed = (failure: Failed): Meaning =>
          failure.fault.code === 'UNAUTHENTICATED' && call.reauthenticate
            ? { renew: call.reauthenticate }
            : decide(call, failure, ++failures, own);
        for (;;) {
          const next = turn(run);
          const taken = next instanceof Promise ? await next : next;
          const tried = await tryWith(taken, run, heed);
          if (!tried) continue;
          if (!('failure' in tried)) {
            run.requestId = requestIdIn(tried.response);
            return tried.response;
          }
          const { failure, means } = tried;
          run.requestId = failure.fault.requestId ?? requestIdIn(failure.response);
          if ('renew' in means) {
            if (reauthenticated) throw refusesNewToken(call, failure);
            reauthenticated = true;
            await life.during(means.renew());
            continue;
          }
          if (!means.retry) throw means.cause;
          run.last = means.cause;
          await life.pause(clock, means.delayMs);
        }
      } catch (error) {
        const failure = outwards(error, run.last, call.signal, clock.now());
        outcome = failure instanceof IntegrationError ? failure.problem.code : 'PROVIDER_ERROR';
        throw failure;
      } finally {
        life.over();
        alive.delete(life);
        if (onFinished)
          onFinished({
            integration: call.integration,
            connectionId: call.connectionId,
            priority: call.priority,
            waitedMs: Math.round(run.waitedMs),
            attempts: run.attempts,
            outcome,
            durationMs: Math.round(clock.monotonic() - startedAt),
            requestId: run.requestId,
          });
      }
    },
    budget(buckets) {
      const view = limiter.view(buckets);
      return (
        view && {
          ...view,
          queued: turns.queued(buckets),
          estimatedWaitMs: turns.backlogMs(buckets),
        }
      );
    },
    refreshBudgets: (buckets) => limiter.refresh(buckets),
    health: (integration) =>
      worst(integrations.get(integration), (breaker) => breaker.health(), ['DOWN', 'DEGRADED']) ?? 'HEALTHY',
    breakerState: (integration) =>
      worst(integrations.get(integration), (breaker) => breaker.state(), ['open', 'halfOpen']) ?? 'closed',
    *queueDepth() {
      for (const [integration, counts] of turns.depth())
        for (const [level, waiting] of counts.entries())
          yield { integration, priority: priorities[level]!, waiting };
    },
    close() {
      closed ??= (async () => {
        for (const life of alive) life.close();
        await attempt.close();
        await limiter.close();
        alarms.close();
      })();
      return closed;
    },
  };
}

/** What all calls of one integration share. */
interface Integration {
  retry: RetryPolicy;
  budget: RetryBudget;
  breakers: Map<string, CircuitBreaker>;
  usual: Run['usual'];
}
type Tried = { response: HttpResponse } | { failure: Failed; means: Meaning };
/** `cause` ends the call here, or where there is no time or turn for the retry. */
type Decision = { retry: boolean; delayMs: number; cause: IntegrationError };
/** A refused token may be renewed first. */
type Meaning = Decision | { renew: NonNullable<Call['reauthenticate']> };
/** A provider that says nothing for this long counts as failing even where a shorter deadline ended the attempt. */
const silenceMs = 1_000;
/** Failures of the provider: they pass, and count for its breaker. */
const troubles: ReadonlySet<string> = new Set<ProblemCode>(['PROVIDER_ERROR', 'TIMEOUT', 'NETWORK_ERROR']);

const seconds = (ms: number) => Math.ceil(ms / 1_000);
const capped = (ms: number | undefined) => (ms === undefined ? undefined : Math.min(ms, longestPauseMs));
function learnUsual(usual: Run['usual'], answerMs: number): void {
  usual.answerMs += usual.answerMs === 0 ? answerMs : (answerMs - usual.answerMs) / 8;
}

/** By the names that providers give it; what else they put there is kept out of our log. */
const requestIdHeaders = ['intuit_tid', 'x-slack-req-id', 'x-request-id', 'request-id', 'x-correlation-id'];
function requestIdIn(response: HttpResponse | undefined): string | undefined {
  for (const name of requestIdHeaders) {
    const value = response?.headers[name];
    if (value !== undefined && /^[\w.:-]{1,128}$/.test(value)) return value;
  }
  return undefined;
}
/** What the provider's support asks for. */
const evidence = ({ providerCode, requestId }: Fault) => ({
  ...(providerCode !== undefined && { providerCode }),
  ...(requestId !== undefined && { requestId }),
});
const originOf = ({ integration }: Call, { fault, response, sent }: Failed) => ({
  provider: integration,
  sent,
  ...(response && { status: response.status }),
  ...(fault.details && { details: fault.details }),
});

/** One account's answer stops that account, and the whole application only where nothing narrower is counted. */
function pausable(buckets: readonly Bucket[]): readonly Bucket[] {
  const narrow = buckets.filter(({ appWide }) => !appWide);
  return narrow.length > 0 ? narrow : buckets;
}

function worst<T>(
  own: Integration | undefined,
  of: (breaker: CircuitBreaker) => T,
  badFirst: readonly T[],
): T | undefined {
  const all = new Set([...(own?.breakers.values() ?? [])].map(of));
  return badFirst.find((one) => all.has(one));
}
