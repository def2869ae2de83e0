import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { openPortal, testCarrier, type TestPortal } from './portal.ts';

let portal: TestPortal;
let token: string;
const open = async (settings: Record<string, unknown> = {}) => {
  portal = await openPortal({ rateLimits: false, ...settings });
  token = (await portal.signIn()).access_token;
};
afterEach(() => portal.close());

const api = (path: string, init?: RequestInit) => portal.api(token, path, init);
const always = 'fromDate=2020-01-01T00:00:00&toDate=2030-01-01T00:00:00';
const intrastate = 3_456_001;

describe('a carrier', () => {
  it('is found by its DOT number, its docket number with the prefix, or both of the same carrier', async () => {
    await open();
    const status = async (query: string) => (await api(`GetCarrierData?${query}`)).status;
    expect(await status(`DOTNumber=${testCarrier}`)).toBe(200);
    expect(await status('DocketNumber=mc9999997')).toBe(200);
    expect(await status('DOTNumber=2290417&DocketNumber=MC9999997')).toBe(404);
    expect(await status('DocketNumber=9999997')).toBe(404);
    expect(await status(`DOTNumber=${intrastate}&DocketNumber=`)).toBe(200);
    // A parameter of the vendor's own guide, which no operation has.
    expect(await status(`DOTNumber=${testCarrier}&Docket=MC1`)).toBe(200);
    expect(await status('')).toBe(400);
  });

  it('that stays within its state has no docket number, and is monitored by its state’s number', async () => {
    await open();
    const preview = await api(`PreviewCarrier?DOTNumber=${intrastate}`);
    expect(preview.at('0')).toMatchObject({ DocketNumber: null, IsIntrastateCarrier: true });
    const data = await api(`GetCarrierData?DOTNumber=${intrastate}`);
    expect(data.at('MCNumber')).toBeNull();
    const listed = (await api('MonitoredCarriers')).json as { DOTNumber: number; IntrastateNumber: string }[];
    expect(listed.find(({ DOTNumber }) => DOTNumber === intrastate)?.IntrastateNumber).toBe('008123456C');
    expect((await api('CancelMonitoring?IntrastateNumber=008123456C')).status).toBe(200);
    expect((await api('CancelMonitoring?IntrastateNumber=008123456C')).status).toBe(400);
  });

  it('that nobody knows is 404, or on request an empty list', async () => {
    await open();
    const names = [
      'PreviewCarrier',
      'GetCarrierRiskAssessment',
      'GetCarrierData',
      'GetCarrierIncidentReports',
    ];
    const statuses = async () =>
      Promise.all(names.map(async (name) => (await api(`${name}?DOTNumber=1`)).status));
    expect(await statuses()).toEqual([404, 404, 404, 404]);
    expect((await api('PreviewCarrier?DOTNumber=1')).json).toEqual({ Message: 'Carrier not found.' });
    await portal.admin('PUT', 'settings', { unknownCarrier: 'empty' });
    expect(await statuses()).toEqual([200, 200, 404, 404]);
    expect((await api('PreviewCarrier?DOTNumber=1')).json).toEqual([]);
  });

  it('without contacts, or unknown, is a success that says no', async () => {
    await open();
    for (const dotNumber of [1, 1_234_321]) {
      const answer = await api(`GetCarrierContacts?DOTNumber=${dotNumber}`);
      expect([answer.status, answer.at('0.Success'), answer.at('0.Carrier')]).toEqual([200, false, null]);
    }
    const bulk = (await api('GetMonitoredCarrierContactsData')).at('data') as {
      DOTNumber: number;
      Success: boolean;
      Messages: string[];
    }[];
    expect(bulk.filter(({ Success }) => !Success)).toEqual([
      expect.objectContaining({ DOTNumber: 1_234_321, Messages: ['Carrier has no contacts.'] }),
    ]);
  });

  it('is written in the vendor’s mixed cases and spellings', async () => {
    await open();
    const preview = await api(`PreviewCarrier?DOTNumber=${testCarrier}`);
    expect(preview.at('0.DotNumber')).toBe(testCarrier);
    expect(preview.at('0.CertData.Certificates.0.Coverages.0.Deductible')).toBe('0');
    const data = await api(`GetCarrierData?DOTNumber=${testCarrier}`);
    expect(data.at('DOTNumber')).toBe(testCarrier);
    const details = 'AssureAdvantage.0.CarrierDetails';
    expect(data.at(`${details}.dotNumber`)).toEqual({ status: 'ACTIVE', Value: '9999997' });
    expect(data.at(`${details}.docketNumber`)).toBe('MC9999997');
    expect(data.at(`${details}.CertData.Certificate.0.Coverage.1.deductable`)).toBe('1000');
    expect(data.at(`${details}.FMCSAInsurance.PolicyList.0.cancelationDate`)).toBe('');
    expect(data.at(`${details}.Operation.entityFreightFowarder`)).toBe('N');
  });

  it('has bank and tax numbers that are well-formed and plainly made up, for those with its packet', async () => {
    await open();
    const data = await api(`GetCarrierData?DOTNumber=${testCarrier}`);
    expect(data.at('CarrierW9Forms.0.SSN')).toMatch(/^987-65-43\d\d$/);
    expect(data.at('CarrierW9Forms.0.EIN')).toMatch(/^00-\d{7}$/);
    expect(data.at('CarrierTINMatchings.0.TIN')).toMatch(/^00-\d{7}$/);
    for (const path of ['CarrierBank.CarrierBank', 'CarrierPaymentInfo.Bank', 'FactoringRemit.Bank']) {
      const routing = String(data.at(`${path}RoutingNumber`));
      expect(routing).toMatch(/^99\d{7}$/);
      const weighted = Array.from(routing, (digit, index) => Number(digit) * [3, 7, 1][index % 3]!);
      expect(weighted.reduce((sum, one) => sum + one) % 10).toBe(0);
      expect(data.at(`${path}AccountNumber`)).toMatch(/^\d{11}$/);
    }
    const without = await api(`GetCarrierData?DOTNumber=2107765`);
    expect(without.json).toMatchObject({ CarrierBank: null, CarrierW9Forms: [], CarrierTINMatchings: [] });
    expect(without.at('Message')).toBe('Carrier has not completed a packet.');
  });

  it.each([
    [testCarrier, 0, 'Low'],
    [2_555_020, 375, 'Review Required'],
    [3_777_010, 250, 'Review Required'],
    [3_999_045, 50, 'Low'],
    [1_000_001, 3000, 'Fail'],
  ])('of DOT %i has %i points of risk: %s', async (dotNumber, points, level) => {
    await open();
    const details = (await api(`GetCarrierRiskAssessment?dotNumber=${dotNumber}`)).at(
      '0.RiskAssessmentDetails',
    ) as Record<string, { TotalPoints: number; Infractions: { Points: number }[] }>;
    expect(details).toMatchObject({ TotalPoints: points, OverallRating: level });
    const parts = ['Authority', 'Insurance', 'Safety', 'Operation', 'Other'].map((name) => details[name]!);
    expect(parts.reduce((sum, { TotalPoints }) => sum + TotalPoints, 0)).toBe(points);
    const infractions = parts.flatMap(({ Infractions }) => Infractions);
    expect(infractions.reduce((sum, { Points }) => sum + Points, 0)).toBe(points);
  });

  it('shares a phone with another', async () => {
    await open();
    const found = await api('FindAssociatedCarriers?phone=555-010-0666');
    expect(found.at('AssociatedCarriersCount')).toBe(2);
    expect(found.at('AssociatedCarriers.1.PhoneAssociationTypes.0')).toEqual({
      AssociationType: 1,
      Description: 'Company',
    });
    expect((await api('FindAssociatedCarriers?')).status).toBe(400);
  });
});

