import type { Caller } from '../calls/caller.ts';
import type { Clock } from '../clock.ts';
import { toStored } from '../db/problems.ts';
import type { IntegrationProblem, ProblemCode } from '../errors.ts';
import type { Outcome, WaitingDelivery } from './deliveryRows.ts';

/** What becomes of a delivery that was worked off, or could not be. */
export interface Outcomes {
  done(delivery: WaitingDelivery): Outcome;
  /** @param wasSent whether the provider was asked at all */
  failed(
    delivery: WaitingDelivery,
    cause: IntegrationProblem,
    integrationId: string,
    wasSent?: boolean,
  ): Outcome;
}

const mostAttempts = 5;
/** What trying again cannot mend is given up soon. */
const pausesMs = [1_000, 2_000, 4_000, 8_000];
/** 24 minutes in all: where calls are few no breaker opens, and a short outage is not to end what it befalls. */
const outagePausesMs = [5_000, 30_000, 180_000, 1_200_000];

/** Nothing of them is the delivery's fault. */
const blameless: ReadonlySet<ProblemCode> = new Set([
  'RATE_LIMITED',
  'QUEUE_FULL',
  'CIRCUIT_OPEN',
  'REAUTHORIZATION_REQUIRED',
  'NOT_CONNECTED',
  'NOT_CONFIGURED',
]);

export function createOutcomes(clock: Clock, caller: Pick<Caller, 'breakerState'>): Outcomes {
  return {
    done: (delivery) => ({
      id: delivery.id,
      status: 'PROCESSED',
      attempts: delivery.attempts + 1,
      nextAttemptAt: null,
      problem: null,
    }),
    failed(delivery, cause, integrationId, wasSent = true) {
      // That there was no time left to ask at all is the fault of those before it in line.
      const isBlameless = blameless.has(cause.code) || (cause.code === 'DEADLINE_EXCEEDED' && !wasSent);
      const counts = !isBlameless && !(cause.retryable && caller.breakerState(integrationId) !== 'closed');
      const attempts = delivery.attempts + (counts ? 1 : 0);
      const isDead = counts && attempts >= mostAttempts;
      const pauses = cause.retryable ? outagePausesMs : pausesMs;
      const pauseMs = pauses[Math.min(delivery.attempts, pauses.length - 1)]!;
      const waitMs = Math.max(pauseMs * (0.75 + clock.random() / 2), (cause.retryAfterSeconds ?? 0) * 1_000);
      return {
        id: delivery.id,
        status: isDead ? 'DEAD' : 'FAILED',
        attempts,
        nextAttemptAt: isDead ? null : new Date(clock.now() + waitMs),
        problem: toStored(cause),
      };
    },
  };
}
