import { answerTime } from './time.ts';

export interface FaultError {
  Message: string;
  Detail: string;
  code: string;
  element?: string;
}

/**
 * A refusal by the API. The service itself writes `Fault.Error[].Message`; the gateway in front of it, which judges
 * tokens, writes `fault.error[].message` with a number for the time.
 */
export class QuickBooksFault extends Error {
  override readonly name = 'QuickBooksFault';
  readonly status: number;
  readonly type: string;
  readonly error: FaultError;
  readonly from: 'service' | 'gateway';

  constructor(status: number, type: string, error: FaultError, from: 'service' | 'gateway' = 'service') {
    super(error.Message);
    this.status = status;
    this.type = type;
    this.error = error;
    this.from = from;
  }
}

const validation = (code: string, Message: string, Detail: string, element = '') =>
  new QuickBooksFault(400, 'ValidationFault', { Message, Detail, code, element });
const gateway = (status: number, type: string, code: string, name: string, Detail: string) => {
  const Message = `message=${name}; errorCode=00${code}; statusCode=${status}`;
  return new QuickBooksFault(status, type, { Message, Detail, code }, 'gateway');
};

export const faults = {
  /** The real detail can echo the token; so does this one. */
  tokenExpired: (token: string) =>
    gateway(401, 'AUTHENTICATION', '3200', 'AuthenticationFailed', `Token expired: ${token}`),
  tokenMalformed: () =>
    gateway(
      401,
      'AUTHENTICATION',
      '3200',
      'AuthenticationFailed',
      'Malformed bearer token: too short or too long',
    ),
  wrongCompany: () => gateway(403, 'SERVICE', '3100', 'ApplicationAuthorizationFailed', ''),
  adminLostAccess: () =>
    new QuickBooksFault(403, 'AuthorizationFault', {
      Message: 'Authorization Failure',
      Detail: 'The user who connected this company is no longer an administrator of it. (-11014)',
      code: '120',
      element: '',
    }),
  subscriptionEnded: () =>
    validation(
      '6190',
      'Invalid Company Status',
      'Subscription period has ended or canceled or there was a billing problem',
    ),
  throttled: (status: number) =>
    new QuickBooksFault(status, 'SERVICE', {
      Message: `message=ThrottleExceeded; errorCode=003001; statusCode=${status}`,
      Detail: 'The request limit was reached. Please try your request later.',
      code: '3001',
    }),
  system: (status = 500) =>
    new QuickBooksFault(status, 'SystemFault', {
      Message: 'An application error has occurred while processing your request',
      Detail: 'System Failure Error: Unexpected Internal Error',
      code: '10000',
      element: '',
    }),
  notFound: () =>
    validation(
      '610',
      'Object Not Found',
      'Object Not Found : Something you are trying to use has been made inactive. Check the fields with accounts, customers, items, vendors or employees.',
    ),
  stale: () =>
    validation(
      '5010',
      'Stale Object Error',
      'Stale Object Error : You and somebody else were working on this at the same time. The other save came first.',
    ),
  duplicateName: (id: string) =>
    validation('6240', 'Duplicate Name Exists Error', `The name supplied already exists. : Id=${id}`),
  duplicateNumber: (number: string, id: string) =>
    validation(
      '6140',
      'Duplicate Document Number Error',
      `Duplicate Document Number Error : You must specify a different number. This number has already been used. DocNumber=${number} is assigned to TxnId=${id}`,
    ),
  badProperty: (detail: string, element = '') =>
    validation('2010', 'Request has invalid or unsupported property', detail, element),
  missing: (property: string) =>
    validation(
      '2020',
      'Required param missing, need to supply the required value for the API',
      `Required parameter ${property} is missing in the request`,
      property,
    ),
  badNumber: (property: string, value: string) =>
    validation(
      '2030',
      'Invalid ID',
      `Invalid ID. ${property} should be a number. Supplied value:${value}`,
      property,
    ),
  badEnumeration: (property: string, value: string) =>
    validation('2170', 'Invalid Enumeration', `Invalid Enumeration : ${value}`, property),
  badReference: (property: string, value: string) =>
    validation(
      '2500',
      'Invalid Reference Id',
      `Invalid Reference Id : ${property} element id ${value} not found`,
      property,
    ),
  business: (detail: string) =>
    validation(
      '6000',
      'A business validation error has occurred while processing your request',
      `Business Validation Error: ${detail}`,
    ),
  wrongAmount: (value: number) =>
    validation(
      '6070',
      'Amount calculation incorrect in the request.',
      `Amount is not equal to UnitPrice * Qty. Supplied value:${value}`,
      'Line.Amount',
    ),
  periodClosed: (through: string) =>
    validation(
      '6210',
      'Account Period Closed, Cannot Update Through Services API',
      `The account period has closed and the account books cannot be updated through through the QBO Services API. Books closed through ${through}.`,
    ),
  unsupported: (operation: string) =>
    validation('500', 'Unsupported Operation', `Operation ${operation} is not supported.`),
  batchTooLarge: (limit: number) =>
    validation(
      '1040',
      'Batch size exceeds allowed limit',
      `The maximum number of BatchItemRequest in a request is ${limit}`,
    ),
  contentType: (type: string) =>
    validation('1050', 'Invalid Content Type', `Content type ${type} is not supported`),
  queryParser: (detail: string) => validation('4000', 'Error parsing query', `QueryParserError: ${detail}`),
  queryValidation: (detail: string) => validation('4001', 'Invalid query', `QueryValidationError: ${detail}`),
};

/** What stands under `Fault`, in an answer of its own or in a batch item. */
export function faultBody({ error, type }: QuickBooksFault): object {
  return { Error: [error], type };
}

/** The whole JSON answer. */
export function faultEnvelope(fault: QuickBooksFault, nowMs: number, form: 'gateway' | 'plain'): object {
  if (fault.from === 'service') return { Fault: faultBody(fault), time: answerTime(nowMs) };
  const { Message, Detail, code } = fault.error;
  if (form === 'plain') {
    return {
      code: /message=(\w+)/.exec(Message)?.[1] ?? 'AuthenticationFailed',
      type: 'INPUT',
      message: null,
      detail: Detail,
    };
  }
  return {
    warnings: null,
    intuitObject: null,
    fault: { error: [{ message: Message, detail: Detail || null, code, element: null }], type: fault.type },
    report: null,
    queryResponse: null,
    batchItemResponse: [],
    attachableResponse: [],
    syncErrorResponse: null,
    requestId: null,
    time: nowMs,
    status: null,
    cdcresponse: [],
  };
}
