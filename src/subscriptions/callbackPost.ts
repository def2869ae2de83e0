import { request, type Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import {
  messageBody,
  protocolHeader,
  type CallbackMessage,
  type CallbackRequest,
} from './callbackProtocol.ts';

/**
 * `gone`: the router knows no such subscription (404), or answers what it must not, a redirect too, which is never
 * followed. `unreachable`: tried several times. `stopped`: by the signal, before anybody answered.
 */
export type Outcome = 'taken' | 'gone' | 'unreachable' | 'stopped';

const attempts = 4;
const attemptTimeoutMs = 5_000;
const firstPauseMs = 200;

/** Posts one message, again after a fault of the network or a 5xx: the router may be given it twice. Never rejects. */
export async function post(
  callback: CallbackRequest,
  message: CallbackMessage,
  { dispatcher, clock, signal }: { dispatcher: Dispatcher; clock: Clock; signal: AbortSignal },
): Promise<Outcome> {
  const body = messageBody(callback, message);
  for (let attempt = 1; ; attempt++) {
    const outcome = await once(callback.url, body, message.action === 'check', { dispatcher, clock, signal });
    if (signal.aborted && outcome !== 'taken') return 'stopped';
    if (outcome !== 'unreachable' || attempt === attempts) return outcome;
    const pauseMs = firstPauseMs * 2 ** (attempt - 1) * (0.5 + clock.random());
    await clock.sleep(pauseMs, signal).catch(() => undefined);
    if (signal.aborted) return 'stopped';
  }
}

async function once(
  url: URL,
  body: string,
  mustBeEmpty: boolean,
  { dispatcher, clock, signal }: { dispatcher: Dispatcher; clock: Clock; signal: AbortSignal },
): Promise<Outcome> {
  const patience = new AbortController();
  const abort = () => patience.abort();
  const cancel = clock.timer(attemptTimeoutMs, abort);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const answer = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...protocolHeader },
      ...{ body, dispatcher, signal: patience.signal },
    });
    await answer.body.dump({ limit: 64 * 1024 });
    if (answer.statusCode >= 500) return 'unreachable';
    if (answer.statusCode < 200 || answer.statusCode > 299) return 'gone';
    // A server that answers 200 to everything is no router. Hive's answers 204 without the header that Apollo's adds.
    return !mustBeEmpty || answer.statusCode === 204 ? 'taken' : 'gone';
  } catch {
    return 'unreachable';
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
  }
}
