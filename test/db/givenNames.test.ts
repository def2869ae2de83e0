import { describe, expect, it } from 'vitest';
import { createGivenNames } from '../../src/db/givenNames.ts';

/** So many of each, one after the other; whether names are of use then. */
function after(...events: (readonly ['forgotten' | 'answered', number])[]): boolean {
  const names = createGivenNames();
  for (const [what, times] of events) for (let i = 0; i < times; i++) names[what]();
  return names.areOfUse();
}

describe('names that statements are given', () => {
  it('are of use until twenty were forgotten', () => {
    expect(after()).toBe(true);
    expect(after(['forgotten', 19])).toBe(true);
    expect(after(['forgotten', 20])).toBe(false);
    expect(after(['answered', 5_000], ['forgotten', 20])).toBe(false);
  });

  it('outlive one more for each thousand answers since the first', () => {
    const once = ['forgotten', 1] as const;
    expect(after(['forgotten', 19], ['answered', 999], once)).toBe(false);
    expect(after(['forgotten', 19], ['answered', 1_000], once)).toBe(true);
    expect(after(['forgotten', 19], ['answered', 1_000], once, once)).toBe(false);
    expect(after(['forgotten', 19], ['answered', 1_999], once, once)).toBe(false);
    expect(after(['forgotten', 19], ['answered', 2_000], once, once)).toBe(true);
    const twice = [['forgotten', 10] as const, ['answered', 500] as const, ['forgotten', 9] as const];
    expect(after(...twice, ['answered', 499], once)).toBe(false);
    expect(after(...twice, ['answered', 500], once)).toBe(true);
  });

  it('are given nothing in advance by answers while none is forgotten', () => {
    expect(after(['forgotten', 1], ['answered', 100_000], ['forgotten', 20])).toBe(false);
    expect(after(['forgotten', 1], ['answered', 100_000], ['forgotten', 19])).toBe(true);
  });

  it('are given up for good', () => {
    expect(after(['forgotten', 20], ['answered', 100_000])).toBe(false);
  });
});
