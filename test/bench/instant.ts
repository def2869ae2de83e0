import type { Attempt } from '../../src/calls/attempt.ts';
import type { Bucket, Call } from '../../src/calls/caller.ts';
import { systemClock as clock } from '../../src/clock.ts';

const answered = Promise.resolve({
  kind: 'answered' as const,
  response: { status: 200, headers: {}, body: '{}' },
});
const request = Promise.resolve({ method: 'GET' as const, url: 'http://provider.example/', headers: {} });

/** A provider that has answered before it is asked: what remains is what the core costs. */
export const instant = {
  attempt: {
    send(_request, _signal, onSent) {
      onSent();
      return answered;
    },
    close: () => Promise.resolve(),
  } satisfies Attempt,
  call: (buckets: readonly Bucket[], connectionId: string): Call => ({
    integration: 'bench',
    connectionId,
    host: 'provider.example',
    buckets,
    priority: 'interactive',
    deadlineAtMs: clock.now() + 30_000,
    idempotent: true,
    request: () => request,
    classify: () => undefined,
  }),
};
