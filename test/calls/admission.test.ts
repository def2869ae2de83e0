import { describe, expect, it } from 'vitest';
import { createAdmission, type Run, type Turn } from '../../src/calls/admission.ts';
import { createAlarms } from '../../src/calls/alarms.ts';
import type { Call } from '../../src/calls/call.ts';
import { createCircuitBreaker } from '../../src/calls/circuitBreaker.ts';
import { Closing, DeadlineReached, Life, NoTurn } from '../../src/calls/endings.ts';
import { createRateLimiter } from '../../src/calls/rateLimit.ts';
import type { Bucket } from '../../src/calls/window.ts';
import type { IntegrationError } from '../../src/errors.ts';
import { manualClock } from '../support/manualClock.ts';

const slow: Bucket = { key: 'slow', limit: 1, windowMs: 10_000 };
const cap: Bucket = { key: 'cap', limit: 1, windowMs: 0 };
const wide: Bucket = { key: 'wide', limit: 100, windowMs: 1_000 };
/** How long the one call of a `slow` bucket holds it. */
const heldMs = 10_007;

const open = () => {
  const clock = manualClock();
  const limiter = createRateLimiter(clock);
  const alarms = createAlarms(clock);
  const admission = createAdmission(clock, limiter, { perBucket: 3, total: 5 });
  const run = (leftMs: number, more: Partial<Call> = {}, answerMs = 0): Run => ({
    call: {
      ...{
        integration: 'x',
        host: 'api.example',
        buckets: [slow],
        priority: 'interactive',
        idempotent: true,
      },
      deadlineAtMs: clock.now() + leftMs,
      request: () => expect.unreachable(),
      classify: () => expect.unreachable(),
      ...more,
    },
    breaker: createCircuitBreaker(clock, 2_000),
    life: new Life(alarms, leftMs, undefined),
    usual: { answerMs },
    ...{ waitedMs: 0, attempts: 0, requestId: undefined, last: undefined },
  });
  const take = (bucket: Bucket) => admission.turn(run(60_000, { buckets: [bucket] })) as Turn;
  return { clock, limiter, admission, run, take };
};
const openBreaker = ({ breaker }: Run) => {
  while (breaker.refusedForMs() === 0) breaker.admit()!.failed();
};
const thrown = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it was let through');
};
const refusalOf = (error: unknown) => {
  expect(error).toBeInstanceOf(NoTurn);
  return (error as NoTurn).refusal.problem;
};
/** Tells how it ended, or that it has not. */
const watch = (turn: Turn | Promise<Turn>) => {
  let end: unknown = 'waits';
  void (turn as Promise<Turn>).then(
    (taken) => (end = taken),
    (error: unknown) => (end = error),
  );
  return async () => {
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return end;
  };
};
const crowded = 'Too many calls are waiting for this provider.';

