import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take longest, under `test/`: were one of them begun last, a worker would be at it when the others are done.
 * Without those that need a quiet machine: they come last anyway, being short.
 */
const slowest = [
  'sync/soak',
  'sync/lists',
  'webhooks/deliver',
  'ops/commands',
  'ops/doctor',
  'connections/authorize',
  'contract/providers',
  'db/embedded',
  'oauth/refresh',
  'oauth/tokenUse',
  'oauth/revocations',
  'webhooks/kills',
  'db/accountConditions',
  'guard/fuzz',
  'resolvers/crossing',
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
