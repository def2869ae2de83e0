import { afterEach, describe, expect, it } from 'vitest';
import {
  mainRealmId,
  openSandbox,
  otherRealmId,
  type Answer,
  type TestSandbox,
} from '../../support/sandbox.ts';

let sandbox: TestSandbox;
let token: string;
const open = async (settings: Record<string, unknown> = {}) => {
  sandbox = await openSandbox({ settings: { windowToleranceMs: 0, ...settings } });
  token = (await sandbox.connect()).access_token;
};
afterEach(() => sandbox.close());

const call = () => sandbox.api(token, `companyinfo/${mainRealmId}`);
const calls = async (count: number): Promise<Answer[]> => {
  const answers: Answer[] = [];
  while (answers.length < count) answers.push(await call());
  return answers;
};
const statuses = (answers: Answer[]) => answers.map(({ status }) => status);

describe('the limits of a company', () => {
  it('allow ten requests in any second', async () => {
    await open();
    expect(statuses(await calls(5))).not.toContain(429);
    await sandbox.clock.advance(600);
    expect(statuses(await calls(6))).toEqual([200, 200, 200, 200, 200, 429]);
    await sandbox.clock.advance(400);
    expect(statuses(await calls(6))).toEqual([200, 200, 200, 200, 200, 429]);
  });

  it('are each company’s own', async () => {
    await open();
    await calls(11);
    const other = await sandbox.connect({ realmId: otherRealmId });
    const path = `/v3/company/${otherRealmId}/companyinfo/${otherRealmId}`;
    expect((await sandbox.api(other.access_token, path)).status).toBe(200);
  });

  it('allow so many requests, and so many batches, a minute', async () => {
    await open({ requestsPerSecond: 1000, requestsPerMinute: 6, batchesPerMinute: 2 });
    const batch = () => sandbox.post(token, 'batch', { BatchItemRequest: [{ bId: '1', Query: 'select' }] });
    expect([(await batch()).status, (await batch()).status, (await batch()).status]).toEqual([200, 200, 429]);
    expect(statuses(await calls(5))).toEqual([200, 200, 200, 200, 429]);
    await sandbox.clock.advance(60_000);
    expect((await batch()).status).toBe(200);
  });

  it('allow ten requests at once', async () => {
    await open({ requestsPerSecond: 1000, concurrentRequests: 2 });
    await sandbox.admin('POST', 'faults', {
      count: 2,
      delayMs: 1000,
      match: { pathContains: 'companyinfo' },
    });
    const slow = [call(), call()];
    while (sandbox.clock.sleeping() < 2) await new Promise((resolve) => setImmediate(resolve));
    expect((await call()).status).toBe(429);
    await sandbox.clock.advance(1000);
    expect(statuses(await Promise.all(slow))).toEqual([200, 200]);
    expect((await call()).status).toBe(200);
  });

  it('count the items of batches against the month', async () => {
    await open({ callsPerMonth: 3 });
    await sandbox.post(token, 'batch', { BatchItemRequest: [{ bId: '1' }, { bId: '2' }] });
    expect(statuses(await calls(2))).toEqual([200, 429]);
    await sandbox.clock.advance(31 * 86_400_000);
    token = (await sandbox.connect()).access_token;
    expect((await call()).status).toBe(200);
  });

  it('can be turned off', async () => {
    await open({ rateLimits: false });
    expect(statuses(await calls(30))).not.toContain(429);
  });
});

describe('a throttled answer', () => {
  it('is XML every other time although JSON was asked for, and names no time to wait', async () => {
    await open({ requestsPerSecond: 1 });
    const [, first, second] = await calls(3);
    expect(first?.headers.get('content-type')).toContain('application/xml');
    expect(first?.text).toContain(
      '<Fault type="SERVICE"><Error code="3001"><Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>',
    );
    expect(first?.headers.get('retry-after')).toBeNull();
    expect(second?.json).toMatchObject({ Fault: { Error: [{ code: '3001' }], type: 'SERVICE' } });
  });

  it.each(['xml', 'json'])(
    'can always be %s, with Retry-After and another status',
    async (throttleFormat) => {
      await open({ requestsPerSecond: 1, throttleFormat, retryAfterSeconds: 7, throttleStatus: 503 });
      for (const answer of (await calls(3)).slice(1)) {
        expect(answer.status).toBe(503);
        expect(answer.headers.get('retry-after')).toBe('7');
        expect(answer.headers.get('content-type')).toContain(throttleFormat);
      }
    },
  );
});
