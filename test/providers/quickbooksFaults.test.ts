import { describe, expect, it } from 'vitest';
import type { HttpResponse } from '../../src/calls/http.ts';
import { classifyQuickBooks, classifyQuickBooksBatch } from '../../src/providers/quickbooksFaults.ts';
import { openSandbox } from '../support/sandbox.ts';

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const judge = (status: number, body: unknown) => classifyQuickBooks(answer(status, body));

interface Said {
  code: string;
  name: string;
  type: string;
}
/** One fault in every form in which it has been seen. */
const forms: Record<string, (said: Said) => unknown> = {
  'as the service writes it': ({ code, name, type }) => ({
    Fault: { Error: [{ Message: name, Detail: 'More', code, element: 'Line' }], type },
    time: '2026-01-05T04:00:00.000-08:00',
  }),
  'as the gateway writes it': ({ code, name, type }) => ({
    warnings: null,
    fault: {
      error: [
        {
          message: `message=${name}; errorCode=${code.padStart(6, '0')}; statusCode=400`,
          detail: 'More',
          code,
          element: null,
        },
      ],
      type: type.replace('Fault', '').toUpperCase(),
    },
    queryResponse: null,
    batchItemResponse: [],
  }),
  'with the code in the message alone': ({ code, name, type }) => ({
    fault: {
      error: [{ message: `message=${name}; errorCode=${code.padStart(6, '0')}; statusCode=400` }],
      type,
    },
  }),
  'with one error that is no list': ({ code, name, type }) => ({
    Fault: { Error: { Message: name, code }, type },
  }),
  'in the newer form': ({ code, name }) => ({ code, type: 'INPUT', message: null, detail: name }),
  'in XML': ({ code, name, type }) =>
    `<?xml version="1.0"?><IntuitResponse><Fault type="${type}"><Error code="${code}" element="Line"><Message>${name}</Message><Detail>More</Detail></Error></Fault></IntuitResponse>`,
  'in XML with a prefix': ({ code, name, type }) =>
    `<q:IntuitResponse xmlns:q="x"><q:Fault type='${type}'><q:Error element='' code='${code}'><q:Message>${name}</q:Message></q:Error></q:Fault></q:IntuitResponse>`,
};

const reauthorize = 'REAUTHORIZATION_REQUIRED';
const table: [
  statuses: number[],
  code: string,
  name: string,
  type: string,
  ours: string,
  retryable?: boolean,
][] = [
  [[401], '3200', 'AuthenticationFailed', 'AuthenticationFault', 'UNAUTHENTICATED'],
  [[401], '100', 'General authentication error', 'AuthenticationFault', 'UNAUTHENTICATED'],
  [[401, 403], '120', 'Authorization Failure', 'AuthorizationFault', reauthorize],
  [[403], '3100', 'ApplicationAuthorizationFailed', 'AuthorizationFault', reauthorize],
  [[400, 200], '610', 'Object Not Found', 'ValidationFault', 'NOT_FOUND'],
  [[400, 200], '5010', 'Stale Object Error', 'ValidationFault', 'CONFLICT', true],
  [[400, 200], '6240', 'Duplicate Name Exists Error', 'ValidationFault', 'CONFLICT', false],
  [[400, 200], '6140', 'Duplicate Document Number Error', 'ValidationFault', 'CONFLICT', false],
  [[400], '2010', 'Unsupported property', 'ValidationFault', 'VALIDATION_FAILED'],
  [[400], '2020', 'Required param missing', 'ValidationFault', 'VALIDATION_FAILED'],
  [[400], '2170', 'Invalid Enumeration', 'ValidationFault', 'VALIDATION_FAILED'],
  [[400], '2500', 'Invalid Reference Id', 'ValidationFault', 'VALIDATION_FAILED'],
  [[400, 200], '6000', 'Business Validation Error', 'ValidationFault', 'VALIDATION_FAILED'],
  [[400], '6190', 'Invalid Company Status', 'ValidationFault', 'FORBIDDEN'],
  [[400], '6210', 'Account Period Closed', 'ValidationFault', 'FORBIDDEN'],
  [[400], '6540', 'Deposited', 'ValidationFault', 'FORBIDDEN'],
  [[429, 403, 503, 200], '3001', 'ThrottleExceeded', 'SERVICE', 'RATE_LIMITED'],
  [[500, 503, 200], '10000', 'System Failure', 'SystemFault', 'PROVIDER_ERROR'],
];

