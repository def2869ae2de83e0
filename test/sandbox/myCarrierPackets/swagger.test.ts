import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operations } from '../../../src/sandbox/myCarrierPackets/operations.ts';
import { declaredModels, declaredOperations, declaredWideModels } from './declared.ts';
import { openPortal, testCarrier, type TestPortal } from './portal.ts';
import { declaredIn, shapeProblems } from './shapes.ts';
import { textsOf, valueOfXml } from './xml.ts';

let portal: TestPortal;
let token: string;
beforeAll(async () => {
  portal = await openPortal({ rateLimits: false });
  token = (await portal.signIn()).access_token;
});
afterAll(() => portal.close());

const always = 'fromDate=2020-01-01T00:00:00&toDate=2030-01-01T00:00:00';
const invited = 'carrierEmail=a@b.example&dotNumber=2290417';
const document = async () => {
  const data = await portal.api(token, `GetCarrierData?DOTNumber=${testCarrier}`);
  return String(data.at('CarrierW9Forms.0.CarrierW9FormImages.0.BlobName'));
};
/** Requests of each operation that together show all of its answer. */
const requests: Record<string, string[]> = {
  PreviewCarrier: [`DOTNumber=${testCarrier}`, 'DOTNumber=3456001', 'docketNumber=MC100001'],
  GetCarrierData: ['DOTNumber=2290417', `DOTNumber=${testCarrier}`, 'DOTNumber=3456001'],
  GetCarrierContacts: [`DOTNumber=${testCarrier}`, 'DOTNumber=1234321', 'DOTNumber=1'],
  FindAssociatedCarriers: ['phone=5550100666', 'email=nobody@nowhere.example'],
  GetCarrierIncidentReports: [`DOTNumber=${testCarrier}`, 'DOTNumber=2290417'],
  GetCarrierVINVerifications: [`DOTNumber=${testCarrier}`],
  GetMonitoredCarrierContactsData: [''],
  GetDocument: [],
  EmailPacketInvitation: [invited],
  RequestUserVerification: [`userVerificationEmail=a@b.example&dotNumber=2290417`],
  RequestVINVerification: [
    'deliveryOption=2&vinVerificationPhoneNumber=5550100300&dotNumber=2290417&outputVINVerificationRequestID=true',
  ],
  CompletedPackets: [always],
  CarriersChanges: [always, `${always}&pageSize=2`],
  RequestMonitoring: ['DOTNumber=2107765'],
  CancelMonitoring: ['DOTNumber=2107765'],
  BlockCarrier: ['DOTNumber=2107765', 'DOTNumber=2107765'],
  UnblockCarrier: ['DOTNumber=2107765', 'DOTNumber=2107765'],
  GetUpdatedFactoringCompanies: [always],
  GetCarrierRiskAssessment: ['dotNumber=2555020'],
  GetMonitoredCarriersRiskAssessment: [''],
  MonitoredCarriers: ['', 'pageNumber=1'],
  MonitoredCarrierData: [''],
  BlockedCarriers: [''],
};
/** Never filled by these made-up carriers: nobody reviews their risk. */
const unused = ['ReviewDetails'];

