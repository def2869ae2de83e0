import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { signatureOf, type Delivery } from '../../../src/sandbox/myCarrierPackets/deliveries.ts';
import { openPortal, testCarrier, type TestPortal } from './portal.ts';

interface Received {
  headers: Record<string, string | string[] | undefined>;
  body: string;
  at: number;
}

const secret = 'webhook secret, ünïcode';
const minuteMs = 60_000;
let portal: TestPortal;
let server: Server;
let url: string;
let received: Received[];
/** Statuses of the next answers; then 200. */
let answers: number[];

beforeEach(async () => {
  received = [];
  answers = [];
  portal = await openPortal({ rateLimits: false });
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      received.push({ headers: request.headers, body, at: portal.clock.now() });
      const status = answers.shift() ?? 200;
      // 0: no answer at all.
      if (status === 0) return;
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks`;
});
afterEach(async () => {
  await portal.close();
  server.closeAllConnections();
  server.close();
});

const subscribe = async (fields: object = {}) =>
  (await portal.admin('POST', 'subscriptions', { url, secret, ...fields })).at('id') as number;
const completePacket = (dotNumber = testCarrier, more: object = {}) =>
  portal.admin('POST', 'packets', { dotNumber, ...more });
const addRule = async (rule: object) =>
  expect((await portal.admin('POST', 'delivery-rules', rule)).status).toBe(201);
const deliveries = async () => (await portal.admin('GET', 'deliveries')).at('deliveries') as Delivery[];
const arrived = (count: number) => vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(count));
const inState = (state: Delivery['state'], attempts: number) =>
  vi.waitFor(async () => {
    const [first] = await deliveries();
    expect([first?.state, first?.attempts.length]).toEqual([state, attempts]);
  });
/** The sender has had its answer and waits for the next attempt; timeouts of requests are over. */
const asleep = () => vi.waitFor(() => expect(portal.clock.sleeping()).toBe(1));
const bodyOf = (index: number) =>
  JSON.parse(received[index]!.body) as {
    eventType: string;
    eventDateTime: string;
    eventData: Record<string, Record<string, unknown>>;
  };
const hmac = (body: string, encoding: 'hex' | 'base64' = 'hex') =>
  createHmac('sha256', Buffer.from(secret, 'utf8')).update(body).digest(encoding);

describe('the signature', () => {
  const usual = { signatureEncoding: 'hex', secretEncoding: 'utf8', signaturePrefix: '' } as const;
  it('is the one that others work out', () => {
    const body = '{"eventType":"carrier.packet.completed"}';
    expect(signatureOf(body, 'mcp-secret-test', usual)).toBe(
      '09131a63bacec03e12262a386f863ab4f84360a0a9ab1ced05f3060a2a652a9d',
    );
  });

  it('is lower-case hex over the bytes of the body, with each subscription’s secret', async () => {
    await subscribe();
    await subscribe({ secret: 'of another' });
    await completePacket();
    await arrived(2);
    const [mine, other] = received
      .map(({ headers }) => headers['mcp-signature'])
      .sort((a) => (a === hmac(received[0]!.body) ? -1 : 1));
    expect(mine).toBe(hmac(received[0]!.body));
    expect(mine).toMatch(/^[0-9a-f]{64}$/);
    expect(other).toBe(createHmac('sha256', 'of another').update(received[0]!.body).digest('hex'));
    expect(received[0]?.headers).toMatchObject({
      'mcp-event': 'carrier.packet.completed',
      'content-type': 'application/json; charset=utf-8',
    });
  });

  it('can be base64, of a secret that is base64, with a prefix', async () => {
    await portal.admin('PUT', 'settings', {
      signatureEncoding: 'base64',
      secretEncoding: 'base64',
      signaturePrefix: 'sha256=',
    });
    await subscribe({ secret: Buffer.from(secret).toString('base64') });
    await completePacket();
    await arrived(1);
    expect(received[0]?.headers['mcp-signature']).toBe(`sha256=${hmac(received[0]!.body, 'base64')}`);
  });

  it.each([
    ['wrong-secret', /^[0-9a-f]{64}$/],
    ['truncated', /^[0-9a-f]{32}$/],
    ['missing', /^none$/],
  ])('can be %s', async (signature, form) => {
    await subscribe();
    await addRule({ signature });
    await completePacket();
    await arrived(1);
    const sent = received[0]?.headers['mcp-signature'] ?? 'none';
    expect(sent).not.toBe(hmac(received[0]!.body));
    expect(sent).toMatch(form);
    await completePacket();
    await arrived(2);
    expect(received[1]?.headers['mcp-signature']).toBe(hmac(received[1]!.body));
  });

  it('follows a change of the secret', async () => {
    const id = await subscribe({ secret: 'first' });
    await portal.admin('PUT', `subscriptions/${id}`, { secret });
    await completePacket();
    await arrived(1);
    expect(received[0]?.headers['mcp-signature']).toBe(hmac(received[0]!.body));
  });
});

describe('an event', () => {
  const common = {
    carrier: {
      dotNumber: testCarrier,
      docketNumber: 'MC9999997',
      legalName: 'Sandbox Test Carrier 9999997',
      dbaName: 'Test Carrier',
    },
    customer: { customerID: 4101, companyName: 'Prairie Gateway Logistics' },
  };
  const localTime = /^2026-01-05T12:00:00(\.\d{1,7})?$/;
  const utcTime = /^2026-01-05T12:00:00(\.\d{1,7})?Z$/;

  it('has a time with seven digits, which no two share', async () => {
    await subscribe();
    for (let count = 0; count < 5; count += 1) await completePacket();
    await arrived(5);
    const times = received.map((_one, index) => bodyOf(index).eventDateTime);
    for (const time of times) expect(time).toMatch(/^2026-01-05T12:00:00\.000\d{4}Z$/);
    expect(new Set(times).size).toBe(5);
  });

  it('of a packet has the agreement, but for old packets', async () => {
    await subscribe();
    await completePacket();
    await arrived(1);
    expect(bodyOf(0)).toEqual({
      eventType: 'carrier.packet.completed',
      eventDateTime: expect.any(String),
      eventData: {
        agreement: {
          signatureDate: expect.stringMatching(localTime),
          signaturePerson: 'Alma Okafor',
          signaturePersonTitle: 'Owner',
          signaturePersonEmail: expect.stringContaining('@'),
          signaturePersonPhoneNumber: '5550100200',
          agreementImageBlobName: expect.stringMatching(/^company-agreement\/4101\/[0-9a-f-]{36}$/),
          ipAddress: {
            address: expect.any(String),
            city: expect.any(String),
            region: expect.any(String),
            country: expect.any(String),
          },
          geolocation: { latitude: 41.2565, longitude: -95.9345, error: null, method: 'IPAddress' },
        },
        ...common,
      },
    });
    await completePacket(testCarrier, { isSigned: false });
    await arrived(2);
    expect(bodyOf(1).eventData).toEqual(common);
  });

  it('of an incident report has the same shape, without an id, whatever became of it', async () => {
    await subscribe();
    const set = { types: ['Wrong Equipment'], origin: ['Salt Lake City', 'UT'], incidentOn: '01/04/2026' };
    const made = await portal.admin('POST', 'incident-reports', { dotNumber: testCarrier, set });
    const id = String(made.at('id'));
    const comment = { by: 'ReportingParty', name: 'Alma Okafor', at: portal.clock.now(), text: 'Damaged' };
    await portal.admin('PUT', `incident-reports/${id}`, { comments: [comment] });
    await portal.admin('DELETE', `incident-reports/${id}`);
    await arrived(3);
    const byType = Object.fromEntries(
      received.map((_one, index) => [bodyOf(index).eventType, bodyOf(index)]),
    );
    const report = {
      incidentDate: '01/04/2026',
      originCity: 'Salt Lake City',
      originStateProvinceName: 'UT',
      originCountryName: 'United States',
      destinationCity: 'Omaha',
      destinationStateProvinceName: 'NE',
      destinationCountryName: 'United States',
      reportedByCompany: 'Prairie Gateway Logistics',
      carrierEmails: expect.stringContaining('@'),
      createdBy: 'Alma Okafor',
      createdDate: expect.stringMatching(localTime),
      modifiedBy: 'Alma Okafor',
      modifiedDate: expect.stringMatching(localTime),
      incidentTypes: ['Wrong Equipment'],
      comments: [],
    };
    expect(byType['carrier.incident_report.created']?.eventData).toEqual({
      incidentReport: report,
      ...common,
    });
    const comments = [
      {
        commenterType: 'ReportingParty',
        commentBy: 'Alma Okafor',
        commentDate: expect.stringMatching(localTime),
        comment: 'Damaged',
      },
    ];
    for (const type of ['updated', 'retracted']) {
      expect(byType[`carrier.incident_report.${type}`]?.eventData).toEqual({
        incidentReport: { ...report, comments },
        ...common,
      });
    }
    const { access_token } = await portal.signIn();
    const left = await portal.api(access_token, `GetCarrierIncidentReports?DOTNumber=${testCarrier}`);
    expect((left.at('IncidentReports') as object[]).length).toBe(1);
  });

  it('of a VIN tells of the request that a customer made', async () => {
    await subscribe();
    const { access_token } = await portal.signIn();
    const query = `deliveryOption=2&vinVerificationPhoneNumber=(555) 010-0300&dotNumber=${testCarrier}&outputVINVerificationRequestID=true`;
    const asked = await portal.api(access_token, `RequestVINVerification?${query}`);
    const id = asked.at('VinVerificationRequestID');
    await portal.admin('POST', 'vin-verifications', {
      dotNumber: testCarrier,
      id,
      status: 'VINBelongsToAnotherCarrier',
      otherDotNumber: 4_100_201,
    });
    await arrived(1);
    expect(bodyOf(0).eventData).toEqual({
      vinVerificationDetail: {
        imageUploadedByFirstName: 'Alma',
        imageUploadedByLastName: 'Okafor',
        imageUploadedDateTime: expect.stringMatching(utcTime),
        imageUploadedIPAddress: expect.objectContaining({ city: 'Omaha' }),
        imageUploadedGeolocation: expect.objectContaining({ method: 'IPAddress' }),
        vin: expect.stringMatching(/^[A-HJ-NPR-Z0-9]{17}$/),
        vinVerificationStatus: 'VINBelongsToAnotherCarrier',
        otherDOTNumber: 4_100_201,
        vinVerificationRequestID: id,
        requesteePhoneNumber: '5550100300',
        vinImageUrl: expect.stringContaining('https://'),
      },
      ...common,
    });
    const shown = await portal.api(access_token, `GetCarrierVINVerifications?DOTNumber=${testCarrier}`);
    expect((shown.at('VINVerifications') as object[]).at(-1)).toMatchObject({
      VINVerificationStatus: { StatusID: 3, Description: 'VINBelongsToAnotherCarrier' },
      OtherCarrier: { DOTNumber: 4_100_201 },
    });
  });

  it('of a user has the role, spelt out where it is none of the usual', async () => {
    await subscribe();
    const person = { dotNumber: testCarrier, firstName: 'Kim', email: 'kim@test.example' };
    await portal.admin('POST', 'user-verifications', { ...person, title: 'Driver' });
    await arrived(1);
    await portal.admin('POST', 'user-verifications', { ...person, verificationStatus: 'Denied' });
    await arrived(2);
    expect(bodyOf(0).eventData).toEqual({
      userVerificationDetail: {
        firstName: 'Kim',
        lastName: 'Okafor',
        phoneNumber: '(555) 010-0200',
        role: 'Driver',
        otherRole: null,
        verificationStatus: 'Verified',
        verificationDatetime: expect.stringMatching(utcTime),
      },
      ...common,
    });
    expect(bodyOf(1).eventData['userVerificationDetail']).toMatchObject({
      role: 'Other',
      otherRole: 'Owner',
      verificationStatus: 'Denied',
    });
    const { access_token } = await portal.signIn();
    const contacts = await portal.api(access_token, `GetCarrierContacts?DOTNumber=${testCarrier}`);
    expect(contacts.at('0.Carrier.Contacts.2')).toMatchObject({
      FirstName: 'Kim',
      VerificationStatus: 'Denied',
    });
  });

  it('goes to the customers whose business it is, and to subscriptions of its type only', async () => {
    await subscribe({ events: ['carrier.incident_report.created'] });
    await subscribe({ customerId: 4202 });
    await subscribe({ customerId: 4303, events: ['carrier.packet.completed'] });
    await completePacket();
    await portal.admin('POST', 'incident-reports', { dotNumber: 2_107_765 });
    await arrived(1);
    await portal.admin('POST', 'incident-reports', { dotNumber: testCarrier });
    await arrived(3);
    const told = received.map((_one, index) => [
      bodyOf(index).eventData['carrier']?.['dotNumber'],
      bodyOf(index).eventData['customer']?.['customerID'],
    ]);
    expect(told.map((pair) => pair.join(' ')).sort()).toEqual([
      '2107765 4202',
      `${testCarrier} 4101`,
      `${testCarrier} 4202`,
    ]);
  });

  it('comes of what the API was asked for, after carriers have had their time', async () => {
    await portal.admin('PUT', 'settings', { answerAfterSeconds: 30 });
    await subscribe();
    const { access_token } = await portal.signIn();
    const ask = (path: string) => portal.api(access_token, `${path}&dotNumber=${testCarrier}`);
    await ask('EmailPacketInvitation?carrierEmail=a@b.example');
    await ask('RequestUserVerification?userVerificationEmail=new@person.example');
    await ask('RequestVINVerification?deliveryOption=2&vinVerificationPhoneNumber=5550100300');
    await portal.clock.advance(29_999);
    expect(received).toEqual([]);
    await portal.clock.advance(1);
    await arrived(3);
    expect(received.map(({ headers }) => String(headers['mcp-event'])).sort()).toEqual([
      'carrier.packet.completed',
      'carrier.user_verification.completed',
      'carrier.vin_verification.completed',
    ]);
  });
});

describe('a delivery', () => {
  it('is tried five times, at once twice, then after 5, 10 and 15 minutes, with the same bytes', async () => {
    await subscribe();
    answers = [500, 401, 302, 404, 503];
    await completePacket();
    await inState('waiting', 2);
    for (const minutes of [5, 10, 15]) {
      await asleep();
      const before = received.length;
      await portal.clock.advance(minutes * minuteMs - 1);
      expect(received.length).toBe(before);
      await portal.clock.advance(1);
      await arrived(before + 1);
    }
    await inState('failed', 5);
    const start = received[0]!.at;
    expect(received.map(({ at }) => (at - start) / minuteMs)).toEqual([0, 0, 5, 15, 30]);
    expect(new Set(received.map(({ body, headers }) => body + String(headers['mcp-signature']))).size).toBe(
      1,
    );
    const [delivery] = await deliveries();
    expect(delivery?.attempts.map(({ status }) => status)).toEqual([500, 401, 302, 404, 503]);

    const resent = await portal.admin('POST', `deliveries/${delivery!.id}/resend`, {});
    expect(resent.status).toBe(202);
    await inState('delivered', 6);
    expect(received[5]?.body).toBe(received[0]?.body);
  });

  it('waits as much shorter as is set', async () => {
    await portal.admin('PUT', 'settings', { retryScale: 0.01 });
    await subscribe();
    answers = [500, 500];
    await completePacket();
    await inState('waiting', 2);
    await asleep();
    await portal.clock.advance(2999);
    expect(received).toHaveLength(2);
    await portal.clock.advance(1);
    await inState('delivered', 3);
  });

  it('without an answer in time was not acknowledged', async () => {
    await portal.admin('PUT', 'settings', { deliveryTimeoutMs: 2000 });
    await subscribe();
    answers = [0];
    await completePacket();
    await arrived(1);
    await portal.clock.advance(2000);
    await inState('delivered', 2);
    expect((await deliveries())[0]?.attempts[0]?.status).toBeNull();
  });

  it('of an endpoint that cannot be reached is tried again', async () => {
    const closed = 'http://127.0.0.1:9/webhooks';
    const id = await subscribe({ url: closed });
    await completePacket();
    await inState('waiting', 2);
    await portal.admin('PUT', `subscriptions/${id}`, { url });
    await asleep();
    await portal.clock.advance(5 * minuteMs);
    await inState('delivered', 3);
    expect(received).toHaveLength(1);
  });

  it('comes several times on request, with the same bytes, and once again after that', async () => {
    await subscribe();
    await addRule({ duplicates: 2 });
    await completePacket();
    await arrived(3);
    await completePacket();
    await arrived(4);
    expect(new Set(received.slice(0, 3).map(({ body }) => body)).size).toBe(1);
    expect(received[3]?.body).not.toBe(received[0]?.body);
  });

  it('comes after later ones on request', async () => {
    await subscribe();
    await addRule({ after: 2 });
    const dotNumbers = [testCarrier, 2_290_417, 3_018_845];
    for (const dotNumber of dotNumbers) await completePacket(dotNumber);
    await arrived(3);
    expect(received.map((_one, index) => bodyOf(index).eventData['carrier']?.['dotNumber'])[2]).toBe(
      testCarrier,
    );
  });

  it('held back for later ones does not count those that were on their way before', async () => {
    await subscribe();
    await addRule({ delayMs: 5000 });
    await addRule({ after: 1 });
    await completePacket(2_290_417);
    await completePacket(testCarrier);
    await vi.waitFor(() => expect(portal.clock.sleeping()).toBe(2));
    await portal.clock.advance(5000);
    await inState('delivered', 1);
    await completePacket(3_018_845);
    await arrived(3);
    expect(received.map((_one, index) => bodyOf(index).eventData['carrier']?.['dotNumber'])).toEqual([
      2_290_417,
      3_018_845,
      testCarrier,
    ]);
  });

  it('held back for others that never come goes out after a minute', async () => {
    await subscribe();
    await addRule({ after: 1 });
    await completePacket();
    await asleep();
    await portal.clock.advance(minuteMs - 1);
    expect(received).toHaveLength(0);
    await portal.clock.advance(1);
    await inState('delivered', 1);
  });

  it('comes late on request, or never', async () => {
    await subscribe();
    await addRule({ delayMs: 5000, eventType: 'carrier.packet.completed' });
    await addRule({ lost: true });
    await completePacket();
    await completePacket();
    await asleep();
    expect((await deliveries()).map(({ state }) => state)).toEqual(['waiting', 'lost']);
    await portal.clock.advance(5000);
    await inState('delivered', 1);
    expect(received).toHaveLength(1);
    // Polling finds it all the same.
    const { access_token } = await portal.signIn();
    const range = 'fromDate=2026-01-05T12:00:00&toDate=2026-01-06';
    const packets = await portal.api(access_token, `CompletedPackets?${range}`);
    expect(packets.at('0.DOTNumber')).toBe(testCarrier);
  });

  it('does not keep the sandbox from closing', async () => {
    await subscribe();
    answers = [500, 500];
    await completePacket();
    await inState('waiting', 2);
    await asleep();
    await portal.close();
    await vi.waitFor(() => expect(portal.clock.sleeping()).toBe(0));
  });

  it('ends with its subscription', async () => {
    const id = await subscribe();
    answers = [500, 500];
    await completePacket();
    await inState('waiting', 2);
    await asleep();
    await portal.admin('DELETE', `subscriptions/${id}`);
    await portal.clock.advance(30 * minuteMs);
    expect(received).toHaveLength(2);
    expect((await portal.admin('GET', 'subscriptions')).json).toEqual({ subscriptions: [] });
  });
});

describe('the admin API', () => {
  it('shows subscriptions without their secrets', async () => {
    const id = await subscribe();
    const listed = await portal.admin('GET', 'subscriptions');
    expect(listed.at('subscriptions.0')).toMatchObject({ id, url, customerId: 4101 });
    expect(listed.text).not.toContain('secret');
  });

  it.each([
    ['POST', 'subscriptions', { secret: 'x', url: 'ftp://nowhere' }, 'url'],
    ['POST', 'subscriptions', { secret: 'x', url: 'http://x', events: ['carrier.gone'] }, 'events'],
    ['PUT', 'subscriptions/1', { secret: 'x' }, 'id'],
    ['POST', 'deliveries/1/resend', {}, 'id'],
    ['POST', 'delivery-rules', { signature: 'odd' }, 'signature'],
    ['POST', 'packets', { dotNumber: 1 }, 'dotNumber'],
    ['POST', 'packets', { dotNumber: testCarrier, customerId: 1 }, 'customerId'],
    [
      'POST',
      'carriers',
      { dotNumber: testCarrier, set: { insurance: { expiresOn: '2026-01-01' } } },
      'expiresOn',
    ],
    ['POST', 'carriers', { dotNumber: testCarrier, set: { infractions: ['Rudeness'] } }, 'infractions'],
    ['PUT', 'incident-reports/1', {}, 'id'],
    ['PUT', 'users', { userName: 'nobody' }, 'userName'],
    ['POST', 'tokens/revoke', { userName: 'nobody' }, 'userName'],
    ['PUT', 'settings', { refreshMode: 'never' }, 'refreshMode'],
    ['PUT', 'settings', { speed: 1 }, 'speed'],
  ])('names what is wrong in %s %s %j', async (method, path, body, name) => {
    const answer = await portal.admin(method, path, body);
    expect(answer.status).toBe(400);
    expect(answer.at('error')).toContain(name);
  });

  it('keeps the settings that are not named, and resets them all', async () => {
    await portal.admin('PUT', 'settings', { graceSeconds: 5 });
    const { json } = await portal.admin('PUT', 'settings', { refreshMode: 'stable' });
    expect(json).toMatchObject({ graceSeconds: 5, refreshMode: 'stable', rateLimits: false });
    const reset = await portal.admin('DELETE', 'settings');
    expect(reset.json).toMatchObject({ refreshMode: 'rotate-always-strict', rateLimits: true });
    // QuickBooks has settings of its own.
    expect((await portal.sandboxAdmin('GET', 'settings')).at('refreshMode')).toBe('stable-24h');
  });

  it('is shown at the root with the names to sign in', async () => {
    const html = await (await fetch(`${portal.url}/`)).text();
    expect(html).toContain('MyCarrierPackets');
    expect(html).toContain(portal.myCarrierPackets.username);
  });
});
