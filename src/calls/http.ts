import type { FaultDetail, ProblemCode } from '../errors.ts';

export { faultDetails, redact, type RawDetail } from './redact.ts';

/** One HTTP request to a provider and its answer, as plain data: providers write the first and judge the second. */

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Absolute, without secrets: it may be logged. */
  url: string;
  /** Lower-case names. */
  headers: Record<string, string>;
  body?: string;
}

export interface HttpResponse {
  status: number;
  /** Lower-case names; repeated ones joined by a comma. */
  headers: Record<string, string>;
  /** The raw text, at most `maxResponseBytes` long; longer answers fail as PROVIDER_ERROR. */
  body: string;
}

/**
 * A provider's judgement of an answer that is not a success. `code` decides what the caller does: UNAUTHENTICATED
 * renews the token once, RATE_LIMITED pauses the bucket, PROVIDER_ERROR retries with backoff, the rest never retry.
 */
export interface Fault {
  code: ProblemCode;
  /** Our own words: provider text can echo tokens. */
  message: string;
  providerCode?: string;
  requestId?: string;
  /** The provider's word or documented habit, e.g. QuickBooks' 60 s after a 429 without a header. */
  retryAfterMs?: number;
  /** The provider's own words, made by `faultDetails`. They reach no person and no log. */
  details?: readonly FaultDetail[];
  /**
   * Overrides what the code says of the *operation*: a CONFLICT that is gone after reading anew (see `writeMerged`), a
   * PROVIDER_ERROR that stays (501). Sending the same request again never cures a CONFLICT.
   */
  retryable?: boolean;
}

/** Undefined for a success. Pure. */
export type Classify = (response: HttpResponse, nowMs: number) => Fault | undefined;
