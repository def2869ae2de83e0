import {
  contradictionsIn,
  errorsIn,
  gather,
  leasesIn,
  reportOnceTold,
  settledIn,
  unfinishedIn,
  workedOff,
  wrongEventsIn,
} from './aftermath.ts';
import type { GoodReport } from './goodTraffic.ts';
import type { StopOptions } from './stop.ts';
import { openSurroundings } from './surroundings.ts';

export interface RollResult {
  exitCodes: (number | null)[];
  slowestExitMs: number;
  acknowledged: number;
  refused: number;
  cut: Record<string, number>;
  unacknowledged: Record<string, number>;
  /** Acknowledged and not stored, or not worked off in the end; stored twice. */
  lost: number;
  doubled: number;
  unfinished: number;
  /** Records that came into being without exactly one event that says so. */
  wrongEvents: number;
  /** What followers were told, and what of it they missed or were told twice; those who do not know the last. */
  delivered: number;
  gaps: number;
  doubles: number;
  behind: number;
  /** Events of which followers know another id than the table has. */
  contradictions: number;
  ends: GoodReport['ends'];
  leases: number;
  wrong: string[];
  logged: string[];
}

/** Processes on one PostgreSQL, each ended by SIGTERM and started again on its port, one after the other, at full load. */
export async function rollUnderLoad(
  options: Omit<StopOptions, 'rounds'> & { processes: number; recordsPerSecond: number },
): Promise<RollResult> {
  const { requestsPerSecond: rate, followers } = options;
  const surroundings = await openSurroundings({ products: options.processes, seed: options.seed });
  const { processes, products, good } = surroundings;
  try {
    const rates = { webhook: rate * 0.8, status: rate * 0.15, entities: rate * 0.05 };
    await surroundings.begin({ followers, rates: { ...rates, record: options.recordsPerSecond } });
    await gather(surroundings, followers);
    const exits: { code: number | null; tookMs: number }[] = [];
    const logged: string[] = [];
    for (const [i, product] of products.entries()) {
      await wait(options.warmMs);
      const stoppedAt = performance.now();
      const code = await product.stop();
      exits.push({ code, tookMs: Math.round(performance.now() - stoppedAt) });
      logged.push(...errorsIn(product));
      products[i] = await processes.start({ PORT: new URL(product.url).port });
      options.log?.({ restarted: i, ...exits.at(-1) });
    }
    await wait(1_000);
    await good({ do: 'settle' });
    const database = await processes.look();
    await workedOff(database);
    await gather(surroundings, followers);
    const report = await reportOnceTold(surroundings);
    await good({ do: 'stay', away: true });
    logged.push(...products.flatMap(errorsIn));
    await Promise.all(products.map((product) => product.stop()));
    const { failures, told } = report;
    return {
      exitCodes: exits.map(({ code }) => code),
      slowestExitMs: Math.max(...exits.map(({ tookMs }) => tookMs)),
      acknowledged: report.acknowledged.length,
      ...{ refused: failures.refused, cut: failures.cut, unacknowledged: failures.answers },
      ...(await settledIn(database, report.acknowledged)),
      unfinished: await unfinishedIn(database),
      wrongEvents: await wrongEventsIn(database, report),
      ...{ delivered: told.delivered, gaps: told.gaps, doubles: told.doubles },
      behind: report.behind.reduce((sum, one) => sum + one.followers, 0),
      contradictions: told.contradictions + (await contradictionsIn(database, report)),
      ends: (await surroundings.report()).ends,
      leases: await leasesIn(database),
      ...{ wrong: [...report.wrong, ...failures.samples], logged },
    };
  } finally {
    await surroundings.close();
  }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
