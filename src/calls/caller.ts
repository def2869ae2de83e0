// PLACEHOLDER while calls/ is being written: overwrite freely.
import type { Clock } from '../clock.ts';
import { IntegrationError, problem } from '../errors.ts';
import type { Classify, HttpRequest, HttpResponse } from './http.ts';
export interface Bucket {
  key: string;
  limit: number;
  windowMs: number;
}
export interface BudgetView {
  limit: number;
  windowMs: number;
  remaining: number;
  resetsAtMs: number | undefined;
  pausedUntilMs: number | undefined;
  queued: number;
  estimatedWaitMs: number;
}
export interface CallReport {
  integration: string;
}
export interface Call {
  integration: string;
  connectionId?: string;
  buckets: readonly Bucket[];
  priority: 'interactive' | 'webhook' | 'poll' | 'backfill';
  deadlineAtMs: number;
  signal?: AbortSignal;
  idempotent: boolean;
  request(): Promise<HttpRequest>;
  reauthenticate?(): Promise<void>;
  classify: Classify;
}
export interface Caller {
  call(call: Call): Promise<HttpResponse>;
  budget(b: readonly Bucket[]): BudgetView | undefined;
  health(i: string): 'HEALTHY' | 'DEGRADED' | 'DOWN';
  close(): Promise<void>;
}
export interface CallerOptions {
  clock: Clock;
  requestTimeoutMs: number;
  retry: { baseMs: number; capMs: number; attempts: number };
  queue: { perBucket: number; total: number };
  onFinished?: (r: CallReport) => void;
}
export function createCaller(o: CallerOptions): Caller {
  return {
    async call(call) {
      let reauth = false;
      for (let attempt = 1; ; attempt++) {
        const r = await call.request();
        let res: HttpResponse;
        try {
          const f = await fetch(r.url, {
            method: r.method,
            headers: r.headers,
            ...(r.body !== undefined && { body: r.body }),
            redirect: 'manual',
            signal: AbortSignal.timeout(o.requestTimeoutMs),
          });
          res = { status: f.status, headers: Object.fromEntries(f.headers), body: await f.text() };
        } catch (e) {
          const code = (e as Error).name === 'TimeoutError' ? 'TIMEOUT' : 'NETWORK_ERROR';
          if (call.idempotent && attempt < o.retry.attempts) continue;
          throw new IntegrationError(problem(code, code, new Date(o.clock.now())));
        }
        const fault = call.classify(res, o.clock.now());
        o.onFinished?.({ integration: call.integration });
        if (!fault) return res;
        if (fault.code === 'UNAUTHENTICATED' && call.reauthenticate) {
          if (reauth)
            throw new IntegrationError(
              problem('REAUTHORIZATION_REQUIRED', fault.message, new Date(o.clock.now())),
            );
          reauth = true;
          await call.reauthenticate();
          continue;
        }
        if (
          (fault.code === 'RATE_LIMITED' || fault.code === 'PROVIDER_ERROR') &&
          call.idempotent &&
          attempt < o.retry.attempts
        ) {
          await o.clock.sleep(20);
          continue;
        }
        throw new IntegrationError(problem(fault.code, fault.message, new Date(o.clock.now())));
      }
    },
    budget: (b) =>
      b[0] && {
        limit: b[0].limit,
        windowMs: b[0].windowMs,
        remaining: b[0].limit,
        resetsAtMs: undefined,
        pausedUntilMs: undefined,
        queued: 0,
        estimatedWaitMs: 0,
      },
    health: () => 'HEALTHY',
    close: () => Promise.resolve(),
  };
}
