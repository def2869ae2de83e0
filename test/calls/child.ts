/** A process that calls far too often: `child.ts <json>`. Prints when its attempts arrive, and at the end its statements. */
import type { Bucket } from '../../src/calls/caller.ts';
import { openSharer } from './sharing.ts';

const { databaseUrl, buckets, ms, times } = JSON.parse(process.argv[2]!) as {
  databaseUrl: string;
  buckets: Bucket[];
  ms: number;
  times: number;
};
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const sharer = await openSharer(databaseUrl, { onArrival: (key, at) => say(`${key} ${at}`) });
say('ready');
await new Promise((resolve) => process.stdin.once('data', resolve));
await Promise.all(buckets.map((bucket) => sharer.overload(bucket, ms, times)));
say(`statements ${sharer.statements()}`);
await sharer.close();
process.exit(0);
