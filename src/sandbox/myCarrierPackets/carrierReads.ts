import type { Carrier, Contact } from './carrier.ts';
import { carrierData } from './carrierData.ts';
import { findDocument } from './documents.ts';
import { errors } from './errors.ts';
import { byNumbers, findCarrier, getCarrier, listFor, type Call, type Operation } from './operation.ts';
import { previewCarrier } from './preview.ts';
import { incidentReport, vinVerification } from './reports.ts';
import { riskAssessmentDetails } from './risk.ts';

const dotAndDocket = { DOTNumber: 'int', DocketNumber: 'text' } as const;
const lowerNumbers = { dotNumber: 'int', docketNumber: 'text' } as const;

/** Operations that tell of one carrier. */
export const carrierReads: Readonly<Record<string, Operation>> = {
  PreviewCarrier: {
    takes: byNumbers,
    returns: 'PreviewCarrier[]',
    answer: (call) => listFor(call, byNumbers, (carrier) => previewCarrier(call, carrier)),
  },
  GetCarrierData: {
    takes: dotAndDocket,
    returns: 'CarrierAADTO',
    answer: (call) => ({ body: carrierData(call, getCarrier(call, dotAndDocket)) }),
  },
  GetCarrierContacts: {
    takes: byNumbers,
    returns: 'GetCarrierContactsResponse[]',
    // A carrier that is unknown, or has nobody at the portal, is a success that says so.
    answer: (call) => ({ body: [contactsOf(call)] }),
  },
  GetCarrierRiskAssessment: {
    takes: lowerNumbers,
    returns: 'CarrierRiskAssessmentDTO[]',
    answer: (call) => listFor(call, lowerNumbers, carrierRisk),
  },
  GetCarrierIncidentReports: {
    takes: byNumbers,
    returns: 'CarrierIncidentReportDTO',
    answer: (call) => {
      const carrier = getCarrier(call, byNumbers);
      const reports = call.portal.incidents
        .list()
        .filter(({ dotNumber, retracted }) => dotNumber === carrier.dotNumber && !retracted);
      const IncidentReports = reports.map((one) => incidentReport(one, call.zoneOffsetMinutes));
      return { body: { ...namesOf(carrier), IncidentReports } };
    },
  },
  GetCarrierVINVerifications: {
    takes: byNumbers,
    returns: 'CarrierVINVerificationDTO',
    answer: (call) => {
      const carrier = getCarrier(call, byNumbers);
      const own = call.portal.vins
        .list()
        .filter(
          ({ dotNumber, customerId }) => dotNumber === carrier.dotNumber && customerId === call.customerId,
        );
      return {
        body: { ...namesOf(carrier), VINVerifications: own.map((one) => vinVerification(call, one)) },
      };
    },
  },
  FindAssociatedCarriers: {
    takes: { phone: 'text', email: 'text' },
    returns: 'FindAssociatedCarriersDTO',
    answer: (call) => ({ body: findAssociated(call) }),
  },
  GetDocument: {
    takes: { name: 'text!' },
    jsonOnly: true,
    answer: (call) => {
      const name = call.parameters.text('name');
      const pdf = name === undefined ? undefined : findDocument(call, name);
      if (pdf === undefined) throw errors.notFound('Document');
      return { pdf };
    },
  },
};

export function namesOf({ dotNumber, docketNumber, legalName, dbaName }: Carrier) {
  return { DOTNumber: dotNumber, DocketNumber: docketNumber, LegalName: legalName, DBAName: dbaName };
}

export function contactOf(contact: Contact): object {
  return {
    FirstName: contact.firstName,
    LastName: contact.lastName,
    Title: contact.title,
    Phone: contact.phone,
    Email: contact.email,
    AuthorizedForPackets: contact.authorizedForPackets,
    VerificationStatus: contact.verificationStatus,
  };
}

export function carrierRisk(carrier: Carrier): object {
  return {
    DOTNumber: carrier.dotNumber,
    DocketNumber: carrier.docketNumber,
    RiskAssessmentDetails: riskAssessmentDetails(carrier),
  };
}

function contactsOf(call: Call): object {
  const carrier = findCarrier(call, byNumbers);
  if (!carrier) return { Success: false, Message: 'Carrier not found.', Carrier: null };
  if (!carrier.contacts) return { Success: false, Message: 'Carrier has no contacts.', Carrier: null };
  const Contacts = carrier.contacts.map(contactOf);
  return { Success: true, Message: null, Carrier: { ...namesOf(carrier), Contacts } };
}

/** Numbers of the vendor's list. */
const associations = {
  Company: 1,
  Owner: 6,
  AuthorizedUser: 8,
  VerifiedUser: 12,
  UserVerificationPending: 13,
  Dispatcher: 17,
} as const;

function findAssociated({ portal, parameters }: Call): object {
  const [phone, email] = [parameters.text('phone'), parameters.text('email')];
  if (phone === undefined && email === undefined) throw errors.refused('Phone or email is required.');
  const found = portal.carriers.list().flatMap((carrier) => {
    const byPhone = phone === undefined ? [] : usesOf(carrier, 'phone', digits(phone), digits);
    const byEmail =
      email === undefined ? [] : usesOf(carrier, 'email', email.toLowerCase(), (it) => it.toLowerCase());
    if (byPhone.length + byEmail.length === 0) return [];
    return [
      {
        DOTNumber: carrier.dotNumber,
        DocketNumber: carrier.docketNumber,
        CompanyName: carrier.legalName,
        DBAName: carrier.dbaName,
        Street: carrier.street,
        City: carrier.city,
        State: carrier.state,
        ZipCode: carrier.zipCode,
        Country: 'US',
        Phone: carrier.phone,
        PhoneAssociationTypes: byPhone,
        EmailAssociationTypes: byEmail,
      },
    ];
  });
  return {
    Success: true,
    Message: null,
    AssociatedCarriersCount: found.length,
    AssociatedCarriers: found,
  };
}

const digits = (text: string) => text.replace(/\D/g, '').slice(-10);

function usesOf(
  carrier: Carrier,
  kind: 'phone' | 'email',
  wanted: string,
  plain: (text: string) => string,
): object[] {
  const uses: (keyof typeof associations)[] = [
    ...(plain(carrier[kind]) === wanted ? (['Company'] as const) : []),
    ...(carrier.contacts ?? [])
      .filter((contact) => plain(contact[kind]) === wanted)
      .flatMap((contact) => [
        contact.title === 'Dispatcher'
          ? ('Dispatcher' as const)
          : contact.authorizedForPackets
            ? ('AuthorizedUser' as const)
            : ('Owner' as const),
        contact.verificationStatus === 'Verified'
          ? ('VerifiedUser' as const)
          : ('UserVerificationPending' as const),
      ]),
  ];
  return [...new Set(uses)].map((name) => ({ AssociationType: associations[name], Description: name }));
}
