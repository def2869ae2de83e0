import { mergeConfig } from 'vitest/config';
import common from '../../vitest.config.ts';

/** The long fault runs, one at a time: `npm run test:chaos`. */
export default mergeConfig(
  { ...common, test: { ...common.test, include: [] } },
  {
    root: new URL('../..', import.meta.url).pathname,
    test: { include: ['test/chaos/*.chaos.ts'], maxWorkers: 1, fileParallelism: false },
  },
);
