import type { Contact, IncidentReport, Packet, VinVerification } from './carrier.ts';
import type { Happening } from './happenings.ts';
import type { Portal } from './portal.ts';
import { incidentReport } from './reports.ts';
import { eventTime, localTime, utcTime } from './time.ts';

const roles = ['Admin', 'Driver', 'Dispatcher', 'Accounting'];

/** What a webhook carries; the bytes of all attempts. `sequence` tells apart what happens within one millisecond. */
export function eventBody(
  portal: Portal,
  happening: Happening,
  zoneOffsetMinutes: number,
  sequence: number,
): string {
  const { type, customerId, dotNumber } = happening;
  const carrier = portal.findCarrier(dotNumber)!;
  const { companyName } = portal.customer(customerId);
  return JSON.stringify({
    eventType: type,
    eventDateTime: eventTime(portal.now(), sequence),
    eventData: {
      ...detailOf(portal, happening, zoneOffsetMinutes),
      carrier: {
        dotNumber,
        docketNumber: carrier.docketNumber,
        legalName: carrier.legalName,
        dbaName: carrier.dbaName,
      },
      customer: { customerID: customerId, companyName },
    },
  });
}

function detailOf(portal: Portal, happening: Happening, zoneOffsetMinutes: number): object {
  switch (happening.type) {
    case 'carrier.packet.completed':
      return agreementOf(happening.packet, zoneOffsetMinutes);
    case 'carrier.incident_report.created':
    case 'carrier.incident_report.updated':
    case 'carrier.incident_report.retracted':
      return { incidentReport: reportOf(happening.report, zoneOffsetMinutes) };
    case 'carrier.vin_verification.completed':
      return { vinVerificationDetail: vinDetail(portal, happening.verification) };
    case 'carrier.user_verification.completed':
      return { userVerificationDetail: userDetail(portal, happening.contact) };
  }
}

/** Packets from before signatures were kept have none. */
function agreementOf(packet: Packet, zoneOffsetMinutes: number): object {
  const { signedBy, agreementBlob } = packet;
  if (!signedBy) return {};
  return {
    agreement: {
      signatureDate: localTime(packet.completedAt, zoneOffsetMinutes),
      signaturePerson: `${signedBy.firstName} ${signedBy.lastName}`,
      signaturePersonTitle: signedBy.title,
      signaturePersonEmail: signedBy.email,
      // Here digits, elsewhere with brackets.
      signaturePersonPhoneNumber: signedBy.phone.replace(/\D/g, ''),
      agreementImageBlobName: agreementBlob,
      ipAddress: ipAddress('192.0.2.17'),
      geolocation,
    },
  };
}

function reportOf(report: IncidentReport, zoneOffsetMinutes: number): object {
  return camelCased(incidentReport(report, zoneOffsetMinutes)) as object;
}

function vinDetail(portal: Portal, verification: VinVerification): object {
  const [firstName, lastName] = portal.findCarrier(verification.dotNumber)!.owner.split(' ');
  return {
    imageUploadedByFirstName: firstName ?? null,
    imageUploadedByLastName: lastName ?? null,
    imageUploadedDateTime: utcTime(verification.uploadedAt ?? portal.now()),
    imageUploadedIPAddress: ipAddress('192.0.2.18'),
    imageUploadedGeolocation: geolocation,
    vin: verification.vin,
    vinVerificationStatus: verification.status,
    otherDOTNumber: verification.otherDotNumber,
    vinVerificationRequestID: verification.id,
    requesteePhoneNumber: verification.sentTo.replace(/\D/g, ''),
    vinImageUrl: `https://portal.example/vin-image/${verification.id}`,
  };
}

function userDetail(portal: Portal, contact: Contact): object {
  const isNamed = roles.includes(contact.title);
  return {
    firstName: contact.firstName,
    lastName: contact.lastName,
    phoneNumber: contact.phone,
    role: isNamed ? contact.title : 'Other',
    otherRole: isNamed ? null : contact.title,
    verificationStatus: contact.verificationStatus,
    verificationDatetime: utcTime(portal.now()),
  };
}

const ipAddress = (address: string) => ({
  address,
  city: 'Omaha',
  region: 'Nebraska',
  country: 'United States of America',
});

const geolocation = { latitude: 41.2565, longitude: -95.9345, error: null, method: 'IPAddress' };

function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name.charAt(0).toLowerCase() + name.slice(1),
      camelCased(member),
    ]),
  );
}
