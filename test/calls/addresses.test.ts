import { createServer, type Server } from 'node:http';
import { isIP, Socket, type AddressInfo, type LookupFunction } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { classOf, type Lookup, type Reach } from '../../src/calls/addresses.ts';
import { createAttempt, type Attempt } from '../../src/calls/attempt.ts';
import { createCaller } from '../../src/calls/caller.ts';
import { systemClock } from '../../src/clock.ts';

describe('classOf', () => {
  it.each([
    [
      'public',
      '1.1.1.1',
      '8.8.8.8',
      '100.63.255.255',
      '100.128.0.0',
      '172.32.0.1',
      '192.0.1.1',
      '223.255.255.255',
    ],
    ['public', '2606:4700:4700::1111', '2a00:1450:4001::1', '::ffff:8.8.8.8', '64:ff9b::808:808'],
    ['loopback', '127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1'],
    [
      'private',
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      'fc00::1',
      'fdff::1',
    ],
    ['private', '::ffff:10.0.0.1', '::ffff:c0a8:101'],
    [
      'reserved',
      '0.0.0.0',
      '0.1.2.3',
      '169.254.169.254',
      '192.0.0.1',
      '192.0.2.1',
      '198.18.0.1',
      '224.0.0.1',
    ],
    [
      'reserved',
      '240.0.0.1',
      '255.255.255.255',
      '100.100.100.200',
      '168.63.129.16',
      '::ffff:169.254.169.254',
      '::ffff:100.100.100.200',
    ],
    ['reserved', '::', '::7f00:1', 'fe80::1', 'fe80::1%lo', 'fec0::1', 'ff02::1', '64:ff9b:1::1', '100::1'],
    ['reserved', '2001::1', '2001:db8::1', '2002:7f00:1::', '3fff::1', 'fd00:ec2::254', '4000::1'],
    ['reserved', '64:ff9b::7f00:1', '64:ff9b::a00:1', '64:ff9b::a9fe:a9fe', '64:ff9b::', 'localhost', ''],
  ])('finds %s: %s', (expected, ...addresses) => {
    for (const address of addresses) expect([address, classOf(address)]).toEqual([address, expected]);
  });
});

const thisMachine = '127.0.0.1';

/** What a service must never fetch for somebody else. `PORT` is where this machine would answer. */
const inward = [
  'http://127.0.0.1:PORT/',
  'http://127.1:PORT/',
  'http://127.0.1:PORT/',
  'http://2130706433:PORT/',
  'http://0x7f.1:PORT/',
  'http://0x7f000001:PORT/',
  'http://0177.0.0.1:PORT/',
  'http://017700000001:PORT/',
  'http://127.0.0.1.:PORT/',
  'http://１２７.０.０.１:PORT/',
  'http://①②⑦.⓪.⓪.①:PORT/',
  'http://127。0。0。1:PORT/',
  'http://127.255.255.254:PORT/',
  'http://0.0.0.0:PORT/',
  'http://0:PORT/',
  'http://[::1]:PORT/',
  'http://[0:0:0:0:0:0:0:1]:PORT/',
  'http://[::]:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://[::ffff:7f00:1]:PORT/',
  'http://[0000:0000:0000:0000:0000:ffff:7f00:0001]:PORT/',
  'http://[::127.0.0.1]:PORT/',
  'http://[64:ff9b::7f00:1]:PORT/',
  'http://[64:ff9b:1::7f00:1]:PORT/',
  'http://[2002:7f00:1::]:PORT/',
  'http://localhost:PORT/',
  'http://LOCALHOST:PORT/',
  'http://localhost.:PORT/',
  'http://user:pass@localhost:PORT/',
  'https://localhost:PORT/',
  'https://127.0.0.1:PORT/',
  'https://[::1]:PORT/',
  'http://inside.example:PORT/',
  'http://rebound.example:PORT/',
  'https://inside.example:PORT/',
  'http://10.0.0.1/',
  'http://10.255.255.255/',
  'https://10.0.0.1/',
  'http://172.16.0.1/',
  'http://172.31.255.255/',
  'http://192.168.0.1/',
  'http://100.64.0.1/',
  'http://169.254.169.254/latest/meta-data/',
  'http://2852039166/latest/meta-data/',
  'http://0xa9fea9fe/latest/meta-data/',
  'http://[::ffff:169.254.169.254]/latest/meta-data/',
  'http://[fd00:ec2::254]/latest/meta-data/',
  'http://100.100.100.200/latest/meta-data/',
  'http://168.63.129.16/machine/',
  'http://metadata.example/computeMetadata/v1/',
  'http://[fe80::1]/',
  'http://[fc00::1]/',
  'http://[fd12:3456:789a::1]/',
  'http://[ff02::1]/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://198.18.0.1/',
  'http://192.0.2.1/',
  // Without TLS not over the internet either.
  'http://8.8.8.8/',
  'http://outside.example/',
];