describe('the API', () => {
  it('has the operations that the vendor declares, and no others', () => {
    expect(Object.keys(operations).sort()).toEqual(declaredOperations.map(([name]) => name).sort());
    expect(Object.keys(requests).sort()).toEqual(Object.keys(operations).sort());
  });

  it.each(declaredOperations.map(([name, parameters]) => [name, parameters] as const))(
    '%s takes exactly the parameters that are declared: %s',
    (name, parameters) => {
      const types: Record<string, string> = {
        int32: 'int',
        string: 'text',
        boolean: 'flag',
        'date-time': 'time',
      };
      const declared = declaredIn(parameters).map((one) => [
        one.name,
        types[one.type.replace(/\(.*/, '')] + (one.required ? '!' : ''),
      ]);
      expect(operations[name]?.takes).toEqual(Object.fromEntries(declared));
    },
  );

  it.each(declaredOperations.filter(([name]) => name !== 'GetDocument'))(
    '%s answers with what is declared (%s): %s',
    async (name, _takes, returns) => {
      for (const query of requests[name]!) {
        const answer = await portal.api(token, `${name}?${query}`);
        expect([answer.status, query]).toEqual([200, query]);
        expect(shapeProblems(answer.json, returns)).toEqual([]);
      }
    },
  );

  it('GetDocument answers with a PDF', async () => {
    const answer = await portal.api(token, `GetDocument?name=${await document()}`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/pdf']);
    expect(answer.text).toMatch(/^%PDF-1\.4\n[\s\S]*%%EOF\n$/);
  });

  it.each(declaredOperations.filter(([, takes]) => takes.includes('!')))(
    '%s finds no action without any one of what is required (%s)',
    async (name, takes) => {
      const declared = declaredIn(takes);
      const values: Record<string, string> = { 'date-time': '2026-01-01', 'int32(1,2)': '2' };
      for (const { name: left } of declared.filter(({ required }) => required)) {
        const others = declared.filter((one) => one.required && one.name !== left);
        const query = new URLSearchParams(others.map((one) => [one.name, values[one.type] ?? 'text']));
        const answer = await portal.api(token, `${name}?${query}`);
        expect([answer.status, answer.at('MessageDetail')]).toEqual([
          404,
          "No action was found on the controller 'Carrier' that matches the request.",
        ]);
      }
    },
  );

  it.each(declaredOperations.filter(([, takes]) => /:(int32|boolean|date-time)/.test(takes)))(
    '%s refuses values of another type (%s)',
    async (name, takes) => {
      const declared = declaredIn(takes);
      const good: Record<string, string> = { 'date-time': '2026-01-01T00:00:00', 'int32(1,2)': '2' };
      const needed = declared
        .filter(({ required }) => required)
        .map((one) => [one.name, good[one.type] ?? 'a@b.example'] as const);
      for (const { name: wrong } of declared.filter(({ type }) => type !== 'string')) {
        const query = new URLSearchParams(Object.fromEntries([...needed, [wrong, 'abc']]));
        const answer = await portal.api(token, `${name}?${query}`);
        expect([answer.status, answer.at('Message')]).toEqual([400, 'The request is invalid.']);
        expect(answer.text).toContain(wrong);
      }
    },
  );

  it('shows every declared model', async () => {
    await portal.api(token, `EmailPacketInvitation?${invited}`);
    const seen = new Set<string>();
    for (const [name, , returns] of declaredOperations) {
      for (const query of requests[name]!) {
        shapeProblems((await portal.api(token, `${name}?${query}`)).json, returns, seen);
      }
    }
    const declared = [...Object.keys(declaredModels), ...Object.keys(declaredWideModels)];
    expect(declared.filter((model) => !seen.has(model))).toEqual(unused);
  });

  it.each(declaredOperations)('%s takes names of paths and parameters in any case', async (name) => {
    const [query = ''] = name === 'GetDocument' ? [`name=${await document()}`] : requests[name]!;
    const swapped = query.replace(/(^|&)([^=]+)=/g, (_all, start: string, parameter: string) => {
      const isLower = parameter === parameter.toLowerCase();
      return `${start}${isLower ? parameter.toUpperCase() : parameter.toLowerCase()}=`;
    });
    if (name === 'CancelMonitoring') await portal.api(token, `RequestMonitoring?${query}`);
    const url = `${portal.url}/mycarrierpackets/API/v1/carrier/${name.toLowerCase()}?${swapped}`;
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(url, { method: 'POST', headers });
    expect(answer.status).toBe(200);
  });

  it.each(declaredOperations.filter(([, , , ...also]) => also.includes('xml')))(
    '%s says the same in XML (%s): %s',
    async (name, _takes, returns) => {
      for (const query of requests[name]!) {
        if (asksOnce.includes(name)) continue;
        const path = `${name}?${query}`;
        const answer = await portal.api(token, path, { headers: { accept: 'text/xml' } });
        expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/xml; charset=utf-8']);
        const same = await portal.api(token, path);
        expect(withoutClock(valueOfXml(answer.text, returns))).toEqual(withoutClock(textsOf(same.json)));
      }
    },
  );

  it.each(declaredOperations.filter(([, , , ...also]) => !also.includes('xml')))(
    '%s stays what it is when XML is asked for',
    async (name) => {
      const [query = ''] = name === 'GetDocument' ? [`name=${await document()}`] : requests[name]!;
      const answer = await portal.api(token, `${name}?${query}`, { headers: { accept: 'text/xml' } });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toMatch(/^application\/(json; charset=utf-8|pdf)$/);
    },
  );

  it.each([
    ['text/xml;q=0.5, application/json', 'application/json'],
    ['text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8', 'application/xml'],
    ['text/json', 'text/json'],
    ['image/png', 'application/json'],
    ['*/*', 'application/json'],
  ])('asked for %s answers in %s', async (accept, type) => {
    const answer = await portal.api(token, 'MonitoredCarriers', { headers: { accept } });
    expect(answer.headers.get('content-type')).toBe(`${type}; charset=utf-8`);
  });

  it('sends the header X-Pagination where it is declared, when a page is asked for', async () => {
    for (const [name, takes, , ...also] of declaredOperations) {
      if (!takes.includes('pageNumber')) continue;
      const answer = await portal.api(token, `${name}?${always}&pageNumber=1&pageSize=3`);
      const header = answer.headers.get('x-pagination');
      const isDeclared = also.includes('X-Pagination');
      expect([name, header !== null]).toEqual([name, isDeclared]);
      const pagination: unknown = isDeclared ? JSON.parse(header!) : answer.json;
      expect(pagination).toMatchObject({ pageNumber: 1, pageSize: 3 });
    }
  });
});

/** Their second answer is not the first. */
const asksOnce = ['CancelMonitoring', 'BlockCarrier', 'UnblockCarrier'];

/** The time of the request stands in some answers. */
function withoutClock(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'RequestDateTimeUtc' in value
    ? { ...value, RequestDateTimeUtc: '' }
    : value;
}
