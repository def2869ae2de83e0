import type { ProblemCode } from '../errors.ts';
import type { Priority } from './fairQueue.ts';
import type { Classify, HttpRequest } from './http.ts';
import type { Bucket } from './window.ts';

/** One polite call. */
export interface Call {
  integration: string;
  /** Whose turn it is among those that wait. */
  connectionId?: string;
  /** Where it goes: with the integration, what a breaker is for. */
  host: string;
  /** Every limit that it counts against. */
  buckets: readonly Bucket[];
  priority: Priority;
  /** By `clock.now()`. Covers the queue, all attempts and the pauses between them. */
  deadlineAtMs: number;
  signal?: AbortSignal;
  /** One attempt; default: the caller's own. For what must not be given up early. */
  timeoutMs?: number;
  /**
   * False for what must not happen twice: then a failure after which the provider may have acted ends the call. What
   * was certainly not processed (a refused line, a 429) is tried again all the same.
   */
  idempotent: boolean;
  /** Fewer attempts than the caller's own, the first included; 1 where even what was refused must not be sent again. */
  retry?: { attempts: number };
  /** Made anew for each attempt, when its turn has come: a token that expires in the queue is not sent. */
  request(): Promise<HttpRequest>;
  /** Renews the token after an UNAUTHENTICATED. Called once at most, followed by one more attempt without a pause. */
  reauthenticate?(): Promise<void>;
  classify: Classify;
}

export interface AttemptReport {
  integration: string;
  outcome: ProblemCode | 'OK';
  durationMs: number;
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
