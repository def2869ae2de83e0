import type { Clock } from '../clock.ts';

/**
 * Many small writes as few large ones. No timer: what arrives while two batches are on their way goes with the next, so
 * an idle caller waits for nobody and a busy moment costs a few statements.
 */
export interface GroupCommit<Row> {
  /** Resolves when all of `rows` are stored. Rejects with `NotStored`: then they may be, or not. */
  store(rows: readonly Row[]): Promise<void>;
}

/** The queue is full, or the database did not take the rows in time: the sender should come again. */
export class NotStored extends Error {
  override readonly name = 'NotStored';
}

interface Entry<Row> {
  rows: readonly Row[];
  settled: boolean;
  resolve(): void;
  reject(error: Error): void;
}

export function createGroupCommit<Row>(options: {
  /** One batch; stores all or none. Rows come in the order in which they arrived. */
  write(rows: readonly Row[]): Promise<void>;
  /** A batch is closed once it has so many. */
  rowsAtOnce: number;
  batchesInFlight: number;
  mostWaitingRows: number;
  /** What a caller is kept waiting for. */
  patienceMs: number;
  clock: Clock;
}): GroupCommit<Row> {
  const { write, rowsAtOnce, batchesInFlight, mostWaitingRows, patienceMs, clock } = options;
  let waiting: Entry<Row>[] = [];
  let waitingRows = 0;
  let inFlight = 0;
  let scheduled = false;
  let handedOver = false;

  const take = (): Entry<Row>[] => {
    let rows = 0;
    let count = 0;
    while (count < waiting.length && rows < rowsAtOnce) rows += waiting[count++]!.rows.length;
    const batch = waiting.slice(0, count);
    waiting = waiting.slice(count);
    waitingRows -= rows;
    // Who has given up will come again.
    return batch.filter((entry) => !entry.settled);
  };
  const commit = async (batch: readonly Entry<Row>[]) => {
    let failure: NotStored | undefined;
    try {
      await write(batch.flatMap((entry) => entry.rows));
    } catch (cause) {
      failure = new NotStored('the database did not take it', { cause });
    }
    inFlight--;
    // The database has its next batch before the many who wait are answered. Once in a turn of the event loop: the embedded
    // one answers without it, and batch after batch would stop all else.
    if (handedOver) schedule();
    else {
      handedOver = true;
      begin();
    }
    setImmediate(() => {
      handedOver = false;
      for (const entry of batch)
        if (failure) entry.reject(failure);
        else entry.resolve();
    });
  };
  const begin = () => {
    while (inFlight < batchesInFlight && waiting.length > 0) {
      const batch = take();
      if (batch.length === 0) continue;
      inFlight++;
      void commit(batch);
    }
  };
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      begin();
    });
  };

  return {
    store(rows) {
      if (waitingRows + rows.length > mostWaitingRows && waitingRows > 0)
        return Promise.reject(new NotStored('too many are waiting'));
      return new Promise((resolve, reject) => {
        const settle = (then: () => void) => {
          if (entry.settled) return;
          entry.settled = true;
          cancel();
          then();
        };
        const entry: Entry<Row> = {
          rows,
          settled: false,
          resolve: () => settle(resolve),
          reject: (error) => settle(() => reject(error)),
        };
        const cancel = clock.timer(patienceMs, () => entry.reject(new NotStored('it took too long')));
        waiting.push(entry);
        waitingRows += rows.length;
        schedule();
      });
    },
  };
}
