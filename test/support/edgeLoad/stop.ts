/**
 * Processes that are told to stop while they are at work: what their clients notice, how they end, and what is left of
 * them in the database.
 */
import type { Product } from '../product.ts';
import { errorsIn, gather, leasesIn, settledIn } from './aftermath.ts';
import type { GoodReport } from './goodTraffic.ts';
import { openSurroundings, type Surroundings } from './surroundings.ts';

export interface StopResult {
  exitCodes: (number | null)[];
  slowestExitMs: number;
  /** Good answers in the second before the signal, in each round. */
  perSecond: number[];
  /** Requests that were answered, acknowledged webhooks among them. */
  answered: number;
  acknowledged: number;
  /** Connects that nobody listened to; nothing was lost by them. */
  refused: number;
  /** Requests that were sent and never answered, by why; answers that are not 200. */
  cut: Record<string, number>;
  unacknowledged: Record<string, number>;
  ends: GoodReport['ends'];
  wrong: string[];
  /** Acknowledged and not stored; stored twice; leases that a process which had ended still held. */
  lost: number;
  doubled: number;
  leases: number;
  logged: string[];
}

export interface StopOptions {
  rounds: number;
  seed: number;
  requestsPerSecond: number;
  /** At work for so long before it is told to stop. */
  warmMs: number;
  followers: { sockets: number; streams: number; callbacks: number };
  log?: (line: object) => void;
}

/** One process after the other, each ended by SIGTERM at full load. */
export async function stopUnderLoad(options: StopOptions): Promise<StopResult> {
  const result: StopResult = {
    ...{
      exitCodes: [],
      slowestExitMs: 0,
      perSecond: [],
      answered: 0,
      acknowledged: 0,
      refused: 0,
      cut: {},
      unacknowledged: {},
    },
    ends: { sockets: {}, streams: {}, callbacks: {} },
    ...{ wrong: [], lost: 0, doubled: 0, leases: 0, logged: [] },
  };
  const surroundings = await openSurroundings({ products: 1, seed: options.seed });
  try {
    const database = await surroundings.processes.look();
    let [product] = surroundings.products as [Product];
    for (let round = 1; round <= options.rounds; round++) {
      const { ended, perSecond, report } = await stopOnce(surroundings, product, options);
      result.exitCodes.push(ended.code);
      result.perSecond.push(perSecond);
      result.slowestExitMs = Math.max(result.slowestExitMs, ended.tookMs);
      result.answered += answeredIn(report);
      result.acknowledged += report.acknowledged.length;
      result.refused += report.failures.refused;
      add(result.cut, report.failures.cut);
      add(result.unacknowledged, report.failures.answers);
      for (const of of ['sockets', 'streams', 'callbacks'] as const) add(result.ends[of], report.ends[of]);
      result.wrong.push(...report.wrong, ...report.failures.samples);
      result.leases += await leasesIn(database);
      const { lost, doubled } = await settledIn(database, report.acknowledged);
      result.lost += lost;
      result.doubled += doubled;
      result.logged.push(...errorsIn(product));
      options.log?.({ round, ...ended, perSecond, ...report.failures, ends: report.ends });
      if (round < options.rounds) product = await surroundings.processes.start();
    }
    return result;
  } finally {
    await surroundings.close();
  }
}

async function stopOnce(surroundings: Surroundings, product: Product, options: StopOptions) {
  const { begin, good, report } = surroundings;
  const { requestsPerSecond: rate, followers } = options;
  await begin({
    targets: [{ url: product.url }],
    ...{ followers, endAtRefusal: true },
    rates: { webhook: rate * 0.8, status: rate * 0.15, entities: rate * 0.05 },
  });
  await gather(surroundings, followers);
  await wait(options.warmMs);
  const before = answeredIn(await report());
  await wait(1_000);
  const perSecond = answeredIn(await report()) - before;
  await good({ do: 'stay', away: true });
  const stoppedAt = performance.now();
  const code = await product.stop();
  const ended = { code, tookMs: Math.round(performance.now() - stoppedAt) };
  await good({ do: 'settle' });
  await wait(200);
  return { ended, perSecond, report: await report() };
}

const answeredIn = ({ latencies }: GoodReport) =>
  Object.values(latencies).reduce((sum, { count }) => sum + count, 0);

function add(sums: Record<string, number>, more: Record<string, number>): void {
  for (const [key, count] of Object.entries(more)) sums[key] = (sums[key] ?? 0) + count;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
