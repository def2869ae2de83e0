import { describe, expect, it } from 'vitest';
import { createAlarms } from '../../src/calls/alarms.ts';
import {
  AttemptCut,
  Closing,
  DeadlineReached,
  Life,
  NoTurn,
  outwards,
  TimeoutReached,
} from '../../src/calls/endings.ts';
import { IntegrationError, problem } from '../../src/errors.ts';
import { manualClock } from '../support/manualClock.ts';

const grainMs = 8;

const begin = (leftMs = 1_000, signal?: AbortSignal) => {
  const clock = manualClock();
  return { clock, life: new Life(createAlarms(clock), leftMs, signal) };
};
/** Settles only when the test says so. */
const work = () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const run = (signal: AbortSignal) => {
    signals.push(signal);
    return promise;
  };
  return { run, resolve, signals };
};
/** Tells how a promise has ended, or that it has not. */
const watch = (promise: Promise<unknown>) => {
  let end: unknown = 'not yet';
  void promise.then(
    (value) => (end = value),
    (reason: unknown) => (end = reason),
  );
  return async () => {
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return end;
  };
};
const endOf = (promise: Promise<unknown>) => watch(promise)();

describe('an attempt', () => {
  it('has its time, is told when that is over, and not once it has ended', async () => {
    const { clock, life } = begin();
    const [long, short] = [work(), work()];
    const ended = life.attempt(100, short.run);
    short.resolve('answer');
    expect(await ended).toBe('answer');
    void life.attempt(300, long.run);
    await clock.advance(299);
    expect(long.signals[0]!.aborted).toBe(false);
    await clock.advance(1 + grainMs);
    expect(long.signals[0]!.reason).toBeInstanceOf(TimeoutReached);
    await clock.advance(5_000);
    expect(short.signals[0]!.aborted).toBe(false);
  });

  it('ends with the call, by the deadline or because nobody wants it any longer', async () => {
    const { clock, life } = begin(200);
    const one = work();
    void life.attempt(10_000, one.run);
    await clock.advance(200 + grainMs);
    expect(one.signals[0]!.reason).toBeInstanceOf(DeadlineReached);

    const leaving = new AbortController();
    const other = begin(200, leaving.signal);
    const two = work();
    void other.life.attempt(10_000, two.run);
    leaving.abort('left');
    expect(two.signals[0]!.reason).toBe('left');
  });

  it('that has ended is not told so when the call ends', async () => {
    const { clock, life } = begin();
    const one = work();
    one.resolve('answer');
    await life.attempt(10_000, one.run);
    await clock.advance(1_000 + grainMs);
    expect(one.signals[0]!.aborted).toBe(false);
  });

  it('right after other work ends with the call all the same', async () => {
    const { clock, life } = begin();
    const one = work();
    await life.during(Promise.resolve());
    void life.attempt(10_000, one.run);
    await clock.advance(1_000 + grainMs);
    expect(one.signals[0]!.reason).toBeInstanceOf(DeadlineReached);
  });

  it('is not begun once the call has ended, whatever else ends it afterwards', async () => {
    const { clock, life } = begin(-5);
    await clock.advance(grainMs);
    life.close();
    const late = work();
    expect(await endOf(life.attempt(1_000, late.run))).toBeInstanceOf(DeadlineReached);
    expect(await endOf(life.pause(clock, 10))).toBeInstanceOf(DeadlineReached);
    expect(await endOf(life.during(late.run(new AbortController().signal)))).toBeInstanceOf(DeadlineReached);
    expect(late.signals).toHaveLength(1);
    expect(clock.sleeping()).toBe(0);
  });

  it('is not begun where nobody wanted it from the start', async () => {
    const { life } = begin(1_000, AbortSignal.abort('never wanted'));
    expect(await endOf(life.attempt(1_000, work().run))).toBe('never wanted');
  });
});

