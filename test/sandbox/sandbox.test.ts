import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LoggedRequest } from '../../src/sandbox/requestLog.ts';
import { mainRealmId, openSandbox, redirectUri, type TestSandbox } from '../support/sandbox.ts';

let sandbox: TestSandbox;
let token: string;
const written: object[] = [];

beforeEach(async () => {
  written.length = 0;
  sandbox = await openSandbox({ settings: { rateLimits: false }, log: (line) => written.push(line) });
  token = (await sandbox.connect()).access_token;
  await sandbox.admin('DELETE', 'requests');
});
afterEach(() => sandbox.close());

const call = () => sandbox.api(token, `companyinfo/${mainRealmId}`);
const addFault = async (rule: object) =>
  expect((await sandbox.admin('POST', 'faults', rule)).status).toBe(201);
const requests = async () => (await sandbox.admin('GET', 'requests')).at('requests') as LoggedRequest[];

describe('the request log', () => {
  it('shows what was asked and how it went', async () => {
    const { refresh_token } = await sandbox.connect();
    await sandbox.admin('DELETE', 'requests');
    await call();
    await sandbox.refresh(refresh_token);
    await sandbox.token({ grant_type: 'my secret' });
    expect(await requests()).toEqual([
      {
        at: '2026-01-05T12:00:00.000Z',
        method: 'GET',
        path: `/quickbooks/v3/company/${mainRealmId}/companyinfo/${mainRealmId}`,
        realmId: mainRealmId,
        status: 200,
        durationMs: 0,
      },
      expect.objectContaining({
        method: 'POST',
        realmId: mainRealmId,
        status: 200,
        grantType: 'refresh_token',
      }),
      expect.objectContaining({ realmId: null, status: 400, grantType: 'other' }),
    ]);
  });

  it('holds no token, code, state or secret, whatever way they came', async () => {
    const code = (await sandbox.consent({ state: 'secret-state' })).searchParams.get('code') ?? '';
    const tokens = (
      await sandbox.token({ grant_type: 'authorization_code', code, redirect_uri: redirectUri })
    ).json;
    await sandbox.api(tokens.access_token, `companyinfo/${mainRealmId}?access_token=${tokens.access_token}`);
    await sandbox.api('expired-token-expired-token', `companyinfo/1?%63ode=${code}`);
    await fetch(`${sandbox.quickbooks.authorizeUrl}?state=secret-state&client_secret=hush-hush`);
    await sandbox.token({ grant_type: tokens.refresh_token, refresh_token: tokens.refresh_token });
    const text = JSON.stringify([await requests(), written]);
    const secrets = [
      tokens.access_token,
      tokens.refresh_token,
      code,
      'secret-state',
      'hush-hush',
      'expired-token',
    ];
    for (const secret of [...secrets, sandbox.quickbooks.clientSecret]) expect(text).not.toContain(secret);
    expect(text).toContain('access_token=[redacted]');
  });
});

