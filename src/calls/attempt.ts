import { Agent, errors, request as send, type Dispatcher } from 'undici';
import { createConnector, type Lookup, type Reach } from './addresses.ts';
import type { Classify, Fault, HttpRequest, HttpResponse } from './http.ts';

export const maxResponseBytes = 8 * 1024 * 1024;

/** What became of one attempt. */
export type Attempted =
  | { kind: 'answered'; response: HttpResponse }
  /** `sent`: the provider may have acted on it. */
  | {
      kind: 'failed';
      code: 'TIMEOUT' | 'NETWORK_ERROR' | 'PROVIDER_ERROR' | 'NOT_CONFIGURED';
      message: string;
      sent: boolean;
    };

/**
 * Sends one request, once, and tells when its first byte leaves. Redirects are answers: following one would take a
 * token to another host.
 */
export interface Attempt {
  /**
   * Rejects with the signal's reason when it aborts, and where the request is not one: that says nothing of the provider.
   * @param reach which addresses it may connect to; NOT_CONFIGURED for others. Default: the public internet and loopback
   */
  send(
    request: HttpRequest,
    signal: AbortSignal,
    onSent: () => void,
    timeoutMs?: number,
    reach?: Reach,
  ): Promise<Attempted>;
  /** Waits for what is running. */
  close(): Promise<void>;
}

/** Failures before the first byte left: nothing can have been processed. */
const notSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** `timeoutMs` bounds connecting and, where `send` does not say, waiting for headers and each pause in the body; the signal bounds the whole. */
export function createAttempt(timeoutMs: number, lookup?: Lookup): Attempt {
  // Lines that are kept open are shared only by those who may go as far.
  const agents = new Map<Reach, { agent: Agent; dispatcher: Dispatcher }>();
  const agentFor = (reach: Reach) => {
    let own = agents.get(reach);
    if (!own) {
      const agent = new Agent({
        connect: createConnector(reach, timeoutMs, lookup),
        maxResponseSize: maxResponseBytes,
        keepAliveTimeout: 10_000,
        // An answer a request: pipelining would let a slow one hold up the others.
        pipelining: 1,
      });
      agents.set(reach, (own = { agent, dispatcher: agent.compose(tellSent) }));
    }
    return own;
  };
  return {
    async send({ method, url, headers, body }, signal, onSent, ownTimeoutMs = timeoutMs, reach = 'loopback') {
      const { dispatcher } = agentFor(reach);
      const told: Telling = { method, headers, body: body ?? null, signal, onSent };
      const patience = { headersTimeout: ownTimeoutMs, bodyTimeout: ownTimeoutMs };
      try {
        const answer = await send(url, { dispatcher, ...told, ...patience });
        const text = await answer.body.text();
        return {
          kind: 'answered',
          response: { status: answer.statusCode, headers: plain(answer.headers), body: text },
        };
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof errors.InvalidArgumentError || error instanceof TypeError) throw error;
        return failure(error);
      }
    },
    async close() {
      await Promise.all([...agents.values()].map(({ agent }) => agent.close()));
    },
  };
}

interface Telling {
  method: HttpRequest['method'];
  headers: Record<string, string>;
  body: string | null;
  signal: AbortSignal;
  onSent(): void;
}

/** A handler's start is called when its request is written to a line that is open, after all the waiting for one. */
const tellSent: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const { onSent } = options as Partial<Telling>;
  const start = handler.onRequestStart;
  handler.onRequestStart = function (...args) {
    onSent?.();
    return start?.apply(this, args);
  };
  return dispatch(options, handler);
};

function failure(error: unknown): Attempted {
  const code = codeOf(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
    return { kind: 'failed', code: 'TIMEOUT', message: 'The provider did not answer in time.', sent: true };
  if (code === 'UND_ERR_CONNECT_TIMEOUT')
    return {
      kind: 'failed',
      code: 'TIMEOUT',
      message: 'The provider could not be reached in time.',
      sent: false,
    };
  if (code === 'ERR_ADDRESS_REFUSED')
    return {
      kind: 'failed',
      code: 'NOT_CONFIGURED',
      message: 'The address of this integration leads to a network that we do not call.',
      sent: false,
    };
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' || error instanceof errors.HTTPParserError)
    return {
      kind: 'failed',
      code: 'PROVIDER_ERROR',
      message: 'The provider answered what cannot be read.',
      sent: true,
    };
  return {
    kind: 'failed',
    code: 'NETWORK_ERROR',
    message: 'The line to the provider failed.',
    sent: !notSent.has(code),
  };
}

/** Node reports the attempts at several addresses as one error with several inside. */
function codeOf(error: unknown): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const { code, cause } = inner as { code?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause instanceof Error ? codeOf(cause) : '';
}

function plain(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value!]),
  );
}

/** An attempt that did not succeed. `sent`: the provider may have acted on it. */
export type Failed = { fault: Fault; response: HttpResponse | undefined; sent: boolean };
export type Judged = Failed | { fault: undefined; response: HttpResponse };

export const timedOut: Attempted = {
  kind: 'failed',
  code: 'TIMEOUT',
  message: 'The provider did not answer in time.',
  sent: true,
};

export function judge(result: Attempted, classify: Classify, nowMs: number): Judged {
  if (result.kind === 'failed')
    return { fault: { code: result.code, message: result.message }, response: undefined, sent: result.sent };
  const { response } = result;
  const fault = classify(response, nowMs);
  return fault ? { fault, response, sent: true } : { fault, response };
}
