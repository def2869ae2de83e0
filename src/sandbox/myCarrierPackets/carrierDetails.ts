import type { Carrier, FactoringCompany } from './carrier.ts';
import {
  cargo,
  countsBy,
  drivers,
  equipment,
  inspection,
  operation,
  review,
  safety,
  yesOrNo,
} from './fmcsa.ts';
import { keyOf, type Portal } from './portal.ts';
import { riskAssessment, riskAssessmentDetails } from './risk.ts';
import { localTime } from './time.ts';

/** Who asks, and when: what an answer depends on besides the carrier. */
export interface Viewer {
  portal: Portal;
  customerId: number;
  zoneOffsetMinutes: number;
}

/**
 * What the authorities and insurers know (`FMCSA.CarrierDetails`): almost everything is a text, numbers and yes or no
 * too, and names begin in lower case or not as the vendor's do.
 */
export function carrierDetails(viewer: Viewer, carrier: Carrier): object {
  const { portal, customerId } = viewer;
  const key = keyOf(customerId, carrier.dotNumber);
  return {
    docketNumber: carrier.docketNumber,
    dotNumber: {
      status: carrier.outOfService ? 'OUT OF SERVICE' : 'ACTIVE',
      Value: String(carrier.dotNumber),
    },
    carrierType: carrier.docketNumber === null ? 'Intrastate' : 'Interstate',
    isMonitored: portal.monitored.get(key) !== undefined,
    isBlocked: portal.blocked.get(key) !== undefined,
    Identity: identity(carrier),
    Authority: authority(carrier),
    FMCSAInsurance: insurance(carrier),
    CertData: {
      status: 'Current',
      noncoop: false,
      Certificate: [certificate(carrier)],
    },
    Safety: safety(carrier),
    Inspection: inspection(carrier),
    Crash: countsBy('crash', ['Fatal', 'Injury', 'Tow', 'Total'], ['US', 'CAN']),
    Review: review(carrier),
    Operation: operation(carrier),
    Cargo: cargo(carrier),
    Drivers: drivers(carrier),
    Equipment: equipment(carrier),
    Other: { carbTru: yesOrNo(carrier.trailer === 'Reefer'), smartway: 'N', watchdogReports: 'N' },
    RiskAssessment: riskAssessment(carrier),
    RiskAssessmentDetails: riskAssessmentDetails(carrier),
    CarrierRatings: { myRating: 0, totalRatings: 0, lowRatings: 0, avgRating: 0 },
    LatestInvitation: latestInvitation(viewer, carrier),
    IncidentReports: incidentCounts(portal, carrier),
  };
}

/** `ResponseDO`: what stands beside the details of each carrier. */
export const succeeded = { status: 'SUCCESS', action: 'OK', code: '', displayMsg: '', techMsg: '' };

export function incidentCounts(portal: Portal, { dotNumber }: Carrier): object {
  const reports = portal.incidents.list().filter((one) => one.dotNumber === dotNumber && !one.retracted);
  const withFraud = reports.filter(({ types }) => types.some((type) => type.includes('Re-Brokering')));
  return { TotalIncidentReports: reports.length, TotalIncidentReportsWithFraud: withFraud.length };
}

export function factoringOf(portal: Portal, { payment }: Carrier): FactoringCompany | undefined {
  return portal.factoring.get(String(payment.factoringCompanyId));
}

function identity(carrier: Carrier): object {
  const { street, city, state, zipCode, phone } = carrier;
  return {
    legalName: carrier.legalName,
    dbaName: carrier.dbaName ?? '',
    businessStreet: street,
    businessCity: city,
    businessState: state,
    businessZipCode: zipCode,
    businessColonia: '',
    businessCountry: 'US',
    businessPhone: phone,
    businessFax: '',
    mailingStreet: street,
    mailingCity: city,
    mailingState: state,
    mailingZipCode: zipCode,
    mailingColonia: '',
    mailingCountry: 'US',
    mailingPhone: phone,
    mailingFax: '',
    undeliverableMail: 'N',
    companyRep1: carrier.owner,
    companyRep2: '',
    cellPhone: carrier.cellPhone,
    emailAddress: carrier.email,
    dunBradstreetNum: '',
    organization: 'Corporation',
  };
}

