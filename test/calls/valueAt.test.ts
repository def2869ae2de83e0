import { expect, it } from 'vitest';
import { valueAt } from '../../src/calls/valueAt.ts';

const answer = { data: [{ id: 7 }, { id: 8, 'a.b': { 'c.d': 'deep' } }], none: null, text: 'abc' };

it.each([
  ['data.0.id', 7],
  ['data.1.id', 8],
  [String.raw`data.1.a\.b.c\.d`, 'deep'],
  ['none', null],
  ['text', 'abc'],
])('leads %s to its value', (path, value) => {
  expect(valueAt(answer, path)).toBe(value);
});

it.each([
  // what is not there
  ['another'],
  ['another.id'],
  ['data.2.id'],
  ['data.1.a.b'],
  // what is nothing to go into
  ['none.id'],
  ['text.0'],
  // what every object has
  ['constructor'],
  ['data.map'],
  [''],
])('finds nothing at %j', (path) => {
  expect(valueAt(answer, path)).toBeUndefined();
});

it('finds nothing in an answer that is no object', () => {
  expect(valueAt(undefined, 'id')).toBeUndefined();
  expect(valueAt('text', 'length')).toBeUndefined();
});
