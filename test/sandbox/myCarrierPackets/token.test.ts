import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { LoggedRequest } from '../../../src/sandbox/requestLog.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { manualClock } from '../../support/manualClock.ts';
import { openPortal, testCarrier, type TestPortal } from './portal.ts';

const dayMs = 86_400_000;
let portal: TestPortal;
const open = async (...options: Parameters<typeof openPortal>) => (portal = await openPortal(...options));
afterEach(() => portal.close());

const refusedRefresh = { status: 400, json: { error: 'invalid_grant' } };
const read = async (token: string) =>
  (await portal.api(token, `GetCarrierData?DOTNumber=${testCarrier}`)).status;

describe('the password grant', () => {
  it('gives exactly the members of this stack, in its order, without a client id', async () => {
    await open();
    const { username, password } = portal.myCarrierPackets;
    const answer = await portal.token({ grant_type: 'password', username, password });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'application/json;charset=UTF-8',
    ]);
    expect(Object.keys(answer.json)).toEqual([
      'access_token',
      'token_type',
      'expires_in',
      'refresh_token',
      'userName',
      '.issued',
      '.expires',
    ]);
    expect(answer.json).toMatchObject({
      token_type: 'bearer',
      expires_in: 1_209_599,
      userName: username,
      '.issued': 'Mon, 05 Jan 2026 12:00:00 GMT',
      '.expires': 'Mon, 19 Jan 2026 12:00:00 GMT',
    });
    expect(await read(answer.json.access_token)).toBe(200);
  });

  it('takes the user name in any case, and the path', async () => {
    await open();
    const { tokenUrl, username, password } = portal.myCarrierPackets;
    const body = new URLSearchParams({ grant_type: 'password', username: username.toUpperCase(), password });
    const answer = await fetch(tokenUrl.replace('/token', '/Token/'), { method: 'POST', body });
    expect(((await answer.json()) as { userName: string }).userName).toBe(username);
  });

  it.each([
    ['a wrong password', { password: 'wrong' }],
    ['no password', { password: '' }],
    ['an unknown user', { username: 'nobody@nowhere.example' }],
  ])('refuses %s, with 400', async (_case, fields) => {
    await open();
    const { username, password } = portal.myCarrierPackets;
    expect(await portal.token({ grant_type: 'password', username, password, ...fields })).toMatchObject({
      status: 400,
      json: { error: 'invalid_grant', error_description: 'The user name or password is incorrect.' },
    });
  });

  it.each([
    ['another grant', 'application/x-www-form-urlencoded', 'grant_type=client_credentials'],
    ['none', 'application/x-www-form-urlencoded', ''],
    ['JSON, which counts as an empty form', 'application/json', '{"grant_type":"password"}'],
  ])('is told apart from %s', async (_case, type, body) => {
    await open();
    const headers = { 'content-type': type };
    const answer = await fetch(portal.myCarrierPackets.tokenUrl, { method: 'POST', body, headers });
    expect([answer.status, await answer.json()]).toEqual([400, { error: 'unsupported_grant_type' }]);
  });

  it('can spell the times without dots, or leave them out', async () => {
    await open({ issuedMembers: 'plain' });
    expect(await portal.signIn()).toMatchObject({ issued: 'Mon, 05 Jan 2026 12:00:00 GMT' });
    await portal.admin('PUT', 'settings', { issuedMembers: 'none' });
    expect(Object.keys(await portal.signIn())).not.toContain('.expires');
  });

  it('follows a change of password and the end of an account, which end no token', async () => {
    await open();
    const { username: userName, password } = portal.myCarrierPackets;
    const { access_token, refresh_token } = await portal.signIn();
    await portal.admin('PUT', 'users', { userName, password: 'another' });
    expect((await portal.token({ grant_type: 'password', username: userName, password })).status).toBe(400);
    await portal.signIn({ password: 'another' });
    expect(await read(access_token)).toBe(200);

    await portal.admin('PUT', 'users', { userName, disabled: true });
    const again = await portal.token({ grant_type: 'password', username: userName, password: 'another' });
    expect(again.json.error).toBe('invalid_grant');
    expect(await portal.refresh(refresh_token)).toMatchObject(refusedRefresh);
    expect(await read(access_token)).toBe(200);
    const ended = await portal.admin('PUT', 'users', { userName, disabled: false, revokeTokens: true });
    expect(ended.json).toEqual({ revoked: 2 });
    expect(await read(access_token)).toBe(401);
  });
});

