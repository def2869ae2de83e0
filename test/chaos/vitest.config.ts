import { mergeConfig } from 'vitest/config';
import { common, globalSetup } from '../../vitest.config.ts';

/** The long fault runs, one at a time: `npm run test:chaos`. */
export default mergeConfig(common, {
  root: new URL('../..', import.meta.url).pathname,
  test: { include: ['test/chaos/*.chaos.ts'], globalSetup, maxWorkers: 1, fileParallelism: false },
});
