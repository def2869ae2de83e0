/**
 * Good traffic beside bad, for as long as is wanted: how long the good one waits with and without the other, what becomes
 * of the bad one, and what it leaves in the processes. Each kind of traffic has a process of its own.
 */
import { readdir, readlink } from 'node:fs/promises';
import { startChild } from '../child.ts';
import type { Product } from '../product.ts';
import type { BadCommand, BadReport, BeginBad } from './badTraffic.ts';
import type { GoodReport } from './goodTraffic.ts';
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
import { openSurroundings, proofOf, tell } from './surroundings.ts';

export interface AbuseOptions {
  seed: number;
  processes: number;
  warmMs: number;
  quietMs: number;
  abuseMs: number;
  /** At the processes' memory, each time, half a second apart: what is garbage goes within some of these. */
  looks: number;
  /** A second. */
  good: { status: number; entities: number; webhook: number; record: number };
  bad: Pick<BeginBad, 'requestsPerSecond' | 'socketsPerSecond' | 'slow'>;
  followers: { sockets: number; streams: number; callbacks: number };
  log?: (line: object) => void;
}

/** Of one process. */
export interface Resources {
  residentMiB: number;
  heapMiB: number;
  sockets: number;
  handles: number;
  loopLagP99Ms: number;
  /** Of a processor, since the process began. */
  cpuSeconds: number;
}

export interface AbuseResult {
  latencies: GoodReport['latencies'];
  followed: GoodReport['followed'];
  failures: GoodReport['failures'];
  bad: { count: number; kinds: number; unexpected: BadReport['unexpected']; outcomes: BadReport['outcomes'] };
  /** Before any traffic; with good traffic, before and after the bad. */
  resources: { idle: Resources; before: Resources; after: Resources }[];
  acknowledged: number;
  lost: number;
  doubled: number;
  unfinished: number;
  wrongEvents: number;
  told: GoodReport['told'];
  behind: number;
  contradictions: number;
  wrong: string[];
  /** Good followers that were ended before anybody was told to stop. */
  endsBefore: GoodReport['ends'];
  /** One process is told to stop amid all of it: how it ends, and with it all whose lines it had. */
  stop: { code: number | null; tookMs: number; ends: GoodReport['ends']; leases: number };
  logged: string[];
}

