import type { Over } from '../identity.ts';
import type { Answer } from './operations.ts';

/** The errors with which a subscription ends where there is no close code to tell it. */
export const over: Readonly<Record<Over, Answer>> = {
  expired: unauthenticated('The token has expired.'),
  withdrawn: unauthenticated('The key that the token was signed with has been withdrawn.'),
};

function unauthenticated(message: string): Answer {
  return { errors: [{ message, extensions: { code: 'UNAUTHENTICATED' } }] };
}

export const tooSlow = (cursor: string): Answer => ({
  errors: [{ message: `Too slow: resume after ${cursor}`, extensions: { code: 'TOO_SLOW', cursor } }],
});
