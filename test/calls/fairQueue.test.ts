import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAgeing, createFairQueue, patience, type Place } from '../../src/calls/fairQueue.ts';

/** The queue as its head describes it: each level a list of those in the round, each with the list of its calls. */
function plainQueue() {
  const rounds = patience.map(() => [] as { who: string; calls: number[] }[]);
  const of = (level: number, who: string) => rounds[level]!.find((one) => one.who === who);
  return {
    add(call: number, level: number, who: string) {
      const own = of(level, who);
      if (own) own.calls.push(call);
      else rounds[level]!.push({ who, calls: [call] });
    },
    remove(call: number, level: number, who: string, served: boolean) {
      const own = of(level, who);
      if (!own?.calls.includes(call)) return;
      own.calls = own.calls.filter((one) => one !== call);
      const others = rounds[level]!.filter((one) => one !== own);
      if (own.calls.length === 0) rounds[level] = others;
      else if (served) rounds[level] = [...others, own];
    },
    peek: (level: number) => rounds[level]![0]?.calls[0],
    all: () => rounds.flatMap((round) => round.flatMap(({ calls }) => calls)).toSorted((a, b) => a - b),
    sizeOf: (level: number) => rounds[level]!.reduce((sum, { calls }) => sum + calls.length, 0),
  };
}

describe('a fair queue', () => {
  it('agrees with its plain description after any comings and goings', () => {
    const who = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), level: fc.nat(3), who }),
      fc.record({ kind: fc.constant('serve' as const), level: fc.nat(3) }),
      fc.record({ kind: fc.constant('leave' as const), which: fc.nat(200), served: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const queue = createFairQueue<number>();
        const plain = plainQueue();
        const known: { place: Place<number>; who: string }[] = [];
        const remove = ({ place, who: whose }: (typeof known)[number], served: boolean) => {
          queue.remove(place, served);
          plain.remove(place.item, place.level, whose, served);
        };
        for (const one of steps) {
          if (one.kind === 'add') {
            plain.add(known.length, one.level, one.who);
            known.push({ place: queue.add(known.length, one.level, one.who), who: one.who });
          }
          if (one.kind === 'serve') {
            const next = queue.peek(one.level);
            if (next) remove(known[next.item]!, true);
          }
          // Some of these have left long ago.
          if (one.kind === 'leave' && known.length > 0) remove(known[one.which % known.length]!, one.served);
          expect(patience.map((_, level) => queue.peek(level)?.item)).toEqual(
            patience.map((_, level) => plain.peek(level)),
          );
          expect([...queue.all()].map(({ item }) => item).toSorted((a, b) => a - b)).toEqual(plain.all());
          expect(patience.map((_, level) => queue.sizeOf(level))).toEqual(
            patience.map((_, level) => plain.sizeOf(level)),
          );
          expect(queue.size).toBe(plain.all().length);
        }
      }),
      { numRuns: 1_000, seed: 20261123 },
    );
  });

  it('lets everybody be looked at while those looked at leave', () => {
    const queue = createFairQueue<number>();
    for (let i = 0; i < 100; i++) queue.add(i, i % 4, `c${i % 7}`);
    const seen: number[] = [];
    for (const place of queue.all()) {
      seen.push(place.item);
      queue.remove(place, false);
    }
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(queue.size).toBe(0);
  });

  it('counts as surely ahead no more than go first in truth, when nobody else comes or leaves', () => {
    const calls = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 });
    fc.assert(
      fc.property(calls, fc.constantFrom('a', 'b', 'new'), fc.nat(10), (whose, who, servedBefore) => {
        const queue = createFairQueue<string>();
        const serve = () => {
          const next = queue.peek(1);
          if (next) queue.remove(next, true);
          return next;
        };
        for (const one of whose) queue.add(one, 1, one);
        for (let i = 0; i < servedBefore; i++) serve();
        const ahead = queue.ahead(1, who);
        const mine = queue.add('mine', 1, who);
        let before = 0;
        while (serve() !== mine) before++;
        expect(ahead).toBeLessThanOrEqual(before);
      }),
      { numRuns: 1_000, seed: 20261123 },
    );
  });
});

describe('ageing', () => {
  it('never lets more urgent ones pass a level more often than it has patience, whoever comes and goes', () => {
    const present = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(present, { minLength: 1, maxLength: 300 }), (turns) => {
        const ageing = createAgeing();
        const passed = patience.map(() => 0);
        for (const here of turns) {
          const chosen = ageing.next((level) => here[level]!);
          expect(chosen === undefined).toBe(!here.includes(true));
          if (chosen === undefined) continue;
          expect(here[chosen]).toBe(true);
          passed[chosen] = 0;
          for (let level = chosen + 1; level < 4; level++) if (here[level]) passed[level]!++;
          for (const [level, most] of patience.entries())
            expect(level === 0 ? 0 : passed[level]).toBeLessThanOrEqual(most);
          expect(patience.map((_, level) => ageing.passed(level))).toEqual(passed);
        }
      }),
      { numRuns: 500, seed: 20261123 },
    );
  });

  it('leaves the most urgent most of the turns when all levels are crowded', () => {
    const ageing = createAgeing();
    const turns = patience.map(() => 0);
    for (let i = 0; i < 10_000; i++) turns[ageing.next(() => true)!]!++;
    expect(turns[0]).toBeGreaterThan(8_000);
    expect(turns[1]).toBeGreaterThanOrEqual(10_000 / 12);
    expect(turns[2]).toBeGreaterThanOrEqual(10_000 / 23);
    expect(turns[3]).toBeGreaterThanOrEqual(10_000 / 44);
  });
});
