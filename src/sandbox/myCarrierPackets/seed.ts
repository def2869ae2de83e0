import { changeCategories, type Carrier, type Contact, type Customer, type Payment } from './carrier.ts';
import {
  carrierFacts,
  customerFacts,
  factoringNames,
  incidentTypes,
  insurers,
  people,
  places,
  testCarrierDot,
  type CustomerFacts,
} from './data.ts';
import { agreementBlob, blobId } from './documents.ts';
import { addListing, signerOf } from './happenings.ts';
import { keyOf, Portal } from './portal.ts';
import { day } from './time.ts';
import { hashOf } from './tokens.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** The same portal for the same `anchorMs`: everything happened in the 200 days before it. */
export function seedPortal(anchorMs: number, now: () => number): Portal {
  const portal = new Portal(customerFacts.map(asCustomer), now);
  factoringNames.forEach((name, index) => addFactoringCompany(portal, name, index, anchorMs));
  carrierFacts.forEach(([name, dotNumber, facts], index) => {
    const { modifiedAt } = portal.putCarrier(makeCarrier(name, dotNumber, facts ?? {}, index, anchorMs));
    portal.addChange(dotNumber, changeCategories[index % changeCategories.length]!, modifiedAt);
  });
  for (const facts of customerFacts) seedCustomer(portal, facts, anchorMs);
  seedTestCarrier(portal, anchorMs);
  return portal;
}

function asCustomer(facts: CustomerFacts): Customer {
  const { userName: _userName, password: _password, carriers: _carriers, ...customer } = facts;
  return customer;
}

function makeCarrier(
  legalName: string,
  dotNumber: number,
  facts: Partial<Carrier>,
  index: number,
  anchorMs: number,
): Carrier {
  const [city, state, zipCode] = places[index % places.length]!;
  const [firstName, lastName] = people[index % people.length]!;
  const domain = `${legalName.toLowerCase().replace(/[^a-z0-9]+/g, '')}.example`;
  const phone = `(555) 010-02${String(index).padStart(2, '0')}`;
  const createdAt = anchorMs - (200 - index) * dayMs;
  return {
    carrierId: 70_000 + index,
    dotNumber,
    docketNumber: `MC${String(dotNumber % 900_000).padStart(6, '0')}`,
    intrastateNumber: null,
    legalName,
    dbaName: index % 3 === 2 ? `${lastName} Freight` : null,
    street: `${100 + index * 7} Terminal Road`,
    city,
    state,
    zipCode,
    phone,
    cellPhone: `(555) 010-03${String(index).padStart(2, '0')}`,
    email: `dispatch@${domain}`,
    owner: `${firstName} ${lastName}`,
    trailer: (['Van', 'Reefer', 'Flatbed'] as const)[index % 3]!,
    powerUnits: 3 + ((index * 11) % 60),
    drivers: 3 + ((index * 13) % 70),
    authority: 'Active',
    grantedOn: day(anchorMs - (800 + index * 97) * dayMs),
    outOfService: false,
    safetyRating: index % 4 === 0 ? 'None' : 'Satisfactory',
    insurance: {
      insurer: insurers[index % insurers.length]!,
      policyNumber: `EX-${dotNumber}-01`,
      effectiveOn: day(createdAt),
      expiresOn: day(createdAt + 365 * dayMs),
      cancelledOn: null,
      liabilityLimit: 1_000_000,
      cargoLimit: legalName.startsWith('Shallow') ? 50_000 : 100_000,
      cargoDeductible: 1000 + (index % 4) * 500,
      certificateBlob: `insurance-certificate/${blobId(`certificate ${dotNumber}`)}`,
    },
    infractions: [],
    contacts: makeContacts(index, domain, phone),
    payment: makePayment(dotNumber, index),
    vins: [`1EXAMPLE${String(dotNumber).padStart(9, '0')}`],
    createdAt,
    modifiedAt: anchorMs - (1 + index) * 9 * hourMs,
    ...facts,
  };
}

function makeContacts(index: number, domain: string, phone: string): Contact[] {
  const [owner, dispatcher] = [people[index % people.length]!, people[(index + 3) % people.length]!];
  const contact = ([firstName, lastName]: readonly [string, string], title: string): Contact => ({
    firstName,
    lastName,
    title,
    phone,
    email: `${firstName.toLowerCase()}@${domain}`,
    authorizedForPackets: title === 'Owner',
    verificationStatus: title === 'Owner' ? 'Verified' : 'Pending',
  });
  return [contact(owner, 'Owner'), contact(dispatcher, 'Dispatcher')];
}

/**
 * Well-formed and plainly made up: 987-65-43xx was never a social security number, 00 starts no employer's number,
 * and 99 no bank's, although the check digit of the routing number is right.
 */
