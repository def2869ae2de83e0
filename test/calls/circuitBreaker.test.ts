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

  it('is not closed by calls that began before it opened', () => {
    const clock = manualClock();
    const breaker = createCircuitBreaker(clock, 15_000);
    const early = Array.from({ length: 5 }, () => breaker.admit()!);
    for (let i = 0; i < 10; i++) breaker.admit()!.failed();
    for (const permit of early) permit.succeeded();
    expect(breaker.health()).toBe('DOWN');
  });
});
