/**
 * Whether the sessions of a pool keep the names that statements are given. They do not forget by themselves, but a
 * PgBouncer that pools transactions and does not follow prepared statements gives another one each time. Seen so often,
 * names are given up for good: they cost a second round trip each time. Seen now and then, as where somebody has told a
 * session to forget, they are not.
 */
export interface GivenNames {
  areOfUse(): boolean;
  /** A session did not know one. */
  forgotten(): void;
  /** A statement was answered. */
  answered(): void;
}

const mostForgotten = 20;
/** After so many answers, one of those that were forgotten is long ago. */
const longAgo = 1_000;

export function createGivenNames(): GivenNames {
  let forgotten = 0;
  let answers = 0;
  return {
    areOfUse: () => forgotten < mostForgotten,
    forgotten() {
      forgotten++;
    },
    answered() {
      if (forgotten === 0 || forgotten >= mostForgotten || ++answers < longAgo) return;
      forgotten--;
      answers = 0;
    },
  };
}
