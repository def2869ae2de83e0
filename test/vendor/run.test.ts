import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { consent } from '../support/browser.ts';

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** With nothing of the test's own environment but what it needs to start. */
async function run(settings: Record<string, string>) {
  const child = spawn(process.execPath, [file('./run.ts')], {
    env: { PATH: process.env.PATH, TZ: 'UTC', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

describe('npm run test:vendor', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox({ port: 0, clock: systemClock });
  });
  afterAll(() => sandbox.close());

  const authorized = async (
    {
      authorizeUrl,
      tokenUrl,
      clientId,
      clientSecret,
    }: Pick<Sandbox['quickbooks'], 'authorizeUrl' | 'tokenUrl' | 'clientId' | 'clientSecret'>,
    scope: string,
  ) => {
    const redirect_uri = 'http://localhost:4000/back';
    const query = new URLSearchParams({
      ...{ client_id: clientId, redirect_uri, response_type: 'code', scope, state: 'any' },
    });
    const back = new URL(await consent(`${authorizeUrl}?${query.toString()}`, {}, /connect|allow/i));
    const grant = { grant_type: 'authorization_code', code: back.searchParams.get('code')!, redirect_uri };
    const answer = await fetch(tokenUrl, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` },
      body: new URLSearchParams(grant),
    });
    return { back, tokens: (await answer.json()) as Record<string, string> };
  };
  const quickBooksSettings = async () => {
    const { quickbooks } = sandbox;
    const { back, tokens } = await authorized(quickbooks, 'com.intuit.quickbooks.accounting');
    return {
      QUICKBOOKS_VENDOR_CLIENT_ID: quickbooks.clientId,
      QUICKBOOKS_VENDOR_CLIENT_SECRET: quickbooks.clientSecret,
      QUICKBOOKS_VENDOR_REFRESH_TOKEN: tokens.refresh_token!,
      QUICKBOOKS_VENDOR_REALM_ID: back.searchParams.get('realmId')!,
      QUICKBOOKS_VENDOR_API_URL: quickbooks.apiUrl,
      QUICKBOOKS_VENDOR_TOKEN_URL: quickbooks.tokenUrl,
    };
  };
  const slackSettings = async () => ({
    SLACK_VENDOR_BOT_TOKEN: (await authorized(sandbox.slack, 'channels:read,team:read,users:read')).tokens
      .access_token!,
    SLACK_VENDOR_API_URL: sandbox.slack.apiUrl,
  });
  const myCarrierPacketsSettings = () => ({
    MYCARRIERPACKETS_VENDOR_USERNAME: sandbox.myCarrierPackets.username,
    MYCARRIERPACKETS_VENDOR_PASSWORD: sandbox.myCarrierPackets.password,
    MYCARRIERPACKETS_VENDOR_API_URL: sandbox.myCarrierPackets.apiUrl,
    MYCARRIERPACKETS_VENDOR_TOKEN_URL: sandbox.myCarrierPackets.tokenUrl,
  });

  it('says without credentials what to set, a line for each provider, and ends well', async () => {
    const text = await readFile(file('../../package.json'), 'utf8');
    const { scripts } = JSON.parse(text) as { scripts: Record<string, string> };
    expect(scripts['test:vendor']).toBe('node test/vendor/run.ts');
    expect(await run({ SLACK_VENDOR_BOT_TOKEN: '', MYCARRIERPACKETS_VENDOR_USERNAME: 'me' })).toEqual({
      code: 0,
      stdout: [
        'not run: set QUICKBOOKS_VENDOR_CLIENT_ID, QUICKBOOKS_VENDOR_CLIENT_SECRET, QUICKBOOKS_VENDOR_REFRESH_TOKEN, QUICKBOOKS_VENDOR_REALM_ID',
        'not run: set SLACK_VENDOR_BOT_TOKEN',
        'not run: set MYCARRIERPACKETS_VENDOR_PASSWORD\n',
      ].join('\n'),
      stderr: '',
    });
  });

  it(
    'reads all that it says it does, from the emulators where it is aimed at them',
    { timeout: 120_000 },
    async () => {
      const settings = {
        ...(await quickBooksSettings()),
        ...(await slackSettings()),
        ...myCarrierPacketsSettings(),
      };
      const { code, stdout, stderr } = await run(settings);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/^[1-9]\d passed, 0 failed$/m);
      expect(stdout).not.toContain('not run');
      for (const name of ['CLIENT_SECRET', 'REFRESH_TOKEN'] as const)
        expect(stdout).not.toContain(settings[`QUICKBOOKS_VENDOR_${name}`]);
    },
  );

  it('fails where the vendor refuses the credentials', { timeout: 60_000 }, async () => {
    const settings = { ...(await slackSettings()), SLACK_VENDOR_BOT_TOKEN: 'xoxb-wrong' };
    const { code, stdout } = await run(settings);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^not run: set QUICKBOOKS_VENDOR_CLIENT_ID/m);
    expect(stdout).toMatch(/^0 passed, [1-9]\d* failed$/m);
  });
});