export async function abuse(options: AbuseOptions): Promise<AbuseResult> {
  const { followers, log = () => {} } = options;
  const surroundings = await openSurroundings({ products: options.processes, seed: options.seed });
  const { products, good, secrets, customers, processes } = surroundings;
  const traffic = startChild(new URL('badTraffic.ts', import.meta.url));
  const bad = (command: BadCommand) => tell(traffic, command);
  const looks = () => Promise.all(products.map((product) => resourcesOf(product, options.looks)));
  try {
    const idle = await looks();
    await good({ do: 'phase', name: 'warm' });
    await surroundings.begin({ rates: options.good, followers });
    const proofs = {
      good: customers[0]!.headers,
      expired: await tokenOf(secrets.jwt, '-1h'),
      forged: await tokenOf('x'.repeat(40), '1h'),
    };
    const targets = products.map(({ url }) => ({ url }));
    await gather(surroundings, followers);
    await wait(options.warmMs);
    await good({ do: 'phase', name: 'quiet' });
    await wait(options.quietMs);
    const before = await looks();
    log({ phase: 'quiet is over', before });
    await good({ do: 'phase', name: 'abuse' });
    await bad({ do: 'begin', seed: options.seed, targets, proofs, ...options.bad });
    const endsAt = Date.now() + options.abuseMs;
    while (Date.now() < endsAt) {
      await wait(Math.min(60_000, endsAt - Date.now()));
      const { count, unexpected } = (await bad({ do: 'report' })) as BadReport;
      log({ leftMs: endsAt - Date.now(), bad: count, unexpected, now: await looks() });
    }
    const { count, unexpected, outcomes } = (await bad({ do: 'report' })) as BadReport;

    // The bad traffic ends, and what is left of it; the good one goes on.
    await bad({ do: 'stop' });
    await good({ do: 'phase', name: 'after' });
    await wait(Math.min(45_000, options.abuseMs / 4));
    const after = await looks();
    const endsBefore = structuredClone((await surroundings.report()).ends);

    // All of it once more: one process is told to stop amid it, and started again.
    await bad({ do: 'begin', seed: options.seed + 1, targets, proofs, ...options.bad });
    await wait(Math.min(5_000, options.abuseMs / 2));
    await good({ do: 'phase', name: 'stop' });
    const [stopping] = products as [Product];
    const stoppedAt = performance.now();
    const code = await stopping.stop();
    const tookMs = Math.round(performance.now() - stoppedAt);
    const logged = errorsIn(stopping);
    const database = await processes.look();
    const leases = options.processes === 1 ? await leasesIn(database) : 0;
    products[0] = await processes.start({ PORT: new URL(stopping.url).port });
    await bad({ do: 'stop' });
    traffic.signal('SIGKILL');
    await wait(2_000);
    await good({ do: 'settle' });
    await workedOff(database);
    await gather(surroundings, followers);
    const report = await reportOnceTold(surroundings);
    await good({ do: 'stay', away: true });
    await Promise.all(products.map((product) => product.stop()));
    logged.push(...products.flatMap(errorsIn));
    return {
      ...{ latencies: report.latencies, followed: report.followed, failures: report.failures },
      bad: { count, kinds: Object.keys(outcomes).length, unexpected, outcomes },
      resources: products.map((_, i) => ({ idle: idle[i]!, before: before[i]!, after: after[i]! })),
      acknowledged: report.acknowledged.length,
      ...(await settledIn(database, report.acknowledged)),
      unfinished: await unfinishedIn(database),
      wrongEvents: await wrongEventsIn(database, report),
      told: report.told,
      behind: report.behind.reduce((sum, one) => sum + one.followers, 0),
      contradictions: report.told.contradictions + (await contradictionsIn(database, report)),
      wrong: [...report.wrong, ...report.failures.samples],
      endsBefore,
      stop: { code, tookMs, leases, ends: report.ends },
      logged,
    };
  } finally {
    traffic.signal('SIGKILL');
    await traffic.ended;
    await surroundings.close();
  }
}

async function tokenOf(secret: string, expires: string): Promise<string> {
  const { authorization } = await proofOf({ jwt: secret, router: '' }, 'acme', expires);
  return authorization!.slice('Bearer '.length);
}

async function resourcesOf({ pid, url }: Product, count: number): Promise<Resources> {
  const looks: { heap: number; resident: number; lag: number; handles: number }[] = [];
  let cpu = NaN;
  for (let look = 0; look < count; look++) {
    const metrics = await metricsOf(url);
    const read = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(metrics)?.[1]);
    cpu = read('process_cpu_seconds_total');
    looks.push({
      heap: read('nodejs_heap_size_used_bytes'),
      resident: read('process_resident_memory_bytes'),
      lag: read('nodejs_eventloop_lag_p99_seconds'),
      handles: read('nodejs_active_handles_total'),
    });
    await wait(500);
  }
  const least = (name: keyof (typeof looks)[number]) => Math.min(...looks.map((one) => one[name]));
  const files = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')));
  return {
    residentMiB: Math.round(least('resident') / 2 ** 20),
    heapMiB: Math.round(least('heap') / 2 ** 20),
    sockets: links.filter((link) => link.startsWith('socket:')).length,
    handles: least('handles'),
    loopLagP99Ms: Math.round(Math.max(...looks.map(({ lag }) => lag)) * 1_000),
    cpuSeconds: Math.round(cpu * 10) / 10,
  };
}

/** A server that is short of processors may cut a new line before it has read from it. */
async function metricsOf(url: string): Promise<string> {
  for (let tries = 1; ; tries++)
    try {
      return await (await fetch(`${url}/metrics`)).text();
    } catch (error) {
      if (tries === 10) throw error;
      await wait(500);
    }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
