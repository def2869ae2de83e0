import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take longest, under `test/`: were one of them begun last, a worker would be at it when the others are done.
 * Without those that need a quiet machine: they come last anyway, being short.
 */
const slowest = [
  'sync/soak',
  'ops/commands',
  'oauth/processes',
  'webhooks/processes',
  'processes',
  'server',
  'webhooks/deliver',
  'drain',
  'ops/doctor',
  'ops/rotationUnderLoad',
  'sync/lists',
  'webhooks/abuse',
  'oauth/outage',
  'db/migrate',
  'guard/fuzz',
  'webhooks/kills',
  'oauth/refresh',
  'oauth/tokenUse',
  'oauth/revocations',
  'db/accountConditions',
  'resolvers/crossing',
  'connections/authorize',
  'contract/providers',
  'db/embedded',
];

export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = slowest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return place < 0 ? slowest.length : place;
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}
