import type { HttpResponse } from '../calls/http.ts';
import type { ProviderRequest, RecordSnapshot, Target } from './provider.ts';

/**
 * How one resource's changes are read: a position says what the next request asks for, and each answer says where to
 * go on. Positions are plain JSON, so that reading goes on where a crash cut it off. Pure: nothing here waits or stores.
 */
export interface ChangeReads {
  /** Where reading begins: at what changed after `since`, or with null at everything there is. */
  begin(since: Date | null, now: Date): Position;
  request(target: Target, position: Position): ProviderRequest;
  /** Asked only for answers that `classify` lets pass. */
  parse(response: HttpResponse, position: Position): ChangePage;
  /** What is subtracted from the provider's time before it is the next `since`: late and equal times are read again. */
  overlapMs: number;
  /** Not more often than this. */
  leastIntervalMs?: number;
  /** Further back deletions are not told: then everything is read again. Default: no end. */
  lookBackMs?: number;
  /** The provider's code for a position that it has forgotten: reading begins anew. */
  lostPosition?: string;
}

export type Position = Readonly<Record<string, string | number | boolean | null>>;

export interface ChangePage {
  changes: Change[];
  /** Undefined: that was the last page. */
  next: Position | undefined;
  /** The provider's time of the answer, from which the next `since` is counted; null where it gives none. */
  at: Date | null;
  /** All pages together have every record there is: what they do not have no longer exists. */
  isWhole: boolean;
}

/** `snapshot` undefined: it changed, and has to be read. */
export type Change =
  | { kind: 'UPSERTED'; externalId: string; snapshot?: RecordSnapshot }
  | { kind: 'DELETED'; externalId: string; deletedAt: Date | null };
