import type { Clock } from '../../clock.ts';
import { errors } from './errors.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';

const minuteMs = 60_000;

/**
 * Counts each user's requests. Refused requests use nothing. Returns a function that throws the refusal; `isFurtherPage`
 * is for the pages of a range after its first, which the interval of CarriersChanges does not count.
 */
export function openLimits(clock: Clock, settings: () => MyCarrierPacketsSettings) {
  /** By user: times of admitted requests in the last minute, oldest first. */
  const requests = new Map<string, number[]>();
  /** By user: when CarriersChanges was last begun. */
  const changesBegun = new Map<string, number>();

  return (userName: string, operation: string, isFurtherPage: boolean): void => {
    const { rateLimits, requestsPerMinute, changesIntervalSeconds, windowToleranceMs, sendRetryAfter } =
      settings();
    const now = clock.monotonic();
    const wait = (untilMs: number) =>
      sendRetryAfter ? Math.max(1, Math.ceil((untilMs - now) / 1000)) : undefined;
    const recent = (requests.get(userName) ?? []).filter((at) => at > now - minuteMs + windowToleranceMs);
    const begins = operation === 'CarriersChanges' && !isFurtherPage;
    if (rateLimits) {
      if (requestsPerMinute !== null && recent.length >= requestsPerMinute) {
        throw errors.throttled(requestsPerMinute, 'Minute', wait(recent[0]! + minuteMs));
      }
      const nextAt = (changesBegun.get(userName) ?? -Infinity) + changesIntervalSeconds * 1000;
      if (begins && now < nextAt - windowToleranceMs) {
        throw errors.throttled(1, `${changesIntervalSeconds} Seconds`, wait(nextAt));
      }
    }
    requests.set(userName, [...recent, now]);
    if (begins) changesBegun.set(userName, now);
  };
}
