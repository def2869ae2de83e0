import { createBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import type { Listener } from './notifications.ts';
import { createWakeups } from './wakeups.ts';

/**
 * Work that lies in rows, for whichever process comes first. Up to `concurrency` are taken and worked on here at one
 * time; the leases of all that is under way are renewed together, so that nobody else takes it. It looks for more when
 * told that there is some, when there is room again, and now and then, since what it is told can be lost.
 */
export interface LeasedWork {
  start(): void;
  /** Takes no more, and waits for what is under way, whose leases are renewed until then. */
  stop(): Promise<void>;
  /** For the channel that tells of more. */
  news: Listener;
}

export function createLeasedWork<Claimed extends { lease: string }>(
  clock: Clock,
  of: {
    concurrency: number;
    lookEveryMs: number;
    renewEveryMs: number;
    /** Takes up to `count`, which is at least one; fewer: there are no more at present. */
    claim: (count: number) => Promise<readonly Claimed[]>;
    renew: (leases: readonly string[]) => Promise<void>;
    /** Gives the lease up at its end. One that rejects leaves it to run out. */
    work: (claimed: Claimed) => Promise<void>;
    /** Nothing was claimed, or no lease was renewed; with what was `claimed`: its work was left undone. */
    onError: (error: unknown, during: 'claim' | 'renew' | 'work', claimed?: Claimed) => void;
  },
): LeasedWork {
  const { concurrency, lookEveryMs } = of;
  const wakeups = createWakeups(clock);
  const look = () => wakeups.wake('');
  /** By lease. */
  const underWay = new Map<string, Promise<void>>();

  const begin = (claimed: Claimed) => {
    const end = of
      .work(claimed)
      .catch((error: unknown) => of.onError(error, 'work', claimed))
      .finally(() => {
        underWay.delete(claimed.lease);
        look();
      });
    underWay.set(claimed.lease, end);
  };
  const take = async (): Promise<boolean> => {
    const free = concurrency - underWay.size;
    // From before the look, which may just miss what is news during it. `stop` is news, too.
    const told = wakeups.wait('', lookEveryMs * (0.75 + clock.random() / 2));
    const claimed = free > 0 ? await of.claim(free) : [];
    for (const one of claimed) begin(one);
    if (claimed.length < free || free <= 0) await told;
    return true;
  };
  const renew = async (): Promise<boolean> => {
    if (underWay.size > 0) await of.renew([...underWay.keys()]);
    return false;
  };
  const taking = createBackground(clock, lookEveryMs, take, (error) => of.onError(error, 'claim'));
  const renewing = createBackground(clock, of.renewEveryMs, renew, (error) => of.onError(error, 'renew'));
  return {
    news: { notified: look, connected: look },
    start() {
      taking.start();
      renewing.start();
    },
    async stop() {
      const taken = taking.stop();
      look();
      await taken;
      await Promise.all(underWay.values());
      await renewing.stop();
    },
  };
}
