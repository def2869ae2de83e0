import type {
  Carrier,
  Change,
  ChangeCategory,
  Contact,
  IncidentReport,
  Insurance,
  Packet,
  Payment,
  VinVerification,
} from './carrier.ts';
import { agreementBlob } from './documents.ts';
import { keyOf, type Portal } from './portal.ts';
import { riskAssessmentDetails } from './risk.ts';

/** What customers can subscribe to. */
export type Happening =
  | { type: 'carrier.packet.completed'; customerId: number; dotNumber: number; packet: Packet }
  | {
      type: `carrier.incident_report.${'created' | 'updated' | 'retracted'}`;
      customerId: number;
      dotNumber: number;
      report: IncidentReport;
    }
  | {
      type: 'carrier.vin_verification.completed';
      customerId: number;
      dotNumber: number;
      verification: VinVerification;
    }
  | { type: 'carrier.user_verification.completed'; customerId: number; dotNumber: number; contact: Contact };

export type EventType = Happening['type'];

export const eventTypes: readonly EventType[] = [
  'carrier.packet.completed',
  'carrier.incident_report.created',
  'carrier.incident_report.updated',
  'carrier.incident_report.retracted',
  'carrier.vin_verification.completed',
  'carrier.user_verification.completed',
];

/** Facts that may change, by who announces a change of them; those of the packet are announced by nobody. */
export type CarrierFacts = Partial<
  Pick<
    Carrier,
    | 'legalName'
    | 'dbaName'
    | 'street'
    | 'city'
    | 'state'
    | 'zipCode'
    | 'phone'
    | 'powerUnits'
    | 'drivers'
    | 'authority'
    | 'outOfService'
    | 'safetyRating'
    | 'infractions'
    | 'email'
    | 'owner'
  > & { insurance: Partial<Insurance>; payment: Partial<Payment> }
>;

const packetFacts = ['email', 'owner'];

/** Returns what CarriersChanges will tell of it. */
export function changeCarrier(
  portal: Portal,
  carrier: Carrier,
  { insurance, payment, ...facts }: CarrierFacts,
): Change[] {
  const now = portal.now();
  const changed: Carrier = {
    ...carrier,
    ...facts,
    ...(insurance && { insurance: { ...carrier.insurance, ...insurance } }),
    ...(payment && { payment: { ...carrier.payment, ...payment } }),
    modifiedAt: now,
  };
  const risk = (one: Carrier) => JSON.stringify(riskAssessmentDetails(one));
  const isAuthoritys = (name: string) => name !== 'infractions' && !packetFacts.includes(name);
  const categories: ChangeCategory[] = [
    ...(insurance ? ['Insurance' as const] : []),
    ...(Object.keys(facts).some(isAuthoritys) ? ['FMCSA' as const] : []),
    ...(risk(changed) !== risk(carrier) ? ['RiskAssessment' as const] : []),
  ];
  portal.putCarrier(changed);
  return categories.map((category) => portal.addChange(carrier.dotNumber, category, now));
}

/** Without a signature: as the packets are from before signatures were kept. */
export function completePacket(
  portal: Portal,
  customerId: number,
  carrier: Carrier,
  isSigned = true,
): Packet {
  const { dotNumber } = carrier;
  const completedAt = portal.now();
  const packet = {
    customerId,
    dotNumber,
    completedAt,
    agreementBlob: isSigned ? agreementBlob(customerId, dotNumber, completedAt) : null,
    signedBy: isSigned ? signerOf(carrier) : null,
  };
  portal.packets.put(keyOf(customerId, dotNumber), packet);
  portal.tell({ type: 'carrier.packet.completed', customerId, dotNumber, packet });
  return packet;
}

export function signerOf({ contacts, owner, phone, email }: Carrier): Contact {
  const [firstName = owner, lastName = ''] = owner.split(' ');
  const self = { firstName, lastName, title: 'Owner', phone, email };
  return contacts?.[0] ?? { ...self, authorizedForPackets: true, verificationStatus: 'Pending' };
}

export type IncidentFacts = Pick<
  IncidentReport,
  'incidentOn' | 'origin' | 'destination' | 'reportedByCompany' | 'carrierEmails' | 'types' | 'comments'
>;

export function reportIncident(
  portal: Portal,
  { dotNumber }: Carrier,
  facts: IncidentFacts,
  by: string,
): IncidentReport {
  const now = portal.now();
  const report = {
    id: portal.nextId(),
    dotNumber,
    ...facts,
    createdBy: by,
    createdAt: now,
    modifiedBy: by,
    modifiedAt: now,
    retracted: false,
  };
  return tellOfIncident(portal, report, 'created');
}

export function updateIncident(
  portal: Portal,
  report: IncidentReport,
  facts: Partial<IncidentFacts>,
  by: string,
): IncidentReport {
  const updated = { ...report, ...facts, modifiedBy: by, modifiedAt: portal.now() };
  return tellOfIncident(portal, updated, 'updated');
}

/** It stays known, for the event, and is shown no more. */
export function retractIncident(portal: Portal, report: IncidentReport, by: string): IncidentReport {
  const retracted = { ...report, modifiedBy: by, modifiedAt: portal.now(), retracted: true };
  return tellOfIncident(portal, retracted, 'retracted');
}

function tellOfIncident(
  portal: Portal,
  report: IncidentReport,
  what: 'created' | 'updated' | 'retracted',
): IncidentReport {
  const { dotNumber } = report;
  portal.incidents.put(String(report.id), report);
  for (const { customerId } of portal.customersOf(dotNumber)) {
    portal.tell({ type: `carrier.incident_report.${what}`, customerId, dotNumber, report });
  }
  return report;
}

export function requestVin(
  portal: Portal,
  facts: Pick<VinVerification, 'customerId' | 'dotNumber' | 'sentTo' | 'requestedBy'>,
): VinVerification {
  const id = portal.nextId();
  return portal.vins.put(String(id), {
    ...facts,
    id,
    requestedAt: portal.now(),
    status: 'VINRequestSent',
    vin: null,
    otherDotNumber: null,
    uploadedAt: null,
  });
}

/** The carrier sends the picture of its VIN. */
export function answerVin(
  portal: Portal,
  request: VinVerification,
  outcome: Pick<VinVerification, 'status' | 'vin' | 'otherDotNumber'>,
): VinVerification {
  const { customerId, dotNumber } = request;
  const verification = { ...request, ...outcome, uploadedAt: portal.now() };
  portal.vins.put(String(request.id), verification);
  portal.tell({ type: 'carrier.vin_verification.completed', customerId, dotNumber, verification });
  return verification;
}

/** The person becomes a contact of the carrier, or the known contact gets the status. */
export function verifyUser(portal: Portal, customerId: number, carrier: Carrier, contact: Contact): Contact {
  const { dotNumber } = carrier;
  const others = (carrier.contacts ?? []).filter(({ email }) => email !== contact.email);
  portal.putCarrier({ ...carrier, contacts: [...others, contact], modifiedAt: portal.now() });
  portal.tell({ type: 'carrier.user_verification.completed', customerId, dotNumber, contact });
  return contact;
}

export function addListing(
  portal: Portal,
  list: 'monitored' | 'blocked',
  customerId: number,
  { dotNumber }: Carrier,
  by: string,
  at = portal.now(),
) {
  return portal[list].put(keyOf(customerId, dotNumber), {
    id: portal.nextId(),
    customerId,
    dotNumber,
    createdAt: at,
    createdBy: by,
    modifiedAt: at,
    modifiedBy: by,
  });
}
