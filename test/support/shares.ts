import { readdirSync } from 'node:fs';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * How the test files share worker processes. To begin a process, load the modules and warm both up takes longer than
 * most files: those of a folder run one after the other in the same few processes, with the databases that the ones before
 * have used. Not all in the same ones: what tests leave behind adds up.
 *
 * Each of these has a process of its own: they take longest, and are begun first, or one worker would be at it when the
 * others are done; or they weigh their own process. Those that mostly wait stand among those that keep a processor busy.
 */
const apart = [
  'sync/soak',
  'ops/commands',
  'oauth/processes',
  'processes',
  'webhooks/deliver',
  'db/migrate',
  'db/embedded',
  'sync/lists',
  'db/accountConditions',
  'server',
  'webhooks/abuse',
  'sync/poll',
  'ops/rotationUnderLoad',
  'ops/doctor',
  'webhooks/processes',
  'contract/providers',
  'connections/authorize',
  'webhooks/kills',
  'oauth/refresh',
  'vendor/run',
  'guard/fuzz',
  'drain',
  'resolvers/crossing',
  'sync/outages',
  'oauth/outage',
  'guard/guard',
  'subscriptions/recovery',
  'execution/executor',
];
/** They need a quiet machine, and come last. */
const quiet = ['overload', 'edgeLoad', 'calls/sharedOnPostgres'];

const pathOf = (name: string) => `test/${name}.test.ts`;
const own = [...apart, ...quiet].map(pathOf);
const folders = readdirSync(new URL('..', import.meta.url), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** A project's name, its files and those of them that are another's. */
export const shares: readonly { name: string; include: string[]; exclude: string[]; isolate: boolean }[] = [
  { name: 'apart', include: own, exclude: [], isolate: true },
  { name: 'whole', include: ['test/*.test.ts'], exclude: own, isolate: false },
  ...folders.map((name) => ({
    name,
    include: [`test/${name}/**/*.test.ts`],
    exclude: own,
    isolate: false,
  })),
];

export class InShares extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const of = (names: readonly string[]) =>
        names.findIndex((name) => moduleId.endsWith(`/${pathOf(name)}`));
      if (of(quiet) >= 0) return apart.length + 1;
      return of(apart) < 0 ? apart.length : of(apart);
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}