describe('access tokens', () => {
  it('live for as long as they say, and then look like none at all', async () => {
    await open({ accessTokenLifetimeSeconds: 60 });
    const { access_token, expires_in } = await portal.signIn();
    expect(expires_in).toBe(59);
    await portal.clock.advance(59_999);
    expect(await read(access_token)).toBe(200);
    await portal.clock.advance(1);
    for (const token of [access_token, 'unknown', '']) {
      const answer = await portal.api(token, 'MonitoredCarriers');
      expect([answer.status, answer.headers.get('www-authenticate'), answer.json]).toEqual([
        401,
        'Bearer',
        { Message: 'Authorization has been denied for this request.' },
      ]);
    }
  });

  it('are each user’s own', async () => {
    await open();
    const mine = await portal.signIn();
    const other = await portal.signIn({
      username: 'integration@blueridgefreight.example',
      password: 'sandbox-password-2',
    });
    const { username: userName } = portal.myCarrierPackets;
    expect((await portal.admin('POST', 'access-tokens/expire', { userName })).json).toEqual({ expired: 1 });
    expect([await read(mine.access_token), await read(other.access_token)]).toEqual([401, 200]);
    expect((await portal.refresh(mine.refresh_token)).status).toBe(200);
    expect((await portal.admin('POST', 'tokens/revoke', {})).json).toEqual({ revoked: 2 });
    expect(await portal.refresh(other.refresh_token)).toMatchObject(refusedRefresh);
  });
});

describe('a refresh', () => {
  it('gives a new refresh token, and the old one dies, not what it gave', async () => {
    await open();
    const first = await portal.signIn();
    const second = await portal.refresh(first.refresh_token);
    expect(second.status).toBe(200);
    expect(second.json.refresh_token).not.toBe(first.refresh_token);
    const again = await portal.refresh(first.refresh_token);
    // No description, unlike a wrong password.
    expect([again.status, again.text]).toEqual([400, '{"error":"invalid_grant"}']);
    expect([await read(first.access_token), await read(second.json.access_token)]).toEqual([200, 200]);
    expect((await portal.refresh(second.json.refresh_token!)).status).toBe(200);
  });

  it.each(['client_id', 'client_secret'])('is refused when it carries %s', async (name) => {
    await open();
    const { refresh_token } = await portal.signIn();
    const fields = { grant_type: 'refresh_token', refresh_token, [name]: 'me' };
    expect(await portal.token(fields)).toMatchObject(refusedRefresh);
    await portal.admin('PUT', 'settings', { clientCredentialsOnRefresh: 'ignored' });
    expect((await portal.token(fields)).status).toBe(200);
  });

  it('in rotate-with-grace accepts the old token for the grace', async () => {
    await open({ refreshMode: 'rotate-with-grace', graceSeconds: 30 });
    const { refresh_token } = await portal.signIn();
    await portal.refresh(refresh_token);
    await portal.clock.advance(29_999);
    expect((await portal.refresh(refresh_token)).status).toBe(200);
    await portal.clock.advance(1);
    expect(await portal.refresh(refresh_token)).toMatchObject(refusedRefresh);
  });

  it('in reuse-ends-session ends everything of that sign-in when an old token comes back', async () => {
    await open({ refreshMode: 'reuse-ends-session' });
    const [first, apart] = [await portal.signIn(), await portal.signIn()];
    const second = await portal.refresh(first.refresh_token);
    expect(await portal.refresh(first.refresh_token)).toMatchObject(refusedRefresh);
    expect(await portal.refresh(second.json.refresh_token!)).toMatchObject(refusedRefresh);
    expect([await read(second.json.access_token), await read(apart.access_token)]).toEqual([401, 200]);
  });

  it('in stable gives the same token for as long as it lives, and in refused nothing', async () => {
    await open({ refreshMode: 'stable', refreshTokenLifetimeSeconds: 30 * 86_400 });
    const { refresh_token } = await portal.signIn();
    await portal.clock.advance(30 * dayMs - 1);
    expect((await portal.refresh(refresh_token)).json.refresh_token).toBe(refresh_token);
    await portal.clock.advance(1);
    expect(await portal.refresh(refresh_token)).toMatchObject(refusedRefresh);
    const later = await portal.signIn();
    await portal.admin('PUT', 'settings', { refreshMode: 'refused' });
    expect(await portal.refresh(later.refresh_token)).toMatchObject(refusedRefresh);
  });

  it('can come without a refresh token: the one presented stays good', async () => {
    await open({ omitRefreshToken: true });
    const { refresh_token } = await portal.signIn();
    for (let time = 0; time < 2; time += 1) {
      const answer = await portal.refresh(refresh_token);
      expect([answer.status, 'refresh_token' in answer.json]).toEqual([200, false]);
    }
  });

  it('can be lost after it was rotated', async () => {
    await open();
    const { refresh_token } = await portal.signIn();
    const match = { pathContains: '/mycarrierpackets/token' };
    await portal.sandboxAdmin('POST', 'faults', { afterProcessing: true, match });
    await expect(portal.refresh(refresh_token)).rejects.toThrow('fetch failed');
    expect(await portal.refresh(refresh_token)).toMatchObject(refusedRefresh);
  });
});

