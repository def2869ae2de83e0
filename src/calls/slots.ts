import type { Clock } from '../clock.ts';

/** One call's place in the budgets that it counts against, from its turn until it has surely arrived. */
export interface Slot {
  /** False when its time has passed: then it must not be sent. */
  usable(): boolean;
  /** Its first byte leaves now. */
  sent(): void;
  /** Answered, which proves that it has arrived, or ended otherwise: then it may be under way still. */
  ended(answered?: boolean): void;
  /** It is not going to be sent. */
  unused(): void;
}

/** What becomes of a slot, each at most once: either `unused`, or `arrived` and then `ended`. */
export interface Outcomes<T> {
  /** By this monotonic time the provider has counted it. */
  arrived(what: T, atMs: number): void;
  ended(what: T): void;
  unused(what: T): void;
}

export interface Slots<T> {
  open(what: T, usableUntilMs?: number): Slot;
  /** Counts as arrived what was sent long enough ago. */
  settleOverdue(): void;
}

/** A slow answer holds no place up for longer than this after it was sent: by then a call has arrived, or never will. */
export const transitMs = 100;

export function createSlots<T>(clock: Clock, outcomes: Outcomes<T>): Slots<T> {
  const shared: Shared<T> = { clock, outcomes, flying: new Set() };
  return {
    open: (what, usableUntilMs = Infinity) => new OpenSlot(shared, what, usableUntilMs),
    settleOverdue() {
      const before = clock.monotonic() - transitMs;
      for (const slot of shared.flying) {
        if (slot.sentAt > before) return;
        shared.flying.delete(slot);
        outcomes.arrived(slot.what, slot.sentAt + transitMs);
      }
    },
  };
}

interface Shared<T> {
  clock: Clock;
  outcomes: Outcomes<T>;
  /** Sent and not known to have arrived, in the order of sending. */
  flying: Set<OpenSlot<T>>;
}

/** A class, for every call has one. */
class OpenSlot<T> implements Slot {
  readonly what: T;
  readonly #shared: Shared<T>;
  readonly #usableUntilMs: number;
  sentAt = -Infinity;
  #over = false;

  constructor(shared: Shared<T>, what: T, usableUntilMs: number) {
    this.#shared = shared;
    this.what = what;
    this.#usableUntilMs = usableUntilMs;
  }

  usable(): boolean {
    return this.#usableUntilMs === Infinity || this.#shared.clock.monotonic() <= this.#usableUntilMs;
  }

  sent(): void {
    if (this.#over || this.sentAt > -Infinity) return;
    this.sentAt = this.#shared.clock.monotonic();
    this.#shared.flying.add(this);
  }

  ended(answered = true): void {
    if (this.#over) return;
    this.#over = true;
    const { clock, outcomes, flying } = this.#shared;
    if (this.sentAt === -Infinity) outcomes.arrived(this.what, clock.monotonic());
    else if (flying.delete(this)) {
      const latest = this.sentAt + transitMs;
      outcomes.arrived(this.what, answered ? Math.min(clock.monotonic(), latest) : latest);
    }
    outcomes.ended(this.what);
  }

  unused(): void {
    if (this.#over) return;
    this.#over = true;
    this.#shared.outcomes.unused(this.what);
  }
}
