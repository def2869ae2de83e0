import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCircuitBreaker } from '../../src/calls/circuitBreaker.ts';
import { manualClock } from '../support/manualClock.ts';

function broken() {
  const clock = manualClock();
  const breaker = createCircuitBreaker(clock, 15_000);
  for (let i = 0; i < 10; i++) breaker.admit()!.failed();
  return { clock, breaker };
}

describe('the circuit breaker', () => {
  it('stays closed for less than ten calls, and for less than half of them failing', () => {
    const breaker = createCircuitBreaker(manualClock(), 15_000);
    for (let i = 0; i < 9; i++) breaker.admit()!.failed();
    expect(breaker.health()).toBe('HEALTHY');
    for (let i = 0; i < 20; i++) breaker.admit()!.succeeded();
    for (let i = 0; i < 10; i++) breaker.admit()!.failed();
    expect(breaker.health()).toBe('DEGRADED');
    expect(breaker.refusedForMs()).toBe(0);
  });

  it('opens when half of the calls of the last 30 s fail, and forgets older ones', async () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 15_000);
    for (let i = 0; i < 9; i++) breaker.admit()!.failed();
    await clock.advance(31_000);
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('HEALTHY');
    for (let i = 0; i < 9; i++) breaker.admit()!.failed();
    expect(breaker.health()).toBe('DOWN');
    expect(breaker.admit()).toBeUndefined();
    expect(breaker.refusedForMs()).toBeGreaterThanOrEqual(5_000);
    expect(breaker.refusedForMs()).toBeLessThanOrEqual(10_000);
  });

  it('lets exactly one of 200 callers probe when it is half open', async () => {
    const { clock, breaker } = broken();
    await clock.advance(10_000);
    expect(breaker.health()).toBe('DEGRADED');
    const permits = Array.from({ length: 200 }, () => breaker.admit());
    expect(permits.filter(Boolean)).toHaveLength(1);
    permits.find(Boolean)!.succeeded();
    expect(breaker.health()).toBe('HEALTHY');
    expect(breaker.admit()).toBeDefined();
  });

  it('opens again when the probe fails', async () => {
    const { clock, breaker } = broken();
    await clock.advance(10_000);
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('DOWN');
  });

  it('is not wedged by a probe that is given up or never heard of again', async () => {
    const { clock, breaker } = broken();
    await clock.advance(10_000);
    breaker.admit()!.abandoned();
    const hung = breaker.admit();
    expect(hung).toBeDefined();
    expect(breaker.admit()).toBeUndefined();
    await clock.advance(15_000);
    const next = breaker.admit();
    expect(next).toBeDefined();
    hung!.failed();
    expect(breaker.admit(), 'the late report of a lost probe changes nothing').toBeUndefined();
    next!.succeeded();
    expect(breaker.health()).toBe('HEALTHY');
  });

  it('keeps its place for a probe as long as an attempt may take', async () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 60_000);
    for (let i = 0; i < 10; i++) breaker.admit()!.failed();
    await clock.advance(10_000);
    const probe = breaker.admit()!;
    await clock.advance(59_999);
    expect(breaker.admit()).toBeUndefined();
    probe.succeeded();
    expect(breaker.health()).toBe('HEALTHY');
  });

  it('is not closed by the late success of a probe whose place was given to another', async () => {
    const { clock, breaker } = broken();
    await clock.advance(10_000);
    const lost = breaker.admit()!;
    await clock.advance(15_000);
    const next = breaker.admit()!;
    lost.succeeded();
    expect(breaker.state()).toBe('halfOpen');
    next.failed();
    expect(breaker.health()).toBe('DOWN');
  });

  it('counts the first report of a call only', () => {
    const breaker = createCircuitBreaker(manualClock(), 15_000);
    const permits = Array.from({ length: 9 }, () => breaker.admit()!);
    for (const permit of permits) {
      permit.failed();
      permit.failed();
      permit.succeeded();
      permit.abandoned();
    }
    expect(breaker.health()).toBe('HEALTHY');
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('DOWN');
  });

  it('says when to ask again: when it may probe, and within a second while somebody does', async () => {
    const { clock, breaker } = broken();
    const left = breaker.refusedForMs();
    await clock.advance(left - 1);
    expect(breaker.refusedForMs()).toBe(1);
    await clock.advance(1);
    expect(breaker.refusedForMs()).toBe(0);
    breaker.admit();
    expect(breaker.refusedForMs()).toBe(1_000);
    await clock.advance(14_900);
    expect(breaker.refusedForMs()).toBe(100);
    await clock.advance(100);
    expect(breaker.refusedForMs()).toBe(0);
  });

  it('counts whole seconds, thirty of them, the present one among them', async () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 15_000);
    await clock.advance(1_000 - (clock.monotonic() % 1_000));
    for (let i = 0; i < 9; i++) breaker.admit()!.failed();
    await clock.advance(29_999);
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('DOWN');
    const other = createCircuitBreaker(clock, 15_000);
    await clock.advance(1_000 - (clock.monotonic() % 1_000));
    for (let i = 0; i < 9; i++) other.admit()!.failed();
    await clock.advance(30_000);
    other.admit()!.failed();
    expect(other.health()).toBe('HEALTHY');
  });

  it('is degraded from a fifth of failures on', () => {
    const breaker = createCircuitBreaker(manualClock(), 15_000);
    for (let i = 0; i < 8; i++) breaker.admit()!.succeeded();
    breaker.admit()!.failed();
    breaker.admit()!.succeeded();
    expect(breaker.health()).toBe('HEALTHY');
    for (let i = 0; i < 4; i++) breaker.admit()!.succeeded();
    breaker.admit()!.failed();
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('HEALTHY');
    breaker.admit()!.failed();
    expect(breaker.health()).toBe('DEGRADED');
    const other = createCircuitBreaker(manualClock(), 15_000);
    for (let i = 0; i < 8; i++) other.admit()!.succeeded();
    for (let i = 0; i < 2; i++) other.admit()!.failed();
    expect(other.health()).toBe('DEGRADED');
  });

  it('is not closed by calls that began before it opened', () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 15_000);
    const early = Array.from({ length: 5 }, () => breaker.admit()!);
    for (let i = 0; i < 10; i++) breaker.admit()!.failed();
    for (const permit of early) permit.succeeded();
    expect(breaker.health()).toBe('DOWN');
  });
});