function makePayment(dotNumber: number, index: number): Payment {
  const isTest = dotNumber === testCarrierDot;
  const isPerson = index % 5 === 4;
  const viaFactoring = index % 4 === 1;
  return {
    ein: isPerson ? null : `00-${String(1_000_000 + index * 1111)}`,
    ssn: isPerson || isTest ? `987-65-43${String(20 + index).padStart(2, '0')}` : null,
    w9Blob: `w9/${blobId(`w9 ${dotNumber}`)}`,
    bank: viaFactoring
      ? null
      : {
          name: 'Bank of Nowhere',
          routingNumber: '990000013',
          accountNumber: String(99_000_000_000 + dotNumber),
          type: 'Checking',
        },
    factoringCompanyId: viaFactoring || isTest ? 901 + (index % factoringNames.length) : null,
  };
}

function addFactoringCompany(portal: Portal, name: string, index: number, anchorMs: number): void {
  const [city, state, zipCode] = places[index]!;
  portal.factoring.put(String(901 + index), {
    id: 901 + index,
    name,
    email: `remit@${name.toLowerCase().replace(/[^a-z]+/g, '')}.example`,
    street: `${1 + index} Remittance Plaza`,
    city,
    state,
    zipCode,
    phone: `(555) 010-040${index}`,
    routingNumber: '990000013',
    accountNumber: String(98_000_000_000 + index),
    createdAt: anchorMs - (190 - index) * dayMs,
    updatedAt: anchorMs - (3 + index * 20) * dayMs,
  });
}

/** Packets and monitoring of its own carriers and of the test carrier; the first customer has all the odd ones, too. */
function seedCustomer(portal: Portal, facts: CustomerFacts, anchorMs: number): void {
  const { customerId, userName } = facts;
  portal.users.put(userName.toLowerCase(), {
    userName,
    passwordHash: hashOf(facts.password),
    customerId,
    disabled: false,
  });
  const isMain = facts === customerFacts[0];
  const odd = carrierFacts.filter((one) => one[2]).map(([, dotNumber]) => dotNumber);
  [...facts.carriers, ...(isMain ? odd : [testCarrierDot])].forEach((dotNumber, index) => {
    const carrier = portal.findCarrier(dotNumber)!;
    const at = anchorMs - (120 - index * 4) * dayMs;
    if (!carrier.infractions.includes('BlockedByOthers')) {
      addListing(portal, 'monitored', customerId, carrier, userName, at);
    } else addListing(portal, 'blocked', customerId, carrier, userName, at);
    // Every fifth has not onboarded yet, and some did before signatures were kept.
    if (index % 5 !== 3 && carrier.contacts) {
      const hasAgreement = index % 7 !== 4;
      portal.packets.put(keyOf(customerId, dotNumber), {
        customerId,
        dotNumber,
        completedAt: at + 2 * hourMs,
        agreementBlob: hasAgreement ? agreementBlob(customerId, dotNumber, at) : null,
        signedBy: hasAgreement ? signerOf(carrier) : null,
      });
    }
  });
}

function seedTestCarrier(portal: Portal, anchorMs: number): void {
  const carrier = portal.findCarrier(testCarrierDot)!;
  const { companyName, customerId } = portal.customers()[0]!;
  const reportedAt = anchorMs - 40 * dayMs;
  const report = {
    id: portal.nextId(),
    dotNumber: testCarrierDot,
    incidentOn: day(reportedAt - 2 * dayMs),
    origin: ['Omaha', 'NE'] as const,
    destination: ['Joliet', 'IL'] as const,
    reportedByCompany: companyName,
    carrierEmails: carrier.email,
    createdBy: 'Alma Okafor',
    createdAt: reportedAt,
    modifiedBy: 'Alma Okafor',
    modifiedAt: reportedAt + hourMs,
    types: incidentTypes.slice(0, 2),
    comments: [
      { by: 'ReportingParty' as const, name: 'Alma Okafor', at: reportedAt, text: 'Trailer did not arrive' },
    ],
    retracted: false,
  };
  portal.incidents.put(String(report.id), report);
  const asked = { customerId, dotNumber: testCarrierDot, requestedBy: customerFacts[0]!.userName };
  const done = { status: 'VINBelongsToCarrier', vin: carrier.vins[0]!, otherDotNumber: null } as const;
  const other = {
    status: 'VINBelongsToAnotherCarrier',
    vin: '1EXAMPLE000000001',
    otherDotNumber: 4_100_201,
  } as const;
  for (const [index, outcome] of [done, other].entries()) {
    const at = anchorMs - (30 - index * 5) * dayMs;
    const id = portal.nextId();
    portal.vins.put(String(id), {
      ...asked,
      ...outcome,
      id,
      sentTo: carrier.cellPhone,
      requestedAt: at,
      uploadedAt: at + hourMs,
    });
  }
}
