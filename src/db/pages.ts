/** Keyset pages: stable while rows are added, and as cheap at the end of a table as at its start. */

export interface PageRequest {
  /** 1 to 100. */
  first: number;
  /** The position that the page starts after, as `encodeCursor` made it. */
  after: string | null;
}

export interface Page<T> {
  nodes: T[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
}

/** `rows`: up to `first + 1` of them; the one too many tells that there is a next page. */
export function pageOf<T>(rows: readonly T[], request: PageRequest, positionOf: (row: T) => string): Page<T> {
  const nodes = rows.slice(0, request.first);
  const [start, end] = [nodes[0], nodes.at(-1)];
  return {
    nodes,
    pageInfo: {
      hasNextPage: rows.length > nodes.length,
      hasPreviousPage: request.after !== null,
      startCursor: start === undefined ? null : encodeCursor(positionOf(start)),
      endCursor: end === undefined ? null : encodeCursor(positionOf(end)),
    },
  };
}

export const encodeCursor = (position: string): string => Buffer.from(position).toString('base64url');

/** Undefined for text that `encodeCursor` cannot have made. */
export function decodeCursor(cursor: string): string | undefined {
  const position = Buffer.from(cursor, 'base64url').toString();
  return encodeCursor(position) === cursor ? position : undefined;
}