describe('closing', () => {
  it('lets what was sent end, and nothing else begin', async () => {
    const { clock, life } = begin();
    const sent = work();
    const ended = life.attempt(1_000, sent.run);
    life.close();
    expect(sent.signals[0]!.aborted).toBe(false);
    sent.resolve('answer');
    expect(await ended).toBe('answer');
    expect(await endOf(life.pause(clock, 10))).toBeInstanceOf(Closing);
  });

  it('ends what waits, before an attempt and after one', async () => {
    const { clock, life } = begin();
    const another = begin();
    const before = watch(another.life.pause(another.clock, 500));
    another.life.close();
    expect(await before()).toBeInstanceOf(Closing);
    const first = work();
    first.resolve('failed');
    await life.attempt(1_000, first.run);
    const pausing = watch(life.pause(clock, 500));
    life.close();
    expect(await pausing()).toBeInstanceOf(Closing);
    expect(first.signals[0]!.aborted).toBe(false);
  });
});

describe('a pause', () => {
  it('is over in its time, or when the call ends, and leaves no timer', async () => {
    const { clock, life } = begin();
    const whole = watch(life.pause(clock, 300));
    await clock.advance(299);
    expect(await whole()).toBe('not yet');
    await clock.advance(1);
    expect(await whole()).toBeUndefined();
    const cut = watch(life.pause(clock, 60_000));
    await clock.advance(700 + grainMs);
    expect(await cut()).toBeInstanceOf(DeadlineReached);
    expect(clock.sleeping()).toBe(0);
  });
});

describe('work during a call', () => {
  it('gives its result, or its error, or is given up', async () => {
    const { clock, life } = begin();
    expect(await life.during(Promise.resolve('done'))).toBe('done');
    expect(await endOf(life.during(Promise.reject(new Error('broken'))))).toMatchObject({
      message: 'broken',
    });
    const forever = watch(life.during(new Promise(() => undefined)));
    await clock.advance(1_000 + grainMs);
    expect(await forever()).toBeInstanceOf(DeadlineReached);
  });
});

describe('a call that is over', () => {
  it('is ended by nothing', async () => {
    const leaving = new AbortController();
    begin().life.over();
    const { clock, life } = begin(1_000, leaving.signal);
    life.over();
    const pausing = watch(life.pause(clock, 5_000));
    await clock.advance(4_000);
    leaving.abort('left');
    expect(await pausing()).toBe('not yet');
    await clock.advance(1_000);
    expect(await pausing()).toBeUndefined();
  });
});

describe('outwards', () => {
  const now = Date.UTC(2026, 10, 30);
  const failure = (message: string) =>
    new IntegrationError(problem('PROVIDER_ERROR', message, new Date(now)), { provider: 'x' });
  const [last, refusal] = [failure('The attempt before.'), failure('No turn.')];
  const unwanted = AbortSignal.abort(new Error('left'));
  const other = new Error('other');

  it.each([
    ['the deadline after an attempt', new DeadlineReached(), last, last],
    ['no turn after an attempt', new NoTurn(refusal), last, last],
    ['no turn', new NoTurn(refusal), undefined, refusal],
    ['anything else', other, last, other],
  ])('tells of %s', (_, error, before, told) => {
    expect(outwards(error, before, unwanted, now)).toBe(told);
  });

  it.each([
    [
      'the deadline',
      new DeadlineReached(),
      undefined,
      'DEADLINE_EXCEEDED',
      /did not answer in the time/,
      false,
    ],
    [
      'the deadline in an attempt',
      new AttemptCut(),
      last,
      'DEADLINE_EXCEEDED',
      /did not answer in the/,
      true,
    ],
    ['closing', new Closing(), last, 'QUEUE_FULL', /shutting down/, false],
    ['nobody waiting', unwanted.reason as Error, last, 'DEADLINE_EXCEEDED', /^Nobody waits/, false],
  ] as const)('makes a problem of %s', (_, error, before, code, message, sent) => {
    const told = outwards(error, before, unwanted, now) as IntegrationError;
    expect(told).toBeInstanceOf(IntegrationError);
    expect(told.problem).toMatchObject({ code, message: expect.stringMatching(message) as string });
    expect(told.sent).toBe(sent);
  });
});
