import type { ChangePage, ChangeReads, Position } from './changes.ts';
import { asObject, jsonIn } from './httpFaults.ts';
import { call, methods, nextCursor, snapshotsIn } from './slackRequests.ts';

/**
 * Slack tells changes by event only. Asked, it lists everything, a page at a time: what the whole list does not have
 * is gone. Deactivated users and archived channels stay in it, and say so themselves.
 */
export function slackChanges(resource: string): ChangeReads {
  const { one, list, listed } = methods[resource]!;
  return {
    overlapMs: 0,
    begin: () => ({ cursor: null }),
    request: (target, position) =>
      list === undefined
        ? call(target, one)
        : call(target, list, {
            limit: pageSize,
            ...listed,
            ...(typeof position.cursor === 'string' && { cursor: position.cursor }),
          }),
    parse(response): ChangePage {
      const changes = snapshotsIn(asObject(jsonIn(response.body)), resource).map((snapshot) => ({
        kind: 'UPSERTED' as const,
        externalId: snapshot.externalId,
        snapshot,
      }));
      const cursor = nextCursor(response);
      const next: Position | undefined = cursor === undefined ? undefined : { cursor };
      return { changes, next, at: null, isWhole: true };
    },
    lostPosition: 'invalid_cursor',
  };
}

/** "Under 1,000"; Slack recommends no more than 200, so that an answer takes no longer than its patience. */
const pageSize = '200';