describe('injected faults', () => {
  it('apply to so many matching requests and then to none', async () => {
    await addFault({ count: 2, status: 503, match: { method: 'get', pathContains: 'companyinfo' } });
    const answers = [
      await call(),
      await sandbox.api(token, 'query?query=select count(*) from Bill'),
      await call(),
      await call(),
    ];
    expect(answers.map(({ status }) => status)).toEqual([503, 200, 503, 200]);
    expect(answers[0]?.at('Fault.Error.0.code')).toBe('10000');
    expect(answers[0]?.headers.get('intuit_tid')).toMatch(/^[\w.:-]+$/);
    await addFault({ status: 500 });
    await sandbox.admin('DELETE', 'faults');
    expect((await call()).status).toBe(200);
  });

  it.each([
    [401, 'fault.error.0.code', '3200'],
    [403, 'fault.error.0.code', '3100'],
    [429, 'Fault.Error.0.code', '3001'],
  ])('speak as QuickBooks would with status %i', async (status, path, code) => {
    await addFault({ status });
    const answer = await call();
    expect([answer.status, answer.at(path)]).toEqual([status, code]);
  });

  it('can say anything, with any header', async () => {
    await addFault({
      status: 502,
      body: '<html>Bad gateway</html>',
      headers: { 'content-type': 'text/html', 'retry-after': '3' },
    });
    const answer = await call();
    expect([answer.status, answer.text]).toEqual([502, '<html>Bad gateway</html>']);
    expect([answer.headers.get('content-type'), answer.headers.get('retry-after')]).toEqual([
      'text/html',
      '3',
    ]);
    await addFault({ body: { Fault: { Error: [] } } });
    expect(await call()).toMatchObject({ status: 200, json: { Fault: { Error: [] } } });
  });

  it('cut the JSON in half', async () => {
    await addFault({ malformed: true });
    const answer = await call();
    expect([answer.status, answer.json]).toEqual([200, undefined]);
    expect(answer.text).toMatch(/^\{"CompanyInfo"/);
  });

  it('close the socket, before any work is done', async () => {
    await addFault({ drop: true });
    await expect(sandbox.post(token, 'customer', { DisplayName: 'Never Foods' })).rejects.toThrow(
      'fetch failed',
    );
    expect((await requests()).map(({ status }) => status)).toEqual([null]);
    expect((await sandbox.post(token, 'customer', { DisplayName: 'Never Foods' })).status).toBe(200);
  });

  it('lose the answer after the work is done', async () => {
    await addFault({ afterProcessing: true });
    await expect(sandbox.post(token, 'customer', { DisplayName: 'Lost Foods' })).rejects.toThrow(
      'fetch failed',
    );
    const again = await sandbox.post(token, 'customer', { DisplayName: 'Lost Foods' });
    expect(again.at('Fault.Error.0.code')).toBe('6240');
    expect((await requests()).map(({ status }) => status)).toEqual([null, 400]);
  });

  it('lose a rotated refresh token', async () => {
    await sandbox.admin('PUT', 'settings', { refreshMode: 'rotate-always-strict' });
    const { refresh_token } = await sandbox.connect();
    await addFault({ afterProcessing: true, match: { pathContains: 'tokens/bearer' } });
    await expect(sandbox.refresh(refresh_token)).rejects.toThrow('fetch failed');
    expect((await sandbox.refresh(refresh_token)).json.error).toBe('invalid_grant');
  });

  it('replace the answer after the work is done', async () => {
    await addFault({ afterProcessing: true, status: 504 });
    expect((await sandbox.post(token, 'customer', { DisplayName: 'Replaced Foods' })).status).toBe(504);
    expect((await sandbox.post(token, 'customer', { DisplayName: 'Replaced Foods' })).status).toBe(400);
  });

  it('delay on the sandbox’s clock, before the work or after it', async () => {
    const asleep = async () => {
      while (sandbox.clock.sleeping() === 0) await new Promise((resolve) => setImmediate(resolve));
    };
    await addFault({ delayMs: 5000 });
    const early = sandbox.post(token, 'customer', { DisplayName: 'Slow Foods' });
    await asleep();
    await sandbox.clock.advance(5000);
    expect((await early).at('Customer.MetaData.CreateTime')).toBe('2026-01-05T04:00:05-08:00');
    await addFault({ delayMs: 5000, afterProcessing: true, drop: false });
    const late = sandbox.post(token, 'customer', { DisplayName: 'Slower Foods' });
    await asleep();
    await sandbox.clock.advance(5000);
    expect((await late).at('Customer.MetaData.CreateTime')).toBe('2026-01-05T04:00:05-08:00');
    expect((await requests()).map(({ durationMs }) => durationMs)).toEqual([5000, 5000]);
  });

  it('do not keep the sandbox from closing', async () => {
    await addFault({ delayMs: 1_000_000 });
    const waiting = call().catch((error: unknown) => error);
    while (sandbox.clock.sleeping() === 0) await new Promise((resolve) => setImmediate(resolve));
    await sandbox.close();
    await waiting;
    expect(sandbox.clock.sleeping()).toBe(0);
  });
});

describe('the admin API', () => {
  it.each([
    ['POST', 'faults', { count: 0 }, 'count'],
    ['POST', 'faults', { staus: 500 }, 'staus'],
    ['PUT', 'settings', { refreshMode: 'never' }, 'refreshMode'],
    ['PUT', 'settings', { speed: 1 }, 'speed'],
    ['POST', 'grants/revoke', {}, 'realmId'],
    ['POST', 'grants/revoke', { realmId: '1' }, 'realmId'],
    [
      'POST',
      'records',
      { realmId: mainRealmId, operation: 'create', entity: 'Unicorn', record: {} },
      'entity',
    ],
    [
      'POST',
      'records',
      { realmId: mainRealmId, operation: 'create', entity: 'Customer', record: {} },
      'DisplayName',
    ],
    [
      'POST',
      'records',
      { realmId: mainRealmId, operation: 'update', entity: 'Customer', record: {} },
      'record.Id',
    ],
  ])('names what is wrong in %s %s %j', async (method, path, body, name) => {
    const answer = await sandbox.admin(method, path, body);
    expect(answer.status).toBe(400);
    expect(answer.at('error')).toContain(name);
  });

  it('refuses a body that a foreign web page could send', async () => {
    const init = { method: 'POST', body: '{"status":500}', headers: { 'content-type': 'text/plain' } };
    expect((await fetch(`${sandbox.url}/_admin/faults`, init)).status).toBe(400);
    expect((await sandbox.admin('GET', 'faults')).json).toEqual({ faults: [] });
  });

  it('keeps the settings that are not named, and resets them all', async () => {
    await sandbox.admin('PUT', 'settings', { graceSeconds: 5 });
    const { json } = await sandbox.admin('PUT', 'settings', { refreshMode: 'rotate-with-grace' });
    expect(json).toMatchObject({ graceSeconds: 5, refreshMode: 'rotate-with-grace', rateLimits: false });
    expect((await sandbox.admin('DELETE', 'settings')).json).toMatchObject({
      refreshMode: 'stable-24h',
      rateLimits: true,
    });
  });

  it('changes a record as a person in QuickBooks would', async () => {
    const change = (operation: string, record: object) =>
      sandbox.admin('POST', 'records', { realmId: mainRealmId, operation, entity: 'Customer', record });
    const { Id } = (await change('create', { DisplayName: 'Typed In Foods' })).at('Customer') as {
      Id: string;
    };
    const updated = await change('update', { Id, CompanyName: 'Typed In Foods LLC' });
    expect(updated.json).toMatchObject({ Customer: { DisplayName: 'Typed In Foods', SyncToken: '1' } });
    expect((await sandbox.api(token, `customer/${Id}`)).at('Customer.CompanyName')).toBe(
      'Typed In Foods LLC',
    );
  });
});

it('shows what it is at its root', async () => {
  const html = await (await fetch(`${sandbox.url}/`)).text();
  expect(html).toContain('Harbor &amp; Main Transport Brokers');
  expect(html).toContain(mainRealmId);
});
