import type { Clock } from '../../clock.ts';
import { rateLimited, type SlackError } from './errors.ts';
import type { SlackSettings } from './settings.ts';

export type Tier = keyof SlackSettings['tierLimits'];

const minuteMs = 60_000;
const secondMs = 1_000;

/** Counts calls per method and workspace, and messages per channel. Refused ones use nothing. */
export class Limits {
  readonly #clock: Clock;
  readonly #settings: () => SlackSettings;
  /** Times of admitted calls in the last minute, oldest first. */
  readonly #calls = new Map<string, number[]>();
  /** Earliest time at which a channel's whole burst is there again. */
  readonly #restedAt = new Map<string, number>();

  constructor(clock: Clock, settings: () => SlackSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Throws `ratelimited`. `account` is the workspace, or empty where the app alone is counted. */
  admit(account: string, method: string, tier: Tier): void {
    this.#admit(`${account} ${method}`, this.#settings().tierLimits[tier]);
  }

  /** Throws `ratelimited`: the channel's limit, then the workspace's. */
  admitMessage(teamId: string, channelId: string): void {
    const { rateLimits, messageBurst, messagesPerMinute } = this.#settings();
    const now = this.#clock.monotonic();
    const restedAt = Math.max(now, this.#restedAt.get(channelId) ?? now) + secondMs;
    const earlyMs = restedAt - messageBurst * secondMs - now;
    if (rateLimits && earlyMs > this.#settings().windowToleranceMs) throw this.#refusal(earlyMs);
    this.#admit(`${teamId} messages`, messagesPerMinute);
    this.#restedAt.set(channelId, restedAt);
  }

  #admit(key: string, limit: number): void {
    const { rateLimits, windowToleranceMs } = this.#settings();
    const now = this.#clock.monotonic();
    const since = now - minuteMs + windowToleranceMs;
    const times = (this.#calls.get(key) ?? []).filter((time) => time > since);
    this.#calls.set(key, times);
    const admitsAt = (times.at(-limit) ?? -Infinity) + minuteMs;
    if (rateLimits && times.length >= limit) throw this.#refusal(admitsAt - now);
    times.push(now);
  }

  #refusal(waitMs: number): SlackError {
    const { retryAfterSeconds } = this.#settings();
    return rateLimited(retryAfterSeconds ?? Math.max(1, Math.ceil(waitMs / 1000)));
  }
}
