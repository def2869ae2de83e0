/** How many may follow: each WebSocket, each stream and each callback subscription takes one seat. */
export interface Seats {
  /** Undefined when all are taken. */
  take(): Seat | undefined;
}

export interface Seat {
  /** False when the account has as many as it may; the seat is still to be left. */
  assign(accountId: string): boolean;
  /** Any number of times. */
  leave(): void;
}

export function createSeats(limits: { perAccount: number; total: number }): Seats {
  const ofAccounts = new Map<string, number>();
  let taken = 0;
  return {
    take() {
      if (taken >= limits.total) return undefined;
      taken++;
      let left = false;
      let owner: string | undefined;
      return {
        assign(accountId) {
          const own = ofAccounts.get(accountId) ?? 0;
          if (own >= limits.perAccount) return false;
          ofAccounts.set(accountId, own + 1);
          owner = accountId;
          return true;
        },
        leave() {
          if (left) return;
          left = true;
          taken--;
          if (owner === undefined) return;
          const others = ofAccounts.get(owner)! - 1;
          if (others === 0) ofAccounts.delete(owner);
          else ofAccounts.set(owner, others);
        },
      };
    },
  };
}
