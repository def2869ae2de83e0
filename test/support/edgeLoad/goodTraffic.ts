/**
 * Good traffic, in a process of its own: what it costs is not the server's. It is told in lines of JSON what to do, and
 * answers each with one.
 */
import { createInterface } from 'node:readline';
import { sequence } from '../sequence.ts';
import { createFollowers, openRouter, type Followers } from './followers.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { pace, percentiles } from './pace.ts';
import { createSender, type Customer, type Kind, type Sender } from './sender.ts';
import { openWire, type Target } from './wire.ts';

export interface Begin {
  seed: number;
  targets: Target[];
  customers: Customer[];
  sandboxUrl: string;
  verifierToken: string;
  /** Lines to one target that requests share. */
  lines: number;
  /** A second. */
  rates: Partial<Record<Kind, number>>;
  followers: { sockets: number; streams: number; callbacks: number };
  /** The first refusal ends all sending: there is one target, and it is gone. */
  endAtRefusal?: boolean;
}

export type Command =
  | ({ do: 'begin' } & Begin)
  /** Who is to be asked from now on. */
  | { do: 'targets'; targets: Target[] }
  | { do: 'phase'; name: string }
  /** Those who are sent away stay away, or come back again. */
  | { do: 'stay'; away: boolean }
  /** Ends sending; answered once what is under way has ended. */
  | { do: 'settle' }
  | { do: 'report' }
  | { do: 'end' };

export interface GoodReport {
  latencies: Record<string, ReturnType<typeof percentiles>>;
  /** From the news of a record to its provider's webhook until the first follower was told, in milliseconds. */
  followed: ReturnType<typeof percentiles>;
  failures: Sender['failures'];
  acknowledged: string[];
  created: Sender['created'];
  ends: Followers['ends'];
  present: ReturnType<Followers['present']>;
  wrong: string[];
  told: Pick<Ledger, 'delivered' | 'gaps' | 'doubles' | 'contradictions'>;
  behind: ReturnType<Ledger['behind']>;
  /** By account: events by sequence. */
  histories: Record<string, [sequence: number, id: string][]>;
}

const router = await openRouter();
const answer = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
let targets: Target[] = [];
let phase = 'begin';
let running: { sender: Sender; followers: Followers; ledger: Ledger; stop(): void } | undefined;
const followedAfter: number[] = [];

function begin(command: Begin): void {
  ({ targets } = command);
  const random = sequence(command.seed);
  const wire = openWire(command.lines);
  const down = new Map<string, number>();
  const pick = () => {
    const up = targets.filter(({ url }) => (down.get(url) ?? 0) < performance.now());
    const among = up.length > 0 ? up : targets;
    return among[Math.floor(random() * among.length)];
  };
  const paces: (() => void)[] = [];
  const stop = () => {
    for (const end of paces.splice(0)) end();
  };
  const sender: Sender = createSender({
    ...{ wire, pick, random, phase: () => phase },
    ...{ customers: command.customers, sandboxUrl: command.sandboxUrl, verifierToken: command.verifierToken },
    refused({ url }) {
      down.set(url, performance.now() + 250);
      if (!command.endAtRefusal) return;
      targets = [];
      stop();
    },
  });
  const ledger = createLedger((accountId, { kind, record }) => {
    const at =
      kind === 'RECORD_CREATED' ? sender.sentAt.get(`${accountId} ${record?.externalId}`) : undefined;
    if (at !== undefined) followedAfter.push(performance.now() - at);
  });
  const nobody = { url: 'http://127.0.0.1:1' };
  const followers = createFollowers({
    ledger,
    router,
    wire: openWire(16),
    pick: () => pick() ?? nobody,
    random,
  });
  const each = (count: number, one: (customer: Customer) => void) => {
    for (let i = 0; i < count; i++) one(command.customers[i % command.customers.length]!);
  };
  each(command.followers.sockets, (customer) => followers.socket(customer));
  each(command.followers.streams, (customer) => followers.stream(customer));
  each(command.followers.callbacks, (customer) => void followers.callback(customer));
  for (const [kind, rate] of Object.entries(command.rates))
    paces.push(pace(rate, () => sender.send(kind as Kind)));
  running = { sender, followers, ledger, stop };
}

function report(): GoodReport {
  const { sender, followers, ledger } = running!;
  const { delivered, gaps, doubles, contradictions } = ledger;
  return {
    latencies: Object.fromEntries([...sender.latencies].map(([key, values]) => [key, percentiles(values)])),
    followed: percentiles(followedAfter),
    ...{ failures: sender.failures, acknowledged: sender.acknowledged, created: sender.created },
    ...{ ends: followers.ends, present: followers.present(), wrong: followers.wrong.slice(0, 10) },
    told: { delivered, gaps, doubles, contradictions },
    behind: ledger.behind(),
    histories: Object.fromEntries([...ledger.histories].map(([id, history]) => [id, [...history]])),
  };
}

answer({ origin: router.origin });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  if (command.do === 'begin') begin(command);
  else if (command.do === 'targets') ({ targets } = command);
  else if (command.do === 'phase') phase = command.name;
  else if (command.do === 'stay') running!.followers.stay(command.away);
  else if (command.do === 'settle') {
    running!.stop();
    await running!.sender.idle();
  } else if (command.do === 'end') process.exit(0);
  answer(command.do === 'report' ? report() : { done: command.do });
}
