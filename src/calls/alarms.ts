import type { Clock } from '../clock.ts';

/** Wakes many calls at their deadlines with one timer: most of them are over by then, and a timer each costs more than the call. */
export interface Alarms {
  /** The alarm rings once `ms` are over, up to `grainMs` late, unless it is cleared before. */
  set(ms: number, alarm: Alarm): void;
  clear(alarm: Alarm): void;
  close(): void;
}

export interface Alarm {
  ring(): void;
  /** Those that ring with it; kept here to save an object for each call. */
  together: Set<Alarm> | undefined;
}

const grainMs = 8;

export function createAlarms(clock: Clock): Alarms {
  const grains = new Map<number, Set<Alarm>>();
  let next = Infinity;
  let cancel = () => {};

  const plan = (grain: number) => {
    cancel();
    next = grain;
    cancel = clock.timer(Math.max(0, grain * grainMs - clock.monotonic()), ring);
  };
  const ring = () => {
    const now = Math.floor(clock.monotonic() / grainMs);
    next = Infinity;
    const due = [...grains].filter(([grain]) => grain <= now);
    for (const [grain] of due) grains.delete(grain);
    for (const [, together] of due)
      for (const alarm of together) {
        together.delete(alarm);
        alarm.ring();
      }
    for (const [grain, { size }] of grains)
      if (size === 0) grains.delete(grain);
      else if (grain < next) next = grain;
    if (next < Infinity) plan(next);
  };

  return {
    set(ms, alarm) {
      const grain = Math.ceil((clock.monotonic() + ms) / grainMs);
      let together = grains.get(grain);
      if (!together) grains.set(grain, (together = new Set()));
      together.add(alarm);
      alarm.together = together;
      if (grain < next) plan(grain);
    },
    clear(alarm) {
      alarm.together?.delete(alarm);
    },
    close: () => cancel(),
  };
}
