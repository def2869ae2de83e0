import { carrierReads } from './carrierReads.ts';
import { listReads } from './listReads.ts';
import type { Operation } from './operation.ts';
import { requests } from './requests.ts';

export const operations: Readonly<Record<string, Operation>> = {
  ...carrierReads,
  ...listReads,
  ...requests,
};

/** In any case, as the stack takes it. */
export function findOperation(name: string): (Operation & { name: string }) | undefined {
  const found = Object.entries(operations).find(([one]) => one.toLowerCase() === name.toLowerCase());
  return found && { name: found[0], ...found[1] };
}
