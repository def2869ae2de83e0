import type { Cancel, Clock } from '../../clock.ts';
import { changeCarrier, completePacket, reportIncident, updateIncident } from './happenings.ts';
import type { Portal } from './portal.ts';
import { ruleNames } from './risk.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';
import { day } from './time.ts';

const dayMs = 86_400_000;

export interface Activity {
  /** Call after the settings have changed. */
  restart(): void;
  /** Does `work` after the time that carriers take to answer, or never. */
  whenAnswered(work: () => void): void;
}

/** What happens by itself, as often as the settings say; ends with `signal`. */
export function startActivity(
  clock: Clock,
  portal: Portal,
  settings: () => MyCarrierPacketsSettings,
  signal: AbortSignal,
): Activity {
  const answers = new Set<Cancel>();
  let next: Cancel = () => undefined;
  const arm = () => {
    next();
    const { activityEverySeconds } = settings();
    if (activityEverySeconds === null || signal.aborted) return;
    next = clock.timer(activityEverySeconds * 1000, () => {
      somethingHappens(portal, clock);
      arm();
    });
  };
  signal.addEventListener('abort', () => {
    next();
    for (const cancel of answers) cancel();
  });
  arm();
  return {
    restart: arm,
    whenAnswered(work) {
      const { answerAfterSeconds } = settings();
      if (answerAfterSeconds === null) return;
      const cancel = clock.timer(answerAfterSeconds * 1000, () => {
        answers.delete(cancel);
        work();
      });
      answers.add(cancel);
    },
  };
}

/** One thing to one monitored carrier: its insurance, its registration, its risk, its packet or a report on it. */
export function somethingHappens(portal: Portal, clock: Clock): void {
  const pick = <T>(rows: readonly T[]): T | undefined => rows[Math.floor(clock.random() * rows.length)];
  const listing = pick(portal.monitored.list());
  const carrier = listing && portal.findCarrier(listing.dotNumber);
  if (!carrier) return;
  const now = portal.now();
  const things = [
    () => {
      const renewed = { effectiveOn: day(now), expiresOn: day(now + 365 * dayMs) };
      changeCarrier(portal, carrier, { insurance: { ...renewed, cancelledOn: null } });
    },
    () =>
      changeCarrier(portal, carrier, { powerUnits: carrier.powerUnits + 1, drivers: carrier.drivers + 1 }),
    () => {
      const rule = pick(ruleNames)!;
      const others = carrier.infractions.filter((one) => one !== rule);
      const had = others.length < carrier.infractions.length;
      changeCarrier(portal, carrier, { infractions: had ? others : [...others, rule] });
    },
    () => completePacket(portal, listing.customerId, carrier),
    () => {
      const { companyName } = portal.customer(listing.customerId);
      const open = portal.incidents
        .list()
        .find(({ dotNumber, retracted }) => dotNumber === carrier.dotNumber && !retracted);
      if (open) {
        const text = 'The carrier has answered';
        const comment = { by: 'RespondingParty' as const, name: carrier.owner, at: now, text };
        updateIncident(portal, open, { comments: [...open.comments, comment] }, carrier.owner);
        return;
      }
      const facts = {
        incidentOn: day(now - dayMs),
        origin: [carrier.city, carrier.state],
        destination: ['Omaha', 'NE'],
        reportedByCompany: companyName,
        carrierEmails: carrier.email,
        types: ['Pickup or Delivery Service Failure'],
        comments: [],
      } as const;
      reportIncident(portal, carrier, facts, 'Alma Okafor');
    },
  ];
  pick(things)!();
}
