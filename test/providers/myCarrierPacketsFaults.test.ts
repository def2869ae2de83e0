import { describe, expect, it } from 'vitest';
import {
  classifyMyCarrierPackets,
  classifyMyCarrierPacketsItem,
} from '../../src/providers/myCarrierPacketsFaults.ts';

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const judge = (status: number, body: unknown, headers?: Record<string, string>) =>
  classifyMyCarrierPackets(answer(status, body, headers));
const page = (title: string) => `<!DOCTYPE html><html><head><title>${title}</title></head><body/></html>`;

describe('classifyMyCarrierPackets', () => {
  it.each([
    [200, { DOTNumber: 9999997 }],
    [200, []],
    [200, '"queued"'],
    [201, {}],
    [204, ''],
  ])('finds no fault in a %i with %j', (status, body) => {
    expect(judge(status, body)).toBeUndefined();
  });

  it.each([
    [400, { Message: 'The request is invalid.' }, 'BAD_REQUEST', 'The request is invalid.'],
    [400, { message: 'Bad docket', code: 'E17' }, 'BAD_REQUEST', 'Bad docket'],
    [
      401,
      { Message: 'Authorization has been denied for this request.' },
      'UNAUTHENTICATED',
      'Authorization has been denied for this request.',
    ],
    [401, 'Unauthorized', 'UNAUTHENTICATED', 'Unauthorized'],
    [403, { Message: 'No access' }, 'FORBIDDEN', 'No access'],
    [404, { Message: 'Carrier not found' }, 'NOT_FOUND', 'Carrier not found'],
    [404, 'Not Found', 'NOT_FOUND', 'Not Found'],
    [
      404,
      {
        Message: 'No HTTP resource was found that matches the request URI.',
        MessageDetail: "No action was found on the controller 'Carrier' that matches the request.",
      },
      'BAD_REQUEST',
      "No HTTP resource was found that matches the request URI.: No action was found on the controller 'Carrier' that matches the request.",
    ],
    [
      404,
      { Message: 'No HTTP resource was found that matches the request URI.' },
      'BAD_REQUEST',
      'No HTTP resource was found that matches the request URI.',
    ],
    [404, page('404 - File or directory not found.'), 'BAD_REQUEST', '404 - File or directory not found.'],
    [
      405,
      { Message: 'The requested resource does not support GET.' },
      'BAD_REQUEST',
      'The requested resource does not support GET.',
    ],
    [409, { Message: 'Already monitored' }, 'CONFLICT', 'Already monitored'],
    [422, { message: 'no' }, 'VALIDATION_FAILED', 'no'],
    [429, page('Too Many Requests'), 'RATE_LIMITED', 'Too Many Requests'],
    [
      500,
      { Message: 'An error has occurred.', ExceptionMessage: 'Null', StackTrace: 'at Mcp.Api' },
      'PROVIDER_ERROR',
      'An error has occurred.: Null',
    ],
    [
      500,
      { Message: 'Authorization has been denied for this request.' },
      'PROVIDER_ERROR',
      'Authorization has been denied for this request.',
    ],
    [502, page('502 Bad Gateway'), 'PROVIDER_ERROR', '502 Bad Gateway'],
    [302, page('Object moved'), 'PROVIDER_ERROR', 'Object moved'],
    [200, page('Sign in'), 'PROVIDER_ERROR', 'Sign in'],
  ])('takes %i with %j for %s', (status, body, code, message) => {
    const fault = judge(status, body);
    expect(fault).toMatchObject({ code, details: [{ message }] });
    expect(fault!.message).toMatch(/MyCarrierPackets/);
    expect(JSON.stringify(fault)).not.toContain('Mcp.Api');
  });

  it.each([
    [401, 'UNAUTHENTICATED'],
    [404, 'NOT_FOUND'],
    [503, 'PROVIDER_ERROR'],
    [200, 'PROVIDER_ERROR'],
  ])('takes a %i without a body for %s', (status, code) => {
    expect(judge(status, '')).toMatchObject({ code });
    expect(judge(status, '')).not.toHaveProperty('details');
  });

  it('keeps no part of a success that was cut short', () => {
    const fault = judge(200, '{"CarrierW9Forms":[{"SSN":"123');
    expect(fault).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(fault).not.toHaveProperty('details');
  });

  it('names the fields that were refused', () => {
    const body = {
      Message: 'The request is invalid.',
      ModelState: { DOTNumber: ['is not a number', 'is required'] },
    };
    expect(judge(400, body)).toMatchObject({
      code: 'VALIDATION_FAILED',
      details: [
        { message: 'The request is invalid.' },
        { element: 'DOTNumber', message: 'is not a number' },
        { element: 'DOTNumber', message: 'is required' },
      ],
    });
  });

  it('gives a code and a request id where there are any', () => {
    expect(judge(400, { message: 'x', code: 'E17' }, { 'request-id': 'r-1' })).toMatchObject({
      providerCode: 'E17',
      requestId: 'r-1',
    });
    expect(judge(400, { message: 'x' })).not.toHaveProperty('providerCode');
  });
});

describe('classifyMyCarrierPacketsItem', () => {
  const judgeItem = (item: unknown) =>
    classifyMyCarrierPacketsItem(answer(200, [item], { 'x-request-id': 'r-2' }), item);

  it.each([
    [{ Success: true, Message: 'Carrier not found', Carrier: {} }],
    [{ Carrier: {} }],
    [{ succeeded: true, data: [] }],
    [null],
    ['x'],
  ])('finds no fault in %j', (item) => {
    expect(judgeItem(item)).toBeUndefined();
  });

  it.each([
    [{ Success: false, Message: 'Carrier not found.' }, 'NOT_FOUND'],
    [{ Success: false, Message: 'Carrier could not be found' }, 'NOT_FOUND'],
    [{ success: false, message: 'DOT number does not exist' }, 'NOT_FOUND'],
    [{ Success: false, Message: 'Carrier is blocked' }, 'VALIDATION_FAILED'],
    [{ Success: false, Message: null }, 'VALIDATION_FAILED'],
    [{ succeeded: false, message: 'Page too large' }, 'VALIDATION_FAILED'],
  ])('takes %j for %s', (item, code) => {
    expect(judgeItem(item)).toMatchObject({ code, requestId: 'r-2' });
  });
});
