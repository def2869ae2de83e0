import {
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry as retryPolicy,
  wrap,
} from 'cockatiel';
import { createCaller } from '../../src/calls/caller.ts';
import { systemClock as clock } from '../../src/clock.ts';
import type { Bench } from './benchmark.ts';
import { inOwnProcess } from './process.ts';

const sides = ['ours', 'cockatiel retry', 'cockatiel retry + breaker'] as const;
type RetrySide = (typeof sides)[number];
const attempts = 5;
const perSecond = 200;
const answerMs = 50;

interface Outage {
  side: RetrySide;
  /** How many of ten attempts fail. */
  failing: number;
  seconds: number;
}

export const retry: Bench = {
  name: 'retry',
  title: 'calls made for calls asked while the provider fails',
  usesDatabase: false,
  async run({ seconds, report }) {
    const both = [10, 3].map((failing) =>
      Promise.all(sides.map((side) => inOwnProcess(import.meta.url, failFor, { side, failing, seconds }))),
    );
    const [all, some] = await Promise.all(both);
    for (const [metric, figures] of [
      ['all attempts fail: made / asked', all!],
      ['three of ten fail: made / asked', some!],
    ] as const)
      for (const [i, name] of sides.entries())
        if (i > 0)
          report({
            ...{ metric, value: figures[0]!.made, unit: 'calls', goal: { atMost: 1.2 } },
            reference: { name, value: figures[i]!.made },
          });
    const [mine, , theirs] = all!;
    const reference = (value: number) => ({ name: sides[2], value });
    report({
      ...{ metric: 'made while open', value: mine!.whileOpen, unit: 'calls', goal: { equal: 0 } },
      reference: reference(theirs!.whileOpen),
    });
    report({
      ...{
        metric: 'most made while half open',
        value: mine!.probes,
        unit: 'calls',
        goal: { atMost: 1 },
      },
      reference: reference(theirs!.probes),
    });
  },
};

/** Asks evenly and waits until all calls are over. */
export async function failFor({ side, failing, seconds }: Outage) {
  let asked = 0;
  let made = 0;
  let whileOpen = 0;
  let probing = 0;
  let mostProbes = 0;
  /** @returns whether it failed */
  const answer = async (state: 'closed' | 'open' | 'halfOpen') => {
    if (state === 'open') whileOpen++;
    if (state === 'halfOpen') mostProbes = Math.max(mostProbes, ++probing);
    const fails = (made++ * failing) % 10 < failing;
    await clock.sleep(answerMs);
    return fails;
  };
  const opened = () => (probing = 0);
  const ask = side === 'ours' ? ours(answer, opened) : cockatiel(side, answer, opened);
  const asking: Promise<unknown>[] = [];
  const startedAt = performance.now();
  for (let now = startedAt; now < startedAt + seconds * 1_000; now = performance.now()) {
    for (const due = ((now - startedAt) / 1_000) * perSecond; asked < due; asked++)
      asking.push(ask().catch(() => undefined));
    await clock.sleep(5);
  }
  await Promise.all(asking);
  return { made: made / asked, whileOpen, probes: mostProbes };
}

type Answer = (state: 'closed' | 'open' | 'halfOpen') => Promise<boolean>;

function ours(answer: Answer, opened: () => void): () => Promise<unknown> {
  const integration = 'bench';
  let before = 'closed';
  const stateNow = () => {
    const state = caller.breakerState(integration);
    if (state === 'open' && before !== 'open') opened();
    return (before = state) as typeof state;
  };
  const caller = createCaller({
    ...{ clock, requestTimeoutMs: 5_000, queue: { perBucket: 10_000, total: 10_000 } },
    retry: { baseMs: 100, capMs: 2_000, attempts },
    attempt: {
      async send(_request, _signal, onSent) {
        onSent();
        const status = (await answer(stateNow())) ? 500 : 200;
        return { kind: 'answered', response: { status, headers: {}, body: '{}' } };
      },
      close: () => Promise.resolve(),
    },
    onAttempt: () => void stateNow(),
  });
  return () =>
    caller.call({
      ...{ integration, connectionId: 'connection', host: 'provider.example', priority: 'interactive' },
      buckets: [{ key: 'bench', limit: 1_000, windowMs: 1_000 }],
      ...{ deadlineAtMs: clock.now() + 10_000, idempotent: true },
      request: () => Promise.resolve({ method: 'GET', url: 'http://provider.example/', headers: {} }),
      classify: ({ status }) =>
        status === 200 ? undefined : { code: 'PROVIDER_ERROR', message: 'The provider failed.' },
    });
}

function cockatiel(side: RetrySide, answer: Answer, opened: () => void): () => Promise<unknown> {
  const again = retryPolicy(handleAll, {
    maxAttempts: attempts - 1,
    backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 2_000 }),
  });
  const breaker = circuitBreaker(handleAll, { halfOpenAfter: 5_000, breaker: new ConsecutiveBreaker(5) });
  breaker.onBreak(opened);
  const states = {
    [CircuitState.Closed]: 'closed',
    [CircuitState.Open]: 'open',
    [CircuitState.HalfOpen]: 'halfOpen',
    [CircuitState.Isolated]: 'open',
  } as const;
  const policy = side === 'cockatiel retry' ? again : wrap(again, breaker);
  return () =>
    policy.execute(async () => {
      if (await answer(states[breaker.state])) throw new Error('The provider failed.');
    });
}
