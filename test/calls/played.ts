import type { Attempted } from '../../src/calls/attempt.ts';
import {
  createCaller,
  type AttemptReport,
  type Bucket,
  type Call,
  type CallerOptions,
  type CallReport,
} from '../../src/calls/caller.ts';
import type { Classify, Fault, HttpRequest } from '../../src/calls/http.ts';
import { manualClock } from '../support/manualClock.ts';

/** What the provider does with one attempt: it answers 200 after 5 ms, unless this says otherwise. */
export interface Step {
  status?: number;
  headers?: Record<string, string>;
  /** What the provider’s file makes of the answer, beside the code and message of its status. */
  fault?: Partial<Fault>;
  /** The transport’s failure, in place of an answer. */
  fails?: Extract<Attempted, { kind: 'failed' }>['code'];
  /** Whether the request that failed left. */
  sent?: boolean;
  /** A bug of ours, in place of an answer. */
  throws?: Error;
  /** Infinity for silence. */
  afterMs?: number;
}

const codes: Record<number, Fault['code']> = {
  ...{ 401: 'UNAUTHENTICATED', 404: 'NOT_FOUND', 409: 'CONFLICT', 429: 'RATE_LIMITED' },
  ...{ 500: 'PROVIDER_ERROR', 503: 'PROVIDER_ERROR' },
};
const classify: Classify = ({ status, body }) =>
  codes[status] && { code: codes[status], message: `status ${status}`, ...(JSON.parse(body) as object) };

export const thousand: Bucket = { key: 'thousand', limit: 1_000, windowMs: 1_000 };

/** A caller, and a provider that the test plays, on a clock that it moves and with chance at `0.5`. */
export function play(options: Partial<CallerOptions> = {}, clock = manualClock()) {
  clock.random = () => 0.5;
  let steps: Step[] = [{}];
  /** The attempts, as they left. */
  const seen: { atMs: number; request: HttpRequest; timeoutMs: number | undefined; reach: unknown }[] = [];
  const reports: CallReport[] = [];
  const attempts: AttemptReport[] = [];
  let closings = 0;
  const caller = createCaller({
    clock,
    requestTimeoutMs: 30_000,
    retry: { baseMs: 200, capMs: 2_000, attempts: 3 },
    queue: { perBucket: 1_000, total: 1_000 },
    attempt: {
      async send(request, signal, onSent, timeoutMs, reach) {
        const step = steps.length > 1 ? steps.shift()! : steps[0]!;
        seen.push({ atMs: clock.monotonic(), request, timeoutMs, reach });
        if (step.sent !== false) onSent();
        await clock.sleep(step.afterMs ?? 5, signal);
        if (step.throws) throw step.throws;
        if (step.fails)
          return { kind: 'failed', code: step.fails, message: 'The line failed.', sent: step.sent ?? true };
        const { status = 200, headers = {}, fault = {} } = step;
        return { kind: 'answered', response: { status, headers, body: JSON.stringify(fault) } };
      },
      close: () => Promise.resolve(void closings++),
    },
    onFinished: (report) => reports.push(report),
    onAttempt: (report) => attempts.push(report),
    ...options,
  });
  const call = (more: Partial<Call> = {}) =>
    caller.call({
      ...{ integration: 'x', host: 'h', buckets: [thousand], priority: 'interactive', idempotent: true },
      deadlineAtMs: clock.now() + 600_000,
      request: () => Promise.resolve({ method: 'GET', url: 'https://h/thing', headers: {} }),
      classify,
      ...more,
    });
  /** How a call has ended `ms` later: with its answer, with what it was refused by, or not yet. */
  const ending = async (promise: Promise<unknown>, ms = 0): Promise<unknown> => {
    let end: unknown = 'not yet';
    void promise.then(
      (value) => (end = value),
      (error: unknown) => (end = error),
    );
    await clock.advance(ms);
    return end;
  };
  return {
    ...{ clock, caller, call, ending, seen, reports, attempts },
    closings: () => closings,
    /** The next attempts meet these, in this order; all that follow meet the last one. */
    script: (...next: Step[]) => void (steps = next),
    times: () => seen.map(({ atMs }) => atMs),
    /** So many calls one after the other, each of one attempt that meets the step. */
    async meet(count: number, step: Step, more: Partial<Call> = {}) {
      steps = [step];
      for (let i = 0; i < count; i++) await ending(call({ retry: { attempts: 1 }, ...more }), 5);
      steps = [{}];
    },
  };
}
