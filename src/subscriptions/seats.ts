/** How many may follow: each WebSocket, each stream and each callback subscription takes one seat. */
export interface Seats {
  /**
   * Undefined when all are taken, or as many as may be by those who have not said yet who they are.
   * @param address where it comes from; undefined where it is known already who it is
   */
  take(address?: string): Seat | undefined;
}

export interface Seat {
  /** False when the account has as many as it may; the seat is still to be left. */
  assign(accountId: string): boolean;
  /** Any number of times. */
  leave(): void;
}

/** Of all seats, for strangers, and for those of one address: a proxy's may be many, all of which soon say who they are. */
const strangersPart = 1 / 4;
const addressPart = 1 / 10;
const fewestStrangers = 100;

export function createSeats(limits: { perAccount: number; total: number }): Seats {
  const ofAccounts = createTally();
  const ofAddresses = createTally();
  const mostStrangers = Math.max(fewestStrangers, Math.floor(limits.total * strangersPart));
  const mostOfAddress = Math.max(fewestStrangers, Math.floor(limits.total * addressPart));
  let taken = 0;
  return {
    take(address) {
      if (taken >= limits.total) return undefined;
      if (address !== undefined) {
        if (ofAddresses.sum() >= mostStrangers || ofAddresses.of(address) >= mostOfAddress) return undefined;
        ofAddresses.add(address);
      }
      taken++;
      let left = false;
      let stranger = address;
      let owner: string | undefined;
      const isKnown = () => {
        if (stranger !== undefined) ofAddresses.remove(stranger);
        stranger = undefined;
      };
      return {
        assign(accountId) {
          if (ofAccounts.of(accountId) >= limits.perAccount) return false;
          isKnown();
          ofAccounts.add(accountId);
          owner = accountId;
          return true;
        },
        leave() {
          if (left) return;
          left = true;
          taken--;
          isKnown();
          if (owner !== undefined) ofAccounts.remove(owner);
        },
      };
    },
  };
}

/** How many there are of each, without those of which there is none. */
function createTally() {
  const counts = new Map<string, number>();
  let sum = 0;
  return {
    of: (key: string) => counts.get(key) ?? 0,
    sum: () => sum,
    add(key: string) {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      sum++;
    },
    remove(key: string) {
      const others = counts.get(key)! - 1;
      if (others === 0) counts.delete(key);
      else counts.set(key, others);
      sum--;
    },
  };
}