/** The breaker as its head describes it, with a list of outcomes instead of counters. */
function reference(probeWithinMs: number) {
  let outcomes: { second: number; failed: boolean }[] = [];
  let openUntil: number | undefined;
  let probe: { id: number; until: number } | undefined;
  let ids = 0;
  const refused = (now: number) =>
    openUntil !== undefined && (now < openUntil || (probe !== undefined && now < probe.until));
  const open = (until: number) => {
    openUntil = until;
    probe = undefined;
  };
  return {
    refused,
    admit(now: number) {
      if (refused(now)) return undefined;
      const probing = openUntil !== undefined;
      const id = ids++;
      if (probing) probe = { id, until: now + probeWithinMs };
      return { id, probing };
    },
    report({ id, probing }: { id: number; probing: boolean }, how: string, now: number, openUntilMs: number) {
      if (probing) {
        if (probe?.id !== id) return;
        if (how === 'abandoned') probe = undefined;
        else if (how === 'failed') open(openUntilMs);
        else {
          openUntil = probe = undefined;
          outcomes = [];
        }
        return;
      }
      if (how === 'abandoned') return;
      const second = Math.floor(now / 1_000);
      outcomes.push({ second, failed: how === 'failed' });
      const recent = outcomes.filter((one) => one.second > second - 30);
      const failures = recent.filter((one) => one.failed).length;
      if (how === 'failed' && openUntil === undefined && recent.length >= 10 && failures * 2 >= recent.length)
        open(openUntilMs);
    },
    state: (now: number) => (openUntil === undefined ? 'closed' : now < openUntil ? 'open' : 'halfOpen'),
  };
}

describe('a breaker', () => {
  it('agrees with its plain description after any commands', () => {
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('admit' as const) }) },
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('report' as const),
          which: fc.nat(8),
          how: fc.constantFrom(
            'failed' as const,
            'failed' as const,
            'succeeded' as const,
            'abandoned' as const,
          ),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 12_000 }) }),
      },
    );
    fc.assert(
      fc.property(fc.array(command, { minLength: 20, maxLength: 120 }), (commands) => {
        let now = 0;
        const clock = { ...manualClock(), monotonic: () => now, random: () => 0.5 };
        const breaker = createCircuitBreaker(clock, 5_000);
        const model = reference(5_000);
        let agree = true;
        const open: { permit: ReturnType<typeof breaker.admit>; known: { id: number; probing: boolean } }[] =
          [];
        for (const one of commands) {
          if (one.kind === 'wait') now += one.ms;
          if (one.kind === 'admit') {
            const known = model.admit(now);
            const permit = breaker.admit();
            agree &&= (permit === undefined) === (known === undefined);
            if (known) open.push({ permit, known });
          }
          if (one.kind === 'report' && open.length > 0) {
            const [{ permit, known } = open[0]!] = open.splice(one.which % open.length, 1);
            permit![one.how]();
            model.report(known, one.how, now, now + 7_500);
          }
          expect(agree).toBe(true);
          expect(breaker.state()).toBe(model.state(now));
          expect(breaker.refusedForMs() > 0).toBe(model.refused(now));
        }
      }),
      { numRuns: 3_000, seed: 20261123 },
    );
  });
});