describe('refusals', () => {
  it('come in the order route, method, what is required, token, values', async () => {
    await open();
    const refused = async (path: string, method: string, bearer: string) => {
      const answer = await portal.api(bearer, path, { method });
      return [answer.status, answer.at('MessageDetail') ?? answer.at('Message')];
    };
    expect(await refused('Nothing?DOTNumber=x', 'GET', '')).toEqual([
      404,
      "No action was found on the controller 'Carrier' that matches the name 'Nothing'.",
    ]);
    expect(await refused('CompletedPackets', 'GET', '')).toEqual([
      405,
      "The requested resource does not support http method 'GET'.",
    ]);
    expect((await refused('CompletedPackets?fromDate=x', 'POST', ''))[0]).toBe(404);
    expect((await refused('CompletedPackets?fromDate=x&toDate=x', 'POST', ''))[0]).toBe(401);
    const [status, detail] = await refused('CompletedPackets?fromDate=x&toDate=x', 'POST', token);
    expect([status, detail]).toEqual([
      400,
      expect.stringContaining("null entry for parameter 'fromDate' of non-nullable type 'System.DateTime'"),
    ]);
  });

  it('name each optional value that is of another type', async () => {
    await open();
    const answer = await api('MonitoredCarriers?pageNumber=one&pageSize=2147483648');
    expect([answer.status, answer.json]).toEqual([
      400,
      {
        Message: 'The request is invalid.',
        ModelState: {
          pageNumber: ["The value 'one' is not valid for Nullable`1."],
          pageSize: ["The value '2147483648' is not valid for Nullable`1."],
        },
      },
    ]);
  });

  it('of what is missing can be 400 instead', async () => {
    await open({ missingParameter: 'invalid' });
    expect(await api('CompletedPackets?fromDate=2026-01-01')).toMatchObject({
      status: 400,
      json: { Message: 'toDate is required.' },
    });
  });

  it('are XML when that is asked for', async () => {
    await open();
    const answer = await api('GetCarrierData?DOTNumber=1', { headers: { accept: 'application/xml' } });
    expect([answer.status, answer.headers.get('content-type'), answer.text]).toEqual([
      404,
      'application/xml; charset=utf-8',
      '<Error><Message>Carrier not found.</Message></Error>',
    ]);
  });

  it.each([403, 401])('of what the plan does not hold are %i', async (deniedStatus) => {
    await open({ deniedOperations: ['previewcarrier'], deniedStatus });
    expect((await api(`PreviewCarrier?DOTNumber=${testCarrier}`)).status).toBe(deniedStatus);
    expect((await api(`GetCarrierData?DOTNumber=${testCarrier}`)).status).toBe(200);
  });

  it.each([
    ['EmailPacketInvitation?carrierEmail=&dotNumber=2290417', 'carrierEmail'],
    ['EmailPacketInvitation?carrierEmail=a@b.example&notificationEmails=x&dotNumber=1', 'notificationEmails'],
    ['RequestUserVerification?userVerificationEmail=nobody&dotNumber=2290417', 'userVerificationEmail'],
    ['RequestVINVerification?deliveryOption=1&dotNumber=2290417', 'PhoneNumber (2)'],
    ['RequestVINVerification?deliveryOption=2&dotNumber=2290417', 'vinVerificationPhoneNumber'],
  ])('of %s name what is wrong', async (path, words) => {
    await open();
    const answer = await api(path);
    expect([answer.status, answer.at('Message')]).toEqual([400, expect.stringContaining(words)]);
  });

  it('meet a POST without a length before anything else', async () => {
    await open();
    const { hostname, port } = new URL(portal.url);
    const status = await new Promise((resolve, reject) => {
      const path = '/mycarrierpackets/api/v1/Carrier/MonitoredCarriers';
      const sent = httpRequest({ hostname, port, path, method: 'POST' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      sent.on('error', reject);
      sent.removeHeader('content-length');
      sent.removeHeader('transfer-encoding');
      sent.end();
    });
    expect(status).toBe(411);
  });

  it('of injected faults speak as the service would', async () => {
    await open();
    const fault = (rule: object) => portal.sandboxAdmin('POST', 'faults', rule);
    await fault({ status: 401, match: { pathContains: '/api/v1/' } });
    expect((await api('MonitoredCarriers')).json).toEqual({
      Message: 'Authorization has been denied for this request.',
    });
    await fault({ status: 500 });
    expect((await api('MonitoredCarriers')).json).toEqual({ Message: 'An error has occurred.' });
    await fault({ status: 400, match: { pathContains: '/token' } });
    expect((await portal.refresh('x')).json).toEqual({ error: 'invalid_grant' });
    await fault({ malformed: true, match: { pathContains: 'MonitoredCarriers' } });
    expect((await api('MonitoredCarriers')).json).toBeUndefined();
    await fault({ drop: true });
    await expect(api('MonitoredCarriers')).rejects.toThrow('fetch failed');
  });
});

describe('pages', () => {
  const header = async (path: string) => {
    const answer = await api(path);
    return [JSON.parse(answer.headers.get('x-pagination') ?? 'null'), (answer.json as object[]).length];
  };

  it.each([
    ['', null, 22],
    ['pageNumber=1', { pageNumber: 1, pageSize: 2500, totalPages: 1, totalCount: 22 }, 22],
    ['pageSize=10', { pageNumber: 1, pageSize: 10, totalPages: 3, totalCount: 22 }, 10],
    ['pageNumber=3&pageSize=10', { pageNumber: 3, pageSize: 10, totalPages: 3, totalCount: 22 }, 2],
    ['pageNumber=4&pageSize=10', { pageNumber: 4, pageSize: 10, totalPages: 3, totalCount: 22 }, 0],
    ['pageSize=5000', { pageNumber: 1, pageSize: 5000, totalPages: 1, totalCount: 22 }, 22],
    ['pageSize=5001', { pageNumber: 1, pageSize: 2500, totalPages: 1, totalCount: 22 }, 22],
    ['pageNumber=0&pageSize=0', { pageNumber: 1, pageSize: 2500, totalPages: 1, totalCount: 22 }, 22],
  ])('of MonitoredCarriers?%s have %j in the header, and %i rows', async (query, pagination, rows) => {
    await open();
    expect(await header(`MonitoredCarriers?${query}`)).toEqual([pagination, rows]);
  });

  it.each([
    ['', 250],
    ['pageSize=500', 500],
    ['pageSize=501', 250],
    ['pageSize=-1', 250],
  ])('of MonitoredCarrierData?%s are in the body, %i at most', async (query, pageSize) => {
    await open();
    const answer = await api(`MonitoredCarrierData?${query}`);
    expect(answer.headers.get('x-pagination')).toBeNull();
    expect(answer.json).toMatchObject({
      pageNumber: 1,
      pageSize,
      totalPages: 1,
      totalCount: 22,
      succeeded: true,
      message: null,
    });
    expect((answer.at('data') as object[]).length).toBe(22);
  });

  it('are of each customer’s own list', async () => {
    await open();
    const other = await portal.signIn({
      username: 'integration@harborandmain.example',
      password: 'sandbox-password-3',
    });
    const listed = await portal.api(other.access_token, 'MonitoredCarriers');
    expect((listed.json as object[]).length).toBe(5);
    expect((await api('BlockedCarriers')).at('0.DOTNumber')).toBe(1_000_001);
    expect((await portal.api(other.access_token, 'BlockedCarriers')).json).toEqual([]);
  });
});

describe('lists', () => {
  it('of monitored and blocked carriers follow what is asked for', async () => {
    await open();
    const dotNumber = 2_107_765;
    const listed = async (name: string) =>
      ((await api(name)).json as { DOTNumber: number }[]).some((one) => one.DOTNumber === dotNumber);
    const first = await api(`RequestMonitoring?DOTNumber=${dotNumber}`);
    expect(first.at('RequestDate')).toBe('2026-01-05T12:00:00');
    await portal.clock.advance(60_000);
    expect((await api(`RequestMonitoring?DOTNumber=${dotNumber}`)).json).toEqual(first.json);
    expect(await listed('MonitoredCarriers')).toBe(true);
    expect((await api(`PreviewCarrier?DOTNumber=${dotNumber}`)).at('0.IsMonitored')).toBe(true);
    expect((await api(`CancelMonitoring?DOTNumber=${dotNumber}`)).json).toEqual({
      MonitoringID: first.at('MonitoringID'),
      CancelDate: '2026-01-05T12:01:00',
    });
    expect(await listed('MonitoredCarriers')).toBe(false);

    const result = async (name: string) => (await api(`${name}?DOTNumber=${dotNumber}`)).json;
    expect([await result('BlockCarrier'), await result('BlockCarrier')]).toEqual([
      { Result: true, Message: 'Carrier was blocked.' },
      { Result: false, Message: 'Carrier is already blocked.' },
    ]);
    expect(await listed('BlockedCarriers')).toBe(true);
    expect([await result('UnblockCarrier'), await result('UnblockCarrier')]).toEqual([
      { Result: true, Message: 'Carrier was unblocked.' },
      { Result: false, Message: 'Carrier is not blocked.' },
    ]);
    expect(await listed('BlockedCarriers')).toBe(false);
  });

  it('of documents hold only what the customer may see', async () => {
    await open();
    const data = await api(`GetCarrierData?DOTNumber=${testCarrier}`);
    const agreement = String(
      data.at('CarrierCustomerAgreements.0.CarrierCustomerAgreementImages.0.BlobName'),
    );
    expect(agreement).toMatch(/^company-agreement\/4101\/[0-9a-f-]{36}$/);
    const other = await portal.signIn({
      username: 'integration@harborandmain.example',
      password: 'sandbox-password-3',
    });
    const answer = await api(`GetDocument?name=${agreement}`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/pdf']);
    expect((await portal.api(other.access_token, `GetDocument?name=${agreement}`)).status).toBe(404);
    // Of a carrier that only the first customer has a packet of.
    const own = await api('GetCarrierData?DOTNumber=2290417');
    const w9 = String(own.at('CarrierW9Forms.0.CarrierW9FormImages.0.BlobName'));
    const blob = 'AssureAdvantage.0.CarrierDetails.CertData.Certificate.0.BlobName';
    expect((await api(`GetDocument?name=${w9}`)).status).toBe(200);
    expect((await portal.api(other.access_token, `GetDocument?name=${w9}`)).status).toBe(404);
    const certificate = await portal.api(other.access_token, `GetDocument?name=${String(own.at(blob))}`);
    expect(certificate.text).toContain('Certificate of insurance of Dusty Road Trucking LLC');
    const [, table] = /startxref\n(\d+)/.exec(answer.text)!;
    expect(answer.text.slice(Number(table)).startsWith('xref')).toBe(true);
  });
});

describe('changes', () => {
  const dotNumber = 2_290_417;
  const change = (set: object, of = dotNumber) => portal.admin('POST', 'carriers', { dotNumber: of, set });
  const changes = async (from: string, to: string, more = '') => {
    const answer = await api(`CarriersChanges?fromDate=${from}&toDate=${to}${more}`);
    const rows = answer.at('CarrierList') as {
      ChangeDateTime: string;
      ChangeCategories: string[];
      CarrierDetails: { dotNumber: { Value: string } };
    }[];
    return { answer, rows };
  };

  it('show up by their time, both ends of the range included', async () => {
    await open();
    await change({ powerUnits: 77 });
    expect((await changes('2026-01-05T12:00:00', '2026-01-05T12:00:00')).rows).toHaveLength(1);
    expect((await changes('2026-01-05T11:00:00', '2026-01-05T11:59:59.9999999')).rows).toEqual([]);
    expect((await changes('2026-01-05T12:00:00.001', '2026-01-06')).rows).toEqual([]);
  });

  it('have the categories of what changed, once for each carrier', async () => {
    await open();
    await change({ insurance: { cancelledOn: '01/04/2026' } });
    await portal.clock.advance(1500);
    await change({ city: 'Lincoln' });
    await change({ email: 'new@dispatch.example' });
    await change({ infractions: ['UnsafeDriving'] }, testCarrier);
    // Nobody of this customer monitors it.
    await change({ powerUnits: 1 }, 2_107_765);
    const { answer, rows } = await changes('2026-01-05T12:00:00', '2026-01-05T13:00:00');
    expect(rows.map((one) => [one.CarrierDetails.dotNumber.Value, one.ChangeCategories])).toEqual([
      [String(dotNumber), ['Insurance', 'RiskAssessment', 'FMCSA']],
      [String(testCarrier), ['RiskAssessment']],
    ]);
    expect(rows[0]?.ChangeDateTime).toMatch(/^2026-01-05T12:00:01\.5\d{0,5}[1-9]$/);
    expect(answer.json).toMatchObject({
      FromDate: '2026-01-05T12:00:00',
      ToDate: '2026-01-05T13:00:00',
      InsuranceChangeCount: 1,
      FMCSAChangeCount: 1,
      RiskAssessmentChangeCount: 2,
      CarrierCount: 2,
    });
    const again = await api(`GetCarrierData?DOTNumber=${dotNumber}`);
    expect(again.json).toMatchObject({ City: 'Lincoln', Email: 'new@dispatch.example' });
    expect(again.at('ModifiedDateTime')).toBe(rows[0]?.ChangeDateTime);
  });

  it('of a bank account are told by nobody but the time of the carrier', async () => {
    await open();
    const bank = { name: 'Another Bank', routingNumber: '990000013', accountNumber: '1', type: 'Savings' };
    expect((await change({ payment: { bank } })).json).toEqual({ changes: [] });
    expect((await changes('2026-01-05T12:00:00', '2026-01-06')).rows).toEqual([]);
    expect((await api(`GetCarrierData?DOTNumber=${dotNumber}`)).json).toMatchObject({
      CarrierBank: { CarrierBankAccountNumber: '1' },
      ModifiedDateTime: '2026-01-05T12:00:00',
    });
  });

  it('come by page, each carrier once, although it changes again meanwhile', async () => {
    await open();
    const seen: string[] = [];
    for (let pageNumber = 1, totalPages = 1; pageNumber <= totalPages; pageNumber += 1) {
      const { answer, rows } = await changes(
        '2025-01-01',
        '2026-01-05T12:00:00',
        `&pageNumber=${pageNumber}&pageSize=5`,
      );
      totalPages = (JSON.parse(answer.headers.get('x-pagination')!) as { totalPages: number }).totalPages;
      seen.push(...rows.map((one) => one.CarrierDetails.dotNumber.Value));
      await portal.clock.advance(1000);
      await change({ powerUnits: 100 + pageNumber }, Number(seen[0]));
    }
    expect(seen).toHaveLength(22);
    expect(new Set(seen).size).toBe(22);
  });

  it('and packets show up late when there is a lag', async () => {
    await open({ visibilityLagMs: 60_000 });
    await change({ powerUnits: 77 });
    await portal.admin('POST', 'packets', { dotNumber });
    const found = async () => [
      (await changes('2026-01-05T12:00:00', '2026-01-06')).rows.length,
      ((await api('CompletedPackets?fromDate=2026-01-05T12:00:00&toDate=2026-01-06')).json as object[])
        .length,
    ];
    expect(await found()).toEqual([0, 0]);
    await portal.clock.advance(60_000);
    expect(await found()).toEqual([1, 1]);
  });

  it('of packets are told with the time of completion', async () => {
    await open();
    await portal.clock.advance(90_000);
    await portal.admin('POST', 'packets', { dotNumber });
    const packets = await api('CompletedPackets?fromDate=2026-01-05T12:00:00&toDate=2026-01-06T00:00:00');
    expect(packets.json).toEqual([
      {
        DOTNumber: dotNumber,
        DocketNumber: 'MC490417',
        LegalName: 'Dusty Road Trucking LLC',
        CompletedDate: '2026-01-05T12:01:30',
      },
    ]);
  });

  it('of factoring companies need no end of the range', async () => {
    await open();
    await portal.admin('PUT', 'factoring-companies/902', { phone: '(555) 010-0999' });
    const answer = await api('GetUpdatedFactoringCompanies?fromDate=2026-01-05T12:00:00Z');
    expect(answer.at('FactoringCompaniesCount')).toBe(1);
    expect(answer.at('FactoringCompanies.0')).toMatchObject({
      FactoringCompanyID: 902,
      FactoringPhone: '(555) 010-0999',
      UpdatedDateTime: '2026-01-05T12:00:00',
    });
  });

  it.each([
    ['a time without a zone, on the portal’s wall', '2026-01-05T06:00:00'],
    ['a zone of its own', '2026-01-05T13:00:00%2B01:00'],
    ['Z, with a fraction', '2026-01-05T12:00:00.0000000Z'],
  ])('are asked for with %s', async (_case, from) => {
    await open({ zoneOffsetMinutes: -360 });
    await change({ powerUnits: 77 });
    const { rows } = await changes(from, '2026-01-06');
    expect(rows.map((one) => one.ChangeDateTime)).toEqual(['2026-01-05T06:00:00']);
    await portal.clock.advance(1000);
    expect((await changes(from.replace('00:00', '00:01'), '2026-01-06')).rows).toEqual([]);
  });

  it('happen by themselves when that is asked for, and the same number of them until it ends', async () => {
    await open({ activityEverySeconds: 10 });
    await portal.clock.advance(600_000);
    const changed = (await changes('2026-01-05T12:00:01', '2026-01-06')).rows.length;
    const packets = await api('CompletedPackets?fromDate=2026-01-05T12:00:01&toDate=2026-01-06');
    expect(changed).toBeGreaterThan(3);
    expect((packets.json as object[]).length).toBeGreaterThan(3);
    await portal.admin('PUT', 'settings', { activityEverySeconds: null });
    expect(portal.clock.sleeping()).toBe(0);
  });
});

describe('limits', () => {
  it('allow CarriersChanges every four minutes, with all its pages', async () => {
    await open({ rateLimits: true, windowToleranceMs: 0 });
    const statusOf = async (page: number) => {
      const answer = await api(`CarriersChanges?${always}&pageSize=5&pageNumber=${page}`);
      return [answer.status, answer.headers.get('retry-after')];
    };
    expect(await statusOf(1)).toEqual([200, null]);
    for (const page of [2, 3, 4, 5]) expect(await statusOf(page)).toEqual([200, null]);
    await portal.clock.advance(60_000);
    expect(await statusOf(1)).toEqual([429, '180']);
    await portal.clock.advance(179_999);
    expect(await statusOf(1)).toEqual([429, '1']);
    await portal.clock.advance(1);
    expect(await statusOf(1)).toEqual([200, null]);
  });

  it('are each user’s own', async () => {
    await open({ rateLimits: true });
    await api(`CarriersChanges?${always}`);
    const other = await portal.signIn({
      username: 'integration@blueridgefreight.example',
      password: 'sandbox-password-2',
    });
    expect((await portal.api(other.access_token, `CarriersChanges?${always}`)).status).toBe(200);
    expect((await api(`CarriersChanges?${always}`)).at('Message')).toBe(
      'API calls quota exceeded! maximum admitted 1 per 240 Seconds.',
    );
  });

  it('can be of all requests in a minute, told with or without the time to wait', async () => {
    await open({ rateLimits: true, requestsPerMinute: 2, windowToleranceMs: 0 });
    const statuses = async () => [
      (await api('BlockedCarriers')).status,
      (await api('MonitoredCarriers')).status,
    ];
    expect(await statuses()).toEqual([200, 200]);
    const refused = await api('BlockedCarriers');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
    await portal.clock.advance(60_000);
    expect(await statuses()).toEqual([200, 200]);
    await portal.admin('PUT', 'settings', { sendRetryAfter: false });
    expect((await api('BlockedCarriers')).headers.get('retry-after')).toBeNull();
  });
});
