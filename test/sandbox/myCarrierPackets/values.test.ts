import { describe, expect, it } from 'vitest';
import { findDocument } from '../../../src/sandbox/myCarrierPackets/documents.ts';
import { riskLevel } from '../../../src/sandbox/myCarrierPackets/risk.ts';
import { seedPortal } from '../../../src/sandbox/myCarrierPackets/seed.ts';
import {
  day,
  eventTime,
  httpTime,
  localTime,
  parseTime,
  utcTime,
} from '../../../src/sandbox/myCarrierPackets/time.ts';

const noon = Date.UTC(2026, 0, 5, 12);

describe('a time', () => {
  it.each([
    ['2026-01-05T12:00:00', 0, noon],
    ['2026-01-05T12:00', 0, noon],
    ['2026-01-05 12:00:00', 0, noon],
    ['2026-01-05T12:00:00.1', 0, noon + 100],
    ['2026-01-05T12:00:00.1239999', 0, noon + 123],
    ['2026-01-05T12:00:00Z', -360, noon],
    ['2026-01-05T06:00:00-06:00', 0, noon],
    ['2026-01-05T06:00:00', -360, noon],
    ['2026-01-05', 0, noon - 12 * 3_600_000],
    ['1/5/2026', 0, noon - 12 * 3_600_000],
    ['01/05/2026', -360, noon - 6 * 3_600_000],
  ])('of %s, %i minutes from UTC, is read', (text, offset, ms) => {
    expect(parseTime(text, offset)).toBe(ms);
  });

  it.each([
    '',
    'yesterday',
    '2026-13-01',
    '2026-02-30',
    '2026-01-05T25:00:00',
    '2026-01-05T12:00:00.12345678',
    // A plus sign that was not escaped.
    '2026-01-05T12:00:00 02:00',
    '13/01/2026',
    '1767614400',
  ])('is not read from %j', (text) => {
    expect(parseTime(text, 0)).toBeUndefined();
  });

  it('is written with the digits of the fraction that are no trailing zeros', () => {
    expect(localTime(noon, 0)).toBe('2026-01-05T12:00:00');
    expect(localTime(noon, -360)).toBe('2026-01-05T06:00:00');
    const lengths = new Set<number>();
    for (let ms = 0; ms < 1000; ms += 1) {
      const text = localTime(noon + ms, 0);
      expect(text).toMatch(/^2026-01-05T12:00:00(\.\d{0,6}[1-9])?$/);
      expect(parseTime(text, 0)).toBe(noon + ms);
      lengths.add(text.length - 20);
    }
    expect(Math.max(...lengths)).toBe(7);
    expect(lengths.size).toBeGreaterThan(2);
    expect(utcTime(noon)).toBe('2026-01-05T12:00:00Z');
  });

  it('of an event always has seven digits, others within the same millisecond', () => {
    const times = Array.from({ length: 1000 }, (_one, sequence) => eventTime(noon + 7, sequence));
    for (const time of times) expect(time).toMatch(/^2026-01-05T12:00:00\.007\d{4}Z$/);
    expect(new Set(times).size).toBe(1000);
  });

  it('has its other forms', () => {
    expect([day(noon), httpTime(noon)]).toEqual(['01/05/2026', 'Mon, 05 Jan 2026 12:00:00 GMT']);
  });
});

describe('the level of risk', () => {
  it.each([
    [0, 'Low'],
    [124, 'Low'],
    [125, 'Medium'],
    [249, 'Medium'],
    [250, 'Review Required'],
    [999, 'Review Required'],
    [1000, 'Fail'],
  ])('of %i points is %s', (points, level) => {
    expect(riskLevel(points)).toBe(level);
  });
});

describe('the made-up carriers', () => {
  const portal = seedPortal(noon, () => noon);
  const carriers = portal.carriers.list();
  const distinct = (values: unknown[]) => new Set(values).size === values.length;

  it('are a few dozen, each with numbers of its own', () => {
    expect(carriers.length).toBeGreaterThan(30);
    expect(distinct(carriers.map(({ dotNumber }) => dotNumber))).toBe(true);
    const dockets = carriers.flatMap(({ docketNumber }) => docketNumber ?? []);
    expect(distinct(dockets)).toBe(true);
    for (const docket of dockets) expect(docket).toMatch(/^(MC|FF|MX)\d{6,7}$/);
    expect(distinct(carriers.map(({ payment }) => payment.ein ?? payment.ssn))).toBe(true);
  });

  it('have changed in the past only, and no date before it was', () => {
    for (const { createdAt, modifiedAt } of carriers) {
      expect(createdAt).toBeLessThan(modifiedAt);
      expect(modifiedAt).toBeLessThan(noon);
    }
    for (const { completedAt } of portal.packets.list()) expect(completedAt).toBeLessThan(noon);
    for (const { at } of portal.changes.list()) expect(at).toBeLessThan(noon);
  });

  it('are the same for the same day', () => {
    expect(seedPortal(noon, () => noon).carriers.list()).toEqual(carriers);
  });

  it('have certificates that everybody can read', () => {
    for (const { insurance } of carriers) {
      const viewer = { portal, customerId: 4303, zoneOffsetMinutes: 0 };
      expect(findDocument(viewer, insurance.certificateBlob)).toContain('%PDF');
    }
  });
});
