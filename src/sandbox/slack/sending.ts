import type { Clock } from '../../clock.ts';
import { app } from './app.ts';
import { signatureOf } from './signature.ts';

/** Why an attempt failed, in the words of `X-Slack-Retry-Reason`. */
export type Failure =
  'http_timeout' | 'http_error' | 'connection_failed' | 'ssl_error' | 'too_many_redirects' | 'unknown_error';

export interface Sent {
  /** Null: no answer. */
  status: number | null;
  /** Null: acknowledged. */
  failure: Failure | null;
  /** `X-Slack-No-Retry: 1` came with the failure. */
  mayRetry: boolean;
  body: string;
  contentType: string;
}

export interface Signing {
  signature: 'right' | 'wrong-secret' | 'truncated' | 'missing';
  /** Added to the time of sending, and signed. */
  timestampOffsetSeconds: number;
}

export interface SendOptions {
  clock: Clock;
  /** The provider's time, in milliseconds. */
  now: () => number;
  signal: AbortSignal;
  timeoutMs: number;
}

export const wellSigned: Signing = { signature: 'right', timestampOffsetSeconds: 0 };
const mostRedirects = 2;

/** One attempt, signed at the moment of sending; redirects are followed with the same request, up to two. */
export async function send(
  url: string,
  body: string,
  signing: Signing,
  retryHeaders: Record<string, string>,
  options: SendOptions,
): Promise<Sent> {
  const late = new AbortController();
  const cancel = options.clock.timer(options.timeoutMs, () => late.abort());
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Slackbot 1.0 (+https://api.slack.com/robots)',
    accept: '*/*',
    ...signatureHeaders(body, signing, options.now()),
    ...retryHeaders,
  };
  const signal = AbortSignal.any([options.signal, late.signal]);
  try {
    let target = url;
    for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
      const answer = await fetch(target, { method: 'POST', redirect: 'manual', headers, body, signal });
      const text = await answer.text();
      const location = answer.headers.get('location');
      if ((answer.status !== 301 && answer.status !== 302) || location === null) {
        return {
          status: answer.status,
          failure: answer.ok ? null : 'http_error',
          mayRetry: answer.headers.get('x-slack-no-retry') !== '1',
          body: text,
          contentType: answer.headers.get('content-type') ?? '',
        };
      }
      target = new URL(location, target).href;
    }
    return unanswered('too_many_redirects');
  } catch (error) {
    return unanswered(late.signal.aborted ? 'http_timeout' : failureOf(error));
  } finally {
    cancel();
  }
}

function signatureHeaders(
  body: string,
  { signature, timestampOffsetSeconds }: Signing,
  nowMs: number,
): Record<string, string> {
  const timestamp = Math.floor(nowMs / 1000) + timestampOffsetSeconds;
  const headers = { 'x-slack-request-timestamp': String(timestamp) };
  if (signature === 'missing') return headers;
  const secret = signature === 'wrong-secret' ? `not ${app.signingSecret}` : app.signingSecret;
  const signed = signatureOf(secret, timestamp, body);
  return { ...headers, 'x-slack-signature': signature === 'truncated' ? signed.slice(0, 35) : signed };
}

const unanswered = (failure: Failure): Sent => ({
  status: null,
  failure,
  mayRetry: true,
  body: '',
  contentType: '',
});

function failureOf(error: unknown): Failure {
  const { code = '' } = ((error as Error).cause ?? {}) as { code?: string };
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) return 'ssl_error';
  return code === '' ? 'unknown_error' : 'connection_failed';
}
