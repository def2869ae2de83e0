import { sequenceOf } from '../../../src/events/events.ts';

export interface SeenEvent {
  id: string;
  cursor: string;
  kind: string;
  record: { externalId: string } | null;
}

/** What followers of events were told, held against the order in which things happened: one history for each account. */
export interface Ledger {
  /** @returns a follower's own place in it */
  follower(accountId: string): Place;
  /** Followers were told of something that was not next, and others of something else at the same place. */
  gaps: number;
  doubles: number;
  contradictions: number;
  delivered: number;
  /** The last sequence of each account, and the followers that have not come so far. */
  behind(): { accountId: string; last: number; followers: number }[];
  /** By account: the ids of events, by their sequence. */
  histories: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

export interface Place {
  saw(event: SeenEvent): void;
  /** What to go on after; undefined while nothing was seen. */
  cursor(): string | undefined;
}

/** @param onFirst an event that no follower has been told of before */
export function createLedger(onFirst: (accountId: string, event: SeenEvent) => void): Ledger {
  const histories = new Map<string, Map<number, string>>();
  const places = new Set<{ accountId: string; at: number }>();
  const ledger: Ledger = {
    ...{ gaps: 0, doubles: 0, contradictions: 0, delivered: 0, histories },
    follower(accountId) {
      const own = { accountId, at: 0 };
      places.add(own);
      let cursor: string | undefined;
      return {
        saw(event) {
          ledger.delivered++;
          const sequence = sequenceOf(event.cursor);
          if (cursor !== undefined && sequence <= own.at) ledger.doubles++;
          else if (cursor !== undefined && sequence > own.at + 1) ledger.gaps++;
          own.at = Math.max(own.at, sequence);
          ({ cursor } = event);
          let history = histories.get(accountId);
          if (!history) histories.set(accountId, (history = new Map()));
          const known = history.get(sequence);
          if (known === undefined) {
            history.set(sequence, event.id);
            onFirst(accountId, event);
          } else if (known !== event.id) ledger.contradictions++;
        },
        cursor: () => cursor,
      };
    },
    behind: () =>
      [...histories].map(([accountId, history]) => {
        const last = Math.max(...history.keys());
        const own = [...places].filter((place) => place.accountId === accountId);
        return { accountId, last, followers: own.filter(({ at }) => at < last).length };
      }),
  };
  return ledger;
}
