import type { Cancel, Clock } from '../clock.ts';
import { whenOver, type Identity, type Over } from '../identity.ts';
import type { Outcome } from './callbackPost.ts';
import type { CallbackMessage } from './callbackProtocol.ts';
import type { Answer, Answers, Subscriber } from './operations.ts';
import { over, tooSlow } from './lastWords.ts';

/** Posts one message; a later one only after an earlier one is settled. */
export type Post = (message: CallbackMessage, signal: AbortSignal) => Promise<Outcome>;

/** One subscription whose answers are posted: one request at a time, in order. */
export interface CallbackSubscription {
  /** What the operation is started with. */
  subscriber: Subscriber;
  /** Until the end. To be called once; rejects as `answers.deliver` does. */
  run(answers: Answers): Promise<void>;
  /** Ends it and says so; a request under way is given a moment. Only the first call counts. */
  complete(errors?: Answer['errors']): void;
  /** Resolves when nothing will be posted any more. */
  done: Promise<void>;
}

/** Of the interval: a router that counts exactly would give up on a check that leaves when it is due. */
const beatAfter = 1 / 2;
/** How long a request under way may hold up the end. */
const graceMs = 500;
const completeWithinMs = 3_000;

export function createCallbackSubscription(deps: {
  post: Post;
  identity: Identity;
  heartbeatMs: number;
  clock: Clock;
  /** The router did not want it any more, or could not be reached. */
  onRefused(outcome: Outcome): void;
}): CallbackSubscription {
  const { identity, clock, heartbeatMs } = deps;
  const stop = new AbortController();
  const done = Promise.withResolvers<void>();
  let answers: Answers | undefined;
  let ended = false;
  /** The request under way. */
  let sending: Promise<Outcome> | undefined;
  let cancelHeartbeat: Cancel = () => {};

  const send = async (message: CallbackMessage): Promise<boolean> => {
    await sending;
    if (ended) return false;
    sending = deps.post(message, stop.signal);
    const outcome = await sending;
    sending = undefined;
    if (ended) return false;
    if (outcome === 'taken') return true;
    deps.onRefused(outcome);
    end();
    done.resolve();
    return false;
  };
  const end = () => {
    ended = true;
    cancelHeartbeat();
    cancelOver();
    answers?.stop();
  };
  const complete = (errors?: Answer['errors']) => {
    if (ended) return;
    end();
    void (async () => {
      const cancelGrace = clock.timer(graceMs, () => stop.abort());
      await sending;
      cancelGrace();
      const last = new AbortController();
      const cancel = clock.timer(completeWithinMs, () => last.abort());
      await deps.post({ action: 'complete', ...(errors && { errors }) }, last.signal);
      cancel();
      done.resolve();
    })();
  };
  const onOver = (why: Over) => complete(over[why].errors);
  const cancelOver = whenOver(identity, clock, onOver);
  const beat = () => {
    if (heartbeatMs === 0 || ended) return;
    cancelHeartbeat = clock.timer(heartbeatMs * beatAfter, () => {
      // Whatever is being sent proves as much.
      void (sending ? Promise.resolve() : send({ action: 'check' })).then(beat);
    });
  };

  return {
    subscriber: { identity, onTooSlow: (cursor) => complete(tooSlow(cursor).errors), onOver },
    async run(started) {
      answers = started;
      if (ended) started.stop();
      beat();
      await started.deliver(async (payload) => {
        if (await send({ action: 'next', payload })) started.handedOver();
      });
      complete();
    },
    complete,
    done: done.promise,
  };
}
