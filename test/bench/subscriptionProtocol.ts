export type Way = 'raw ws' | 'graphql-ws' | 'ours';

export interface Memory {
  heapBytes: number;
  rssBytes: number;
}

/** On the clock that all processes of a machine share, in ms. */
export const sharedNow = () => performance.timeOrigin + performance.now();
