import type { Fault, HttpResponse } from '../calls/http.ts';
import {
  asObject,
  codeText,
  detailsIn,
  faultOf,
  jsonIn,
  textOf,
  usualRequestIdHeaders,
  verdictOf,
  type Dialect,
  type Verdict,
} from './httpFaults.ts';

const dialect: Dialect = {
  name: 'MyCarrierPackets',
  requestIdHeaders: usualRequestIdHeaders,
  words: {
    FORBIDDEN: 'The MyCarrierPackets user or its plan does not allow this.',
    NOT_FOUND: 'MyCarrierPackets does not know this carrier.',
  },
};

/**
 * ASP.NET Web API: the status decides, the body explains with `{ "Message" }` or `{ "message", "code" }`, or is a page
 * of the server before it. The vendor documents no codes. Every read answers JSON, so a success that is none (a
 * sign-in or maintenance page, half a body) is a failure.
 */
export function classifyMyCarrierPackets(response: HttpResponse): Fault | undefined {
  const { status, body } = response;
  const succeeded = status >= 200 && status < 300;
  if (succeeded && (status === 204 || jsonIn(body) !== undefined)) return undefined;
  const details = succeeded && !isPage(body) ? [] : detailsIn(body);
  const providerCode = details.map(({ code }) => codeText(code)).find((code) => code !== undefined);
  return faultOf(dialect, response, { ...verdictFor(status, body), details, providerCode });
}

function verdictFor(status: number, body: string): Verdict {
  // A page speaks of the route, or of a proxy: to believe it would declare carriers gone during a maintenance.
  if (status === 404 && (isPage(body) || isOfRoute(body))) return { code: 'BAD_REQUEST' };
  const answer = status === 400 ? asObject(jsonIn(body)) : undefined;
  if (asObject(answer?.ModelState) ?? asObject(answer?.modelState)) return { code: 'VALIDATION_FAILED' };
  return verdictOf(status);
}

const isPage = (body: string) => /^\s*</.test(body);

/**
 * What ASP.NET itself says of an address or of parameters that it has no action for: `{ "Message": "No HTTP resource
 * was found ...", "MessageDetail" }`. A server that hides details from strangers leaves the second out. What an action
 * says of a carrier has neither.
 */
function isOfRoute(body: string): boolean {
  const answer = asObject(jsonIn(body));
  const detail = textOf(answer?.MessageDetail ?? answer?.messageDetail);
  const message = textOf(answer?.Message ?? answer?.message) ?? '';
  return detail !== undefined || /^No HTTP resource was found/i.test(message);
}

/**
 * One carrier's part of an answer that is a list (GetCarrierContacts: `[{ Success, Message, Carrier }]`), or an
 * answer that carries `succeeded` (MonitoredCarrierData). HTTP says 200 whatever happened to each of them. Undefined
 * where the part does not say that it failed. `Message` is prose without a code: one that says so means NOT_FOUND,
 * any other means that the carrier cannot be had, which asking again does not change.
 */
export function classifyMyCarrierPacketsItem(response: HttpResponse, item: unknown): Fault | undefined {
  const part = asObject(item);
  const success = part?.Success ?? part?.success ?? part?.succeeded ?? part?.Succeeded;
  if (success !== false) return undefined;
  const message = textOf(part?.Message ?? part?.message);
  const unknown = /not (?:be )?found|does not exist|no (?:such |matching )?carrier/i.test(message ?? '');
  return faultOf(dialect, response, {
    code: unknown ? 'NOT_FOUND' : 'VALIDATION_FAILED',
    details: [{ message }],
  });
}