describe('classifyQuickBooks', () => {
  const rows = table.flatMap(([statuses, code, name, type, ours, retryable]) =>
    statuses.flatMap((status) =>
      Object.keys(forms).map((form) => ({ status, code, name, type, ours, retryable, form })),
    ),
  );

  it.each(rows)('takes $status with $code $form for $ours', ({ status, form, ours, retryable, ...said }) => {
    const fault = judge(status, forms[form]!(said));
    expect(fault).toMatchObject({ code: ours, providerCode: said.code });
    expect(fault!.retryable).toBe(retryable);
    expect(fault!.retryAfterMs).toBe(ours === 'RATE_LIMITED' ? 60_000 : undefined);
    expect(fault!.message).toMatch(/QuickBooks/);
    expect(fault!.message).not.toContain(said.name);
    expect(JSON.stringify(fault!.details)).toContain(said.name);
  });

  it('gives what each form says as details', () => {
    const said = { code: '2500', name: 'Invalid Reference Id', type: 'ValidationFault' };
    const details = Object.fromEntries(
      Object.entries(forms).map(([form, write]) => [form, judge(400, write(said))!.details]),
    );
    const inMessage = 'message=Invalid Reference Id; errorCode=002500; statusCode=400';
    expect(details).toEqual({
      'as the service writes it': [{ code: '2500', message: 'Invalid Reference Id: More', element: 'Line' }],
      'as the gateway writes it': [{ code: '2500', message: `${inMessage}: More` }],
      'with the code in the message alone': [{ message: inMessage }],
      'with one error that is no list': [{ code: '2500', message: 'Invalid Reference Id' }],
      'in the newer form': [{ code: '2500', message: 'Invalid Reference Id' }],
      'in XML': [{ code: '2500', message: 'Invalid Reference Id: More', element: 'Line' }],
      'in XML with a prefix': [{ code: '2500', message: 'Invalid Reference Id' }],
    });
  });

  it('judges by the first of several errors and gives all of them as details', () => {
    const errors = ['2020', '5010', '610'].map((code) => ({ Message: `no ${code}`, code }));
    expect(judge(400, { Fault: { Error: errors, type: 'ValidationFault' } })).toMatchObject({
      code: 'VALIDATION_FAILED',
      providerCode: '2020',
      details: [
        { code: '2020', message: 'no 2020' },
        { code: '5010', message: 'no 5010' },
        { code: '610', message: 'no 610' },
      ],
    });
    const xml = errors
      .map(({ code }) => `<Error code="${code}"><Message>no ${code}</Message></Error>`)
      .join('');
    expect(judge(400, `<R><Fault type="ValidationFault">${xml}</Fault></R>`)?.details).toHaveLength(3);
  });

  it('lets no token of a detail through, in XML neither', () => {
    const token = 'AB11696969696969secretsecretABCDEF';
    const detail = `token="${token}" of bob@example.com`;
    const escaped = detail.replaceAll('"', '&quot;');
    const bodies = [
      { Fault: { Error: [{ Message: 'x', Detail: detail, code: '3200' }] } },
      { fault: { error: [{ message: detail, detail, code: token }] } },
      { code: 'AuthenticationFailed', type: 'INPUT', detail },
      `<R><Fault><Error code="${token}" element="${escaped}"><Detail>${escaped}</Detail></Error></Fault></R>`,
      `<html><title>${escaped}</title></html>`,
      detail,
    ];
    for (const body of bodies) {
      const fault = JSON.stringify(judge(401, body));
      expect(fault).toContain('[redacted]');
      expect(fault).not.toMatch(/secretsecret|bob/);
    }
  });

  it.each([
    [
      'the title of a page',
      '<html><head><title>503 Service Unavailable</title></head></html>',
      '503 Service Unavailable',
    ],
    ['plain text', 'upstream connect error', 'upstream connect error'],
    ['a message without a fault', { message: 'No Route' }, 'No Route'],
  ])('gives %s as a detail', (_, body, message) => {
    expect(judge(503, body)).toMatchObject({ code: 'PROVIDER_ERROR', details: [{ message }] });
  });

  it.each([
    [410, 'NOT_FOUND'],
    [412, 'CONFLICT'],
    [451, 'FORBIDDEN'],
    [413, 'BAD_REQUEST'],
  ])('takes a bare %i for %s, as HTTP means it', (status, code) => {
    expect(judge(status, '')).toMatchObject({ code });
  });
});

