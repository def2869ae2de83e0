import type { Answer } from './operations.ts';

/** The errors with which a subscription ends where there is no close code to tell it. */
export const expired: Answer = {
  errors: [{ message: 'The token has expired.', extensions: { code: 'UNAUTHENTICATED' } }],
};

export const tooSlow = (cursor: string): Answer => ({
  errors: [{ message: `Too slow: resume after ${cursor}`, extensions: { code: 'TOO_SLOW', cursor } }],
});