function authority(carrier: Carrier): object {
  const none = { brokerAuthority: 'None', brokerAuthorityPending: 'No', brokerAuthorityRevocation: 'No' };
  const granted = carrier.docketNumber === null ? 'None' : carrier.authority;
  return {
    authGrantDate: carrier.docketNumber === null ? '' : carrier.grantedOn,
    commonAuthority: granted,
    commonAuthorityPending: 'No',
    commonAuthorityRevocation: carrier.authority === 'Inactive' ? 'Yes' : 'No',
    contractAuthority: 'None',
    contractAuthorityPending: 'No',
    contractAuthorityRevocation: 'No',
    ...none,
    freight: 'Y',
    passenger: 'N',
    householdGoods: 'N',
    private: 'N',
    enterprise: 'N',
  };
}

function insurance({ insurance: policy, city, state, zipCode }: Carrier): object {
  const policyOf = (insuranceType: string, coverageTo: number) => ({
    companyName: policy.insurer,
    attnToName: 'Filings',
    address: '1 Policy Way',
    city,
    stateCode: state,
    postalCode: zipCode,
    countryCode: 'US',
    phone: '(555) 010-0500',
    fax: '',
    insuranceType,
    policyNumber: policy.policyNumber,
    postedDate: policy.effectiveOn,
    effectiveDate: policy.effectiveOn,
    cancelationDate: policy.cancelledOn ?? '',
    coverageFrom: '0',
    coverageTo: String(coverageTo),
    amBestRating: 'A',
  });
  return {
    bipdRequired: '750000',
    bipdOnFile: String(policy.liabilityLimit),
    cargoRequired: 'No',
    cargoOnFile: 'Yes',
    bondSuretyRequired: 'No',
    bondSuretyOnFile: 'No',
    PolicyList: [policyOf('BIPD/Primary', policy.liabilityLimit), policyOf('CARGO', policy.cargoLimit)],
  };
}

function certificate(carrier: Carrier): object {
  const { insurance: policy } = carrier;
  const coverage = (type: string, limit: number, deductable: number) => ({
    insurerName: policy.insurer,
    insurerAMBestRating: 'A',
    type,
    policyNumber: policy.policyNumber,
    expirationDate: policy.expiresOn,
    coverageLimit: String(limit),
    // The vendor's spelling.
    deductable: String(deductable),
    referBreakdown: carrier.trailer === 'Reefer' ? 'Y' : 'N',
    referBreakDeduct: carrier.trailer === 'Reefer' ? '2500' : '',
    cancellationDate: policy.cancelledOn ?? '',
  });
  return {
    certificateID: String(carrier.carrierId),
    ...producer('producer'),
    paidFor: 'Yes',
    BlobName: policy.certificateBlob,
    Coverage: [
      coverage('Auto', policy.liabilityLimit, 0),
      coverage('Cargo', policy.cargoLimit, policy.cargoDeductible),
      coverage('General', policy.liabilityLimit, 0),
    ],
  };
}

/** The insurance agency; one place writes its members in lower case, another does not. */
export function producer(prefix: 'producer' | 'Producer'): object {
  const agency = {
    Name: 'Sample Insurance Agency',
    Address: '20 Agency Court',
    City: 'Omaha',
    State: 'NE',
    Zip: '68102',
    Phone: '(555) 010-0510',
    Fax: '',
    Email: 'certificates@sampleagency.example',
  };
  return Object.fromEntries(Object.entries(agency).map(([name, value]) => [prefix + name, value]));
}

function latestInvitation({ portal, customerId, zoneOffsetMinutes }: Viewer, { dotNumber }: Carrier) {
  const latest = portal.invitations
    .list()
    .findLast((one) => one.customerId === customerId && one.dotNumber === dotNumber);
  if (!latest) return null;
  return {
    InvitedByUserName: latest.sentBy,
    InvitedByEmail: latest.sentBy,
    InvitedByFirstName: null,
    InvitedByLastName: null,
    InvitationSentDate: localTime(latest.sentAt, zoneOffsetMinutes),
    InvitationRecipient: latest.sentTo,
  };
}
