import type { Clock } from '../../clock.ts';
import { faults } from './errors.ts';
import type { QuickBooksSettings } from './settings.ts';

interface Usage {
  /** Times of admitted calls in the last minute, oldest first; the same for batches. */
  calls: number[];
  batches: number[];
  running: number;
}

const minuteMs = 60_000;

/** Counts what each company's requests use. Refused requests use nothing. */
export class Limits {
  readonly #clock: Clock;
  readonly #settings: () => QuickBooksSettings;
  readonly #usage = new Map<string, Usage>();
  #month = '';
  #callsThisMonth = 0;

  constructor(clock: Clock, settings: () => QuickBooksSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Throws the throttle fault, or returns what to call when the request is over. */
  admit(realmId: string, isBatch: boolean): () => void {
    const settings = this.#settings();
    const usage = this.#usage.get(realmId) ?? { calls: [], batches: [], running: 0 };
    this.#usage.set(realmId, usage);
    const now = this.#clock.monotonic();
    const within = (times: number[], windowMs: number) => {
      const since = now - windowMs + settings.windowToleranceMs;
      let count = 0;
      while (count < times.length && (times[times.length - 1 - count] ?? 0) > since) count += 1;
      return count;
    };
    for (const times of [usage.calls, usage.batches]) times.splice(0, times.length - within(times, minuteMs));
    if (
      settings.rateLimits &&
      (within(usage.calls, 1000) >= settings.requestsPerSecond ||
        usage.calls.length >= settings.requestsPerMinute ||
        usage.running >= settings.concurrentRequests ||
        (isBatch && usage.batches.length >= settings.batchesPerMinute) ||
        this.#isMonthUsedUp(settings.callsPerMonth))
    ) {
      throw faults.throttled(settings.throttleStatus);
    }
    usage.calls.push(now);
    if (isBatch) usage.batches.push(now);
    else this.meter(1);
    usage.running += 1;
    return () => {
      usage.running -= 1;
    };
  }

  /** Counts calls of the month: one for a request, one for each item of a batch. */
  meter(calls: number): void {
    this.#turnMonth();
    this.#callsThisMonth += calls;
  }

  #isMonthUsedUp(limit: number | null): boolean {
    this.#turnMonth();
    return limit !== null && this.#callsThisMonth >= limit;
  }

  #turnMonth(): void {
    const month = new Date(this.#clock.now()).toISOString().slice(0, 7);
    if (month !== this.#month) this.#callsThisMonth = 0;
    this.#month = month;
  }
}