const names: Record<string, string[]> = {
  localhost: [thisMachine, '::1'],
  'localhost.': [thisMachine, '::1'],
  'inside.example': ['10.0.0.7', thisMachine],
  'rebound.example': ['::ffff:127.0.0.1', '192.168.1.1', '0.0.0.0'],
  'metadata.example': ['169.254.169.254'],
  'outside.example': ['8.8.8.8'],
  'both.example': ['10.0.0.7', '8.8.8.8', thisMachine, '1.1.1.1'],
};

/** DNS as the attacker wants it. */
const lookup: Lookup = (hostname, _options, callback) => {
  const found = (names[hostname.toLowerCase()] ?? []).map((address) => ({
    address,
    family: address.includes(':') ? 6 : 4,
  }));
  if (found.length > 0) return callback(null, found);
  callback(Object.assign(new Error(`no ${hostname}`), { code: 'ENOTFOUND' }), []);
};

describe('a request', () => {
  let server: Server;
  let port: number;
  let attempt: Attempt;
  /** Addresses that a connection was tried to. */
  let tried: string[];

  beforeEach(async () => {
    server = createServer((_request, response) => response.end('{}'));
    await new Promise<void>((resolve) => server.listen(0, '::', resolve));
    port = (server.address() as AddressInfo).port;
    attempt = createAttempt(1_000, lookup);
    tried = [];
    const connect = Reflect.get(Socket.prototype, 'connect') as (this: Socket, ...args: unknown[]) => Socket;
    vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
      this.on('connectionAttempt', (ip: string) => void tried.push(ip));
      return connect.apply(this, args);
    });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await attempt.close();
    server.closeAllConnections();
    server.close();
  });

  const send = (url: string, reach?: Reach) =>
    attempt.send(
      { method: 'GET', url: url.replace('PORT', String(port)), headers: {} },
      new AbortController().signal,
      () => {},
      undefined,
      reach,
    );
  const refused = { kind: 'failed', code: 'NOT_CONFIGURED', sent: false };

  it('is told where it connects, so that none is seen for lack of looking', async () => {
    expect(await send('http://127.1:PORT/')).toMatchObject({ kind: 'answered' });
    expect(tried).toEqual([thisMachine]);
  });

  it('is looked up as the machine does it, where the test does not', async () => {
    const own = createAttempt(1_000);
    const request = { method: 'GET' as const, url: `http://localhost:${port}/`, headers: {} };
    const { signal } = new AbortController();
    expect(await own.send(request, signal, () => {})).toMatchObject({ kind: 'answered' });
    expect(await own.send(request, signal, () => {}, undefined, 'public')).toMatchObject(refused);
    await own.close();
  });

  it(`connects to nothing inside, for any of ${inward.length} URLs`, async () => {
    expect(inward.length).toBeGreaterThanOrEqual(40);
    for (const url of inward)
      expect([url, await send(url, 'public')]).toEqual([url, expect.objectContaining(refused)]);
    expect(tried).toEqual([]);
  });

  it('reaches this machine where that is allowed, by every spelling, and nothing else inside', async () => {
    const unanswered = new Set<string>();
    for (const url of inward) {
      const before = tried.length;
      const answer = await send(url, 'loopback');
      for (const address of tried.slice(before)) expect([url, classOf(address)]).toEqual([url, 'loopback']);
      // An answer without a new line came over one that was open already.
      const ended = answer.kind === 'failed' ? answer.code : 'answered';
      if (tried.length === before && ended !== 'answered') unanswered.add(ended);
    }
    expect([...unanswered]).toEqual(['NOT_CONFIGURED']);
    expect(await send('http://2130706433:PORT/', 'loopback')).toMatchObject({ kind: 'answered' });
    expect(await send('http://localhost:PORT/', 'loopback')).toMatchObject({ kind: 'answered' });
    expect(await send('http://inside.example:PORT/', 'loopback')).toMatchObject({ kind: 'answered' });
  });

  it('reaches private networks where that is allowed, but never what clouds tell their machines', async () => {
    for (const url of inward.filter((one) =>
      /169|2852039166|a9fe|metadata|100\.100|168\.63|fd00:ec2/.test(one),
    ))
      expect([url, await send(url, 'private')]).toEqual([url, expect.objectContaining(refused)]);
    expect(tried).toEqual([]);
    names['inside.example'] = ['169.254.169.254', thisMachine];
    expect(await send('http://inside.example:PORT/', 'private')).toMatchObject({ kind: 'answered' });
    expect(tried).toEqual([thisMachine]);
  });

  it.each<[Reach, ...string[]]>([
    ['public', '8.8.8.8', '1.1.1.1'],
    ['loopback', '8.8.8.8', thisMachine, '1.1.1.1'],
    ['private', '10.0.0.7', '8.8.8.8', thisMachine, '1.1.1.1'],
  ])('goes to the internet with TLS, and of a name only where %s reaches', async (reach, ...open) => {
    const given: unknown[] = [];
    // No test goes out there: what the system would be given to connect to is enough.
    vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
      const { host, lookup: lookupFor } = [args[0]].flat()[0] as { host: string; lookup: LookupFunction };
      if (isIP(host)) given.push(host);
      else
        for (const all of [true, false])
          lookupFor(host, { all }, (error, found) => given.push(error?.code ?? found));
      setImmediate(() => this.destroy(new Error('not in a test')));
      return this;
    });
    await send('https://both.example/', reach);
    await send('https://8.8.4.4/', reach);
    expect(given).toEqual([open.map((address) => ({ address, family: 4 })), open[0], '8.8.4.4']);
  });

  it('tells a name that nobody knows from an address that is refused', async () => {
    expect(await send('https://nowhere.example/', 'public')).toMatchObject({
      kind: 'failed',
      code: 'NETWORK_ERROR',
    });
  });

  it('does not use the open line of somebody who may go further', async () => {
    expect(await send('http://127.0.0.1:PORT/', 'anywhere')).toMatchObject({ kind: 'answered' });
    expect(await send('http://127.0.0.1:PORT/', 'loopback')).toMatchObject({ kind: 'answered' });
    expect(await send('http://127.0.0.1:PORT/', 'public')).toMatchObject(refused);
    expect(tried).toEqual([thisMachine, thisMachine]);
  });

  it('does not follow a redirect inside', async () => {
    server.removeAllListeners('request');
    let requests = 0;
    server.on('request', (_request, response) => {
      requests += 1;
      response.writeHead(302, { location: `http://127.0.0.1:${port}/inside` }).end();
    });
    expect(await send('http://127.0.0.1:PORT/')).toMatchObject({ response: { status: 302 } });
    expect(requests).toBe(1);
  });

  it('is refused once, as a matter of our settings, without harm to the breaker', async () => {
    const caller = createCaller({
      clock: systemClock,
      requestTimeoutMs: 1_000,
      retry: { attempts: 5, baseMs: 1, capMs: 1 },
      queue: { perBucket: 10, total: 10 },
      attempt: createAttempt(1_000, lookup),
      reachOf: (integration, host) =>
        integration === 'acme' && host === `localhost:${port}` ? 'public' : 'loopback',
    });
    const call = (integration: string) =>
      caller.call({
        integration,
        host: 'localhost',
        buckets: [],
        priority: 'interactive',
        deadlineAtMs: systemClock.now() + 5_000,
        idempotent: true,
        request: () => Promise.resolve({ method: 'GET', url: `http://localhost:${port}/`, headers: {} }),
        classify: () => undefined,
      });
    for (let i = 0; i < 20; i++)
      await expect(call('acme')).rejects.toMatchObject({
        code: 'NOT_CONFIGURED',
        retryable: false,
        problem: { actor: 'OPERATOR' },
      });
    expect(tried).toEqual([]);
    expect(caller.health('acme')).toBe('HEALTHY');
    await expect(call('other')).resolves.toMatchObject({ status: 200 });
    await caller.close();
  });
});