describe('classifyQuickBooksBatch', () => {
  const batch = (items: unknown[], key = 'BatchItemResponse') => answer(200, { [key]: items, time: 'x' });
  const fault = (code: string, type = 'ValidationFault') => ({ Error: [{ Message: 'm', code }], type });

  it('judges each item of an answer that is a success', () => {
    const items = [
      { bId: '1', Customer: { Id: '5' } },
      { bId: '2', QueryResponse: {} },
      { bId: '3', Fault: fault('5010') },
      { bId: '4', Fault: fault('3001', 'SERVICE') },
      { bId: '5', fault: { error: [{ message: 'm', code: '003200' }], type: 'AUTHENTICATION' } },
      { bId: '6', code: 'ThrottleExceeded', type: 'INPUT', detail: 'm' },
      { bId: '7', Fault: fault('10000', 'SystemFault') },
      { bId: '8', Fault: fault('6070') },
      { bId: '9', Fault: {} },
      { bId: '10' },
    ];
    const ids = [...items.map(({ bId }) => bId), '11'];
    const judged = classifyQuickBooksBatch(batch(items), ids);
    expect([...judged.keys()]).toEqual(ids);
    expect([...judged.values()].map((one) => one && [one.code, one.retryable, one.retryAfterMs])).toEqual([
      undefined,
      undefined,
      ['CONFLICT', true, undefined],
      ['RATE_LIMITED', undefined, 60_000],
      ['UNAUTHENTICATED', undefined, undefined],
      ['RATE_LIMITED', undefined, 60_000],
      ['PROVIDER_ERROR', undefined, undefined],
      ['VALIDATION_FAILED', undefined, undefined],
      ['PROVIDER_ERROR', undefined, undefined],
      ['PROVIDER_ERROR', undefined, undefined],
      ['PROVIDER_ERROR', undefined, undefined],
    ]);
  });

  it('finds no fault in the answer itself, whatever its items say', () => {
    expect(classifyQuickBooks(batch([{ bId: '1', Fault: fault('3001') }]))).toBeUndefined();
  });

  it('reads items in the gateway’s casing, and ids that are numbers', () => {
    const judged = classifyQuickBooksBatch(batch([{ bId: 1, Fault: fault('610') }], 'batchItemResponse'), [
      '1',
    ]);
    expect(judged.get('1')).toMatchObject({
      code: 'NOT_FOUND',
      providerCode: '610',
      details: [{ code: '610' }],
    });
  });

  it('names the request of the whole', () => {
    const response = { ...batch([{ bId: '1', Fault: fault('610') }]), headers: { intuit_tid: '1-69a0' } };
    expect(classifyQuickBooksBatch(response, ['1']).get('1')).toMatchObject({ requestId: '1-69a0' });
  });

  it.each([
    [429, '<R><Fault type="SERVICE"><Error code="3001"/></Fault></R>', 'RATE_LIMITED'],
    [
      401,
      { fault: { error: [{ code: '3200' }], type: 'AUTHENTICATION' }, batchItemResponse: [] },
      'UNAUTHENTICATED',
    ],
    [200, '<html>', 'PROVIDER_ERROR'],
    [200, { Fault: fault('1040') }, 'VALIDATION_FAILED'],
    [200, {}, 'PROVIDER_ERROR'],
    [200, { BatchItemResponse: null }, 'PROVIDER_ERROR'],
  ])('gives all items the fault of a %i that is no batch', (status, body, code) => {
    const judged = classifyQuickBooksBatch(answer(status, body), ['1', '2']);
    expect([...judged].map(([bId, one]) => [bId, one?.code])).toEqual([
      ['1', code],
      ['2', code],
    ]);
  });

  it('finds the throttled items in an answer of the emulated QuickBooks', async () => {
    const sandbox = await openSandbox({ settings: { throttledBatchItems: 2 } });
    try {
      const { access_token } = await sandbox.connect();
      const bIds = ['1', '2', '3'];
      const BatchItemRequest = bIds.map((bId) => ({ bId, Query: 'select count(*) from Invoice' }));
      const { status, headers, text } = await sandbox.post(access_token, 'batch', { BatchItemRequest });
      const response = { status, headers: Object.fromEntries(headers), body: text };
      const codes = [...classifyQuickBooksBatch(response, bIds).values()].map((one) => one?.code);
      expect(status).toBe(200);
      expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(2);
      expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    } finally {
      await sandbox.close();
    }
  });
});
