/** Bad traffic, in a process of its own, told what to do as the good one is. */
import { createInterface } from 'node:readline';
import { sequence } from '../sequence.ts';
import { badRequests, codeOf, type Proofs } from './badRequests.ts';
import { badSockets, misbehave } from './badSockets.ts';
import { pace } from './pace.ts';
import { slowClients } from './slowClients.ts';
import { openWire, type Target } from './wire.ts';

export interface BeginBad {
  seed: number;
  targets: Target[];
  proofs: Proofs;
  requestsPerSecond: number;
  socketsPerSecond: number;
  /** Of each kind at a time. */
  slow: number;
}

export interface BadReport {
  /** By kind: how often it ended how. */
  outcomes: Record<string, Record<string, number>>;
  /** What ended otherwise than it should, and how. */
  unexpected: Record<string, number>;
  count: number;
}

/** `stop`: from now on how anything ends says nothing. */
export type BadCommand = ({ do: 'begin' } & BeginBad) | { do: 'stop' | 'report' };

const answer = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const report: BadReport = { outcomes: {}, unexpected: {}, count: 0 };
let counts = true;
let stopped = false;
const paces: (() => void)[] = [];

function note(kind: string, how: string, expected: RegExp): void {
  if (!counts) return;
  report.count++;
  const own = (report.outcomes[kind] ??= {});
  own[how] = (own[how] ?? 0) + 1;
  const key = `${kind}: ${how}`;
  if (!expected.test(how)) report.unexpected[key] = (report.unexpected[key] ?? 0) + 1;
}

function begin({ seed, targets, proofs, requestsPerSecond, socketsPerSecond, slow }: BeginBad): void {
  stopped = false;
  const random = sequence(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!;
  const wire = openWire(64);
  const requests = badRequests(proofs);
  const sockets = badSockets(proofs);
  paces.push(
    pace(requestsPerSecond, () => {
      const { kind, asked, expected } = pick(requests);
      void wire.ask(pick(targets), asked).then((told) => {
        note(
          kind,
          'failed' in told ? `${told.failed} ${told.why}` : `${told.status} ${codeOf(told.body)}`,
          expected,
        );
      });
    }),
    pace(socketsPerSecond, () => {
      const one = pick(sockets);
      void misbehave(pick(targets).url, one).then((how) => note(one.kind, how, one.expected));
    }),
  );
  for (const client of slowClients(proofs.good))
    for (let i = 0; i < slow; i++)
      void (async () => {
        await new Promise((resolve) => setTimeout(resolve, random() * 5_000));
        while (!stopped) {
          const how = await client.hold(pick(targets).url);
          note(client.kind, how, client.expected);
          if (how === 'refused') await new Promise((resolve) => setTimeout(resolve, 1_000));
        }
      })();
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as BadCommand;
  if (command.do === 'begin') begin(command);
  else if (command.do === 'stop') {
    counts = false;
    stopped = true;
    for (const end of paces.splice(0)) end();
  }
  answer(command.do === 'report' ? report : { done: command.do });
}