describe('a turn', () => {
  it('is taken at once, with leave of the breaker, where nobody stands before it', () => {
    const { limiter, take } = open();
    const { slot, permit } = take(slow);
    expect(slot.usable()).toBe(true);
    permit.succeeded();
    expect(limiter.view([slow])?.remaining).toBe(0);
  });

  it('is waited for, and how long that took is known', async () => {
    const { clock, admission, run, take } = open();
    await clock.advance(3_600_000);
    take(slow).slot.ended();
    const waiting = run(60_000);
    const end = watch(admission.turn(waiting));
    await clock.advance(heldMs - 10);
    expect(await end()).toBe('waits');
    expect(admission.turns.depth().get('x')).toEqual([1, 0, 0, 0]);
    await clock.advance(20);
    const { slot, permit } = (await end()) as Turn;
    expect(slot.usable()).toBe(true);
    permit.succeeded();
    expect(waiting.waitedMs).toBeCloseTo(heldMs, -1);
    expect(admission.turns.queued([slow])).toBe(0);
    // It is not the wait any longer that the call’s end would end.
    await clock.advance(60_000);
    expect(waiting.waitedMs).toBeCloseTo(heldMs, -1);
  });

  it('is refused while the breaker is open, whatever the limits are', () => {
    const { limiter, admission, run } = open();
    const refused = run(60_000);
    openBreaker(refused);
    const { problem, provider } = thrown(() => admission.turn(refused)) as IntegrationError;
    expect(problem).toMatchObject({
      ...{ code: 'CIRCUIT_OPEN', message: 'The provider is failing; calls are held back.' },
      retryAfterSeconds: Math.ceil(refused.breaker.refusedForMs() / 1_000),
    });
    expect(provider).toBe('x');
    expect(limiter.view([slow])?.remaining).toBe(1);
  });

  it('is refused where the provider has told us to stay away for longer than there is time', async () => {
    const { limiter, admission, run } = open();
    limiter.pause([slow], 30_500);
    expect(refusalOf(thrown(() => admission.turn(run(30_499))))).toMatchObject({
      ...{ code: 'RATE_LIMITED', message: 'The provider asked us to wait.', retryAfterSeconds: 31 },
    });
    expect(await watch(admission.turn(run(30_500)))()).toBe('waits');
  });

  it('is refused where it cannot come in time, with the usual time of an answer', async () => {
    const { admission, run, take } = open();
    take(slow).slot.ended();
    expect(refusalOf(thrown(() => admission.turn(run(heldMs - 1))))).toMatchObject({
      ...{ code: 'DEADLINE_EXCEEDED', message: crowded, retryAfterSeconds: 11 },
    });
    expect(refusalOf(thrown(() => admission.turn(run(heldMs + 900, {}, 1_000))))).toMatchObject({
      ...{ code: 'DEADLINE_EXCEEDED', retryAfterSeconds: 11 },
    });
    expect(await watch(admission.turn(run(heldMs + 1_100, {}, 1_000)))()).toBe('waits');
    // Where nobody can tell how long it takes, it may come at once.
    take(cap);
    expect(await watch(admission.turn(run(10, { buckets: [cap] }, 5_000)))()).toBe('waits');
  });

  it('is refused where too many wait', async () => {
    const { admission, run, take } = open();
    take(cap);
    const ends = [1, 2, 3].map(() => watch(admission.turn(run(60_000, { buckets: [cap] }))));
    expect(refusalOf(thrown(() => admission.turn(run(60_000, { buckets: [cap] }))))).toMatchObject({
      ...{ code: 'QUEUE_FULL', message: crowded, retryAfterSeconds: 1 },
    });
    expect(await ends[0]!()).toBe('waits');
    take(slow).slot.ended();
    void watch(admission.turn(run(600_000)));
    void watch(admission.turn(run(600_000)));
    expect(refusalOf(thrown(() => admission.turn(run(600_000))))).toMatchObject({
      ...{ code: 'QUEUE_FULL', retryAfterSeconds: 31 },
    });
  });
});

describe('who waits for a turn', () => {
  it('leaves when the call ends', async () => {
    const { clock, admission, run, take } = open();
    take(cap);
    const [late, closed] = [run(500, { buckets: [cap] }), run(60_000, { buckets: [cap] })];
    const [lateEnd, closedEnd] = [watch(admission.turn(late)), watch(admission.turn(closed))];
    await clock.advance(508);
    expect(await lateEnd()).toBeInstanceOf(DeadlineReached);
    expect(late.waitedMs).toBeGreaterThanOrEqual(500);
    expect(admission.turns.queued([cap])).toBe(1);
    closed.life.close();
    expect(await closedEnd()).toBeInstanceOf(Closing);
    expect(admission.turns.queued([cap])).toBe(0);
  });

  it('is told when the breaker opens, or the provider tells us to stay away for too long', async () => {
    const { limiter, admission, run, take } = open();
    take(cap);
    const [failing, told, patient] = [1, 2, 3].map(() => run(5_000, { buckets: [cap, wide] })) as [
      Run,
      Run,
      Run,
    ];
    patient.call = { ...patient.call, deadlineAtMs: patient.call.deadlineAtMs + 60_000 };
    const ends = [failing, told, patient].map((one) => watch(admission.turn(one)));
    openBreaker(failing);
    admission.turns.recheck();
    expect(await ends[0]!()).toMatchObject({ problem: { code: 'CIRCUIT_OPEN' } });
    expect(await ends[1]!()).toBe('waits');
    limiter.pause([wide], 20_000);
    admission.turns.recheck();
    expect(refusalOf(await ends[1]!())).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: 20 });
    expect(await ends[2]!()).toBe('waits');
  });

  describe('when there is no time for an answer any longer', () => {
    const afterWaiting = async (waitedMs: number) => {
      const { clock, admission, run, take } = open();
      await clock.advance(3_600_000);
      const { slot } = take(cap);
      const waiting = run(1_000, { buckets: [cap] });
      const ended = watch(admission.turn(waiting));
      waiting.usual.answerMs = 2_500;
      await clock.advance(waitedMs);
      slot.ended();
      return ended();
    };

    it('may try all the same after hardly any wait', async () => {
      expect(((await afterWaiting(100)) as Turn).slot.usable()).toBe(true);
    });

    it('would use up a turn for nothing after a longer one', async () => {
      expect(refusalOf(await afterWaiting(101))).toMatchObject({
        ...{ code: 'DEADLINE_EXCEEDED', message: crowded, retryAfterSeconds: 3 },
      });
    });
  });
});
