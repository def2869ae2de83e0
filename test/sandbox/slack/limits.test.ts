import { afterEach, describe, expect, it } from 'vitest';
import { openSlack, otherTeamId, type SlackAnswer, type SlackTest } from './slackSandbox.ts';

let sandbox: SlackTest;
let token: string;
const open = async (settings: Record<string, unknown> = {}) => {
  sandbox = await openSlack({ settings: { windowToleranceMs: 0, ...settings } });
  token = (
    await sandbox.install({ scope: 'channels:read,users:read,team:read,chat:write,chat:write.public' })
  ).access_token as string;
};
afterEach(() => sandbox.close());

/** So many calls are let through in a row, and then one is not. */
const admitted = async (method: string, fields: Record<string, string> = {}): Promise<number> => {
  for (let count = 0; ; count += 1) {
    const answer = await sandbox.call(method, { token, ...fields });
    if (answer.status === 429) return count;
    if (count > 400) return Infinity;
  }
};
const post = (channel: string): Promise<SlackAnswer> =>
  sandbox.call('chat.postMessage', { token, channel, text: 'x' });

describe('the limits of a workspace', () => {
  it.each([
    ['apps.uninstall', 1],
    ['conversations.list', 20],
    ['users.list', 20],
    ['conversations.info', 50],
    ['team.info', 50],
    ['auth.revoke', 50],
    ['users.info', 100],
    ['auth.test', 300],
  ])('let %s through %i times a minute', async (method, count) => {
    await open();
    expect(await admitted(method, { test: '1' })).toBe(count);
    await sandbox.clock.advance(59_999);
    expect((await sandbox.call(method, { token, test: '1' })).status).toBe(429);
    await sandbox.clock.advance(1);
    expect((await sandbox.call(method, { token, test: '1' })).status).toBe(200);
  });

  it('are each method’s and each workspace’s own', async () => {
    await open();
    await admitted('conversations.list');
    expect((await sandbox.call('users.list', { token })).status).toBe(200);
    const other = await sandbox.install({ team: otherTeamId });
    expect((await sandbox.call('conversations.list', { token: other.access_token })).status).toBe(200);
  });

  it('hold for all tokens of the workspace together, refused calls not counted', async () => {
    await open({ tierLimits: { tier2: 4 } });
    const again = (await sandbox.install()).access_token as string;
    const statuses: number[] = [];
    for (const one of [token, again, token, again, token, again])
      statuses.push((await sandbox.call('users.list', { token: one })).status);
    expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
  });

  it('hold for the token endpoint, over all workspaces', async () => {
    await open({ tierLimits: { special: 2 } });
    expect((await sandbox.refresh('x')).status).toBe(200);
    const { status, json } = await sandbox.refresh('x');
    expect([status, json.error]).toEqual([429, 'ratelimited']);
  });

  it('can be turned off', async () => {
    await open({ rateLimits: false });
    expect(await admitted('auth.test')).toBe(Infinity);
  });
});

describe('a refusal', () => {
  it('says after how many whole seconds the next call is let through', async () => {
    await open({ tierLimits: { tier3: 2 } });
    await sandbox.call('team.info', { token });
    await sandbox.clock.advance(20_500);
    await sandbox.call('team.info', { token });
    const { status, json, headers } = await sandbox.call('team.info', { token });
    expect([status, json]).toEqual([429, { ok: false, error: 'ratelimited' }]);
    expect(headers.get('retry-after')).toBe('40');
    expect(headers.get('x-slack-req-id')).toMatch(/^[0-9a-f]{32}$/);
    await sandbox.clock.advance(40_000);
    expect((await sandbox.call('team.info', { token })).status).toBe(200);
  });

  it('can always say the same', async () => {
    await open({ tierLimits: { tier3: 1 }, retryAfterSeconds: 7 });
    await sandbox.call('team.info', { token });
    expect((await sandbox.call('team.info', { token })).headers.get('retry-after')).toBe('7');
  });
});

describe('messages', () => {
  it('go into a channel in a short burst, then one a second', async () => {
    await open();
    const statuses = async (count: number) => {
      const answers: number[] = [];
      while (answers.length < count) answers.push((await post('general')).status);
      return answers;
    };
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
    expect((await post('general')).headers.get('retry-after')).toBe('1');
    expect((await post('random')).status).toBe(200);
    await sandbox.clock.advance(999);
    expect(await statuses(1)).toEqual([429]);
    await sandbox.clock.advance(1);
    expect(await statuses(2)).toEqual([200, 429]);
    await sandbox.clock.advance(60_000);
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  it('are counted for the workspace as well', async () => {
    await open({ messagesPerMinute: 2 });
    const [first, second, third] = [await post('general'), await post('random'), await post('dispatch')];
    expect([first.status, second.status, third.status]).toEqual([200, 200, 429]);
    expect(third.headers.get('retry-after')).toBe('60');
  });
});