describe('the request log', () => {
  it('names the grants, and holds neither token nor password', async () => {
    const written: object[] = [];
    await open({}, { log: (line) => written.push(line) });
    const { username, password } = portal.myCarrierPackets;
    const { access_token, refresh_token } = await portal.signIn();
    await portal.refresh(refresh_token);
    await portal.token({ grant_type: password, username });
    await portal.api(access_token, `GetCarrierData?DOTNumber=${testCarrier}&access_token=${access_token}`);
    const { requests } = (await portal.sandboxAdmin('GET', 'requests')).json as { requests: LoggedRequest[] };
    expect(requests.map(({ grantType }) => grantType)).toEqual([
      'password',
      'refresh_token',
      'other',
      undefined,
    ]);
    expect(requests[3]).toMatchObject({ method: 'POST', status: 200 });
    const text = JSON.stringify([requests, written]);
    for (const secret of [access_token, refresh_token, password]) expect(text).not.toContain(secret);
  });
});

describe('the state file', () => {
  it('carries sign-ins, users and what was written over a restart, without a token in it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
    const stateFile = join(folder, 'sandbox.json');
    const clock = manualClock();
    try {
      await open({}, { stateFile, clock });
      const { username: userName } = portal.myCarrierPackets;
      const tokens = await portal.signIn();
      await portal.admin('POST', 'carriers', { dotNumber: testCarrier, set: { powerUnits: 99 } });
      await portal.admin('PUT', 'users', { userName, password: 'another' });
      await portal.api(tokens.access_token, 'CancelMonitoring?DOTNumber=2290417');
      const monitored = await portal.api(tokens.access_token, 'MonitoredCarriers');
      const carrier = await portal.api(tokens.access_token, `GetCarrierData?DOTNumber=${testCarrier}`);
      expect((monitored.json as object[]).length).toBe(21);
      await portal.close();

      const text = readFileSync(stateFile, 'utf8');
      for (const secret of [tokens.access_token, tokens.refresh_token, 'another'])
        expect(text).not.toContain(secret);
      expect(text).toContain(createHash('sha256').update(tokens.refresh_token).digest('hex'));
      expect(statSync(stateFile).mode & 0o777).toBe(0o600);

      await clock.advance(2 * dayMs);
      await open({}, { stateFile, clock });
      const again = await portal.api(tokens.access_token, `GetCarrierData?DOTNumber=${testCarrier}`);
      expect(again.json).toEqual(carrier.json);
      expect(again.at('CarrierOperationalDetail.TotalPowerUnits')).toBe(99);
      const still = await portal.api(tokens.access_token, 'MonitoredCarriers');
      expect(still.json).toEqual(monitored.json);
      expect((await portal.refresh(tokens.refresh_token)).status).toBe(200);
      await portal.signIn({ password: 'another' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('stops the start, by name, when its section is damaged', async () => {
    await open();
    const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
    const stateFile = join(folder, 'sandbox.json');
    try {
      writeFileSync(stateFile, '{"mycarrierpackets":{"seededAt":"yesterday"}}');
      await expect(startSandbox({ port: 0, clock: manualClock(), stateFile })).rejects.toThrow(stateFile);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
