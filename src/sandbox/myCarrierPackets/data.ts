import { companyFacts } from '../quickbooks/data.ts';
import type { Carrier, Customer } from './carrier.ts';

/**
 * The made-up world of the emulated portal: the brokers of the emulated QuickBooks are its customers, and the carriers
 * that they pay are its carriers, by the same DOT numbers. Everybody may know the passwords: they open nothing real.
 */

/** The vendor's own test carrier, by its numbers. */
export const testCarrierDot = 9_999_997;

export interface CustomerFacts extends Customer {
  userName: string;
  password: string;
  /** DOT numbers of the carriers that it works with. */
  carriers: readonly number[];
}

const customerNumbers = [4101, 4202, 4303];

export const customerFacts: readonly CustomerFacts[] = companyFacts.map((facts, index) => ({
  customerId: customerNumbers[index]!,
  companyName: facts.name,
  street: facts.street,
  city: facts.city,
  state: facts.state,
  zipCode: facts.postalCode,
  phone: `(555) 010-01${String(index).padStart(2, '0')}`,
  userName: `integration@${facts.domain}`,
  password: `sandbox-password-${index + 1}`,
  carriers: facts.carriers.map(([, dotNumber]) => Number(dotNumber)),
}));

/** Name, DOT number, and what sets it apart from the carriers that the seed makes up. */
export const carrierFacts: readonly (readonly [name: string, dotNumber: number, facts?: Partial<Carrier>])[] =
  [
    [
      'Sandbox Test Carrier 9999997',
      testCarrierDot,
      { docketNumber: 'MC9999997', dbaName: 'Test Carrier', street: '1 Test Track' },
    ],
    ...companyFacts.flatMap(({ carriers }) =>
      carriers.map(([name, dotNumber]) => [name, Number(dotNumber)] as const),
    ),
    [
      'Hill Country Intrastate Hauling LLC',
      3_456_001,
      {
        docketNumber: null,
        intrastateNumber: '008123456C',
        city: 'Kerrville',
        state: 'TX',
        zipCode: '78028',
      },
    ],
    ['Prairie Forwarding Co', 2_013_377, { docketNumber: 'FF013377' }],
    [
      'Transportes Sonora del Norte',
      2_840_015,
      { docketNumber: 'MX840015', city: 'Nogales', state: 'AZ', zipCode: '85621' },
    ],
    [
      'Revoked Authority Trucking',
      1_000_001,
      { authority: 'Inactive', outOfService: true, infractions: ['BlockedByOthers'] },
    ],
    // The same people behind two names: FindAssociatedCarriers finds both.
    ['Quick Flip Carriers LLC', 4_100_201, ring()],
    ['Second Chance Hauling LLC', 4_100_202, ring()],
    ['Shallow Cover Transport', 3_777_010, {}],
    ['Conditional Carriers Inc', 2_555_020, { safetyRating: 'Conditional', infractions: ['UnsafeDriving'] }],
    // Monitored, and nobody of it has an account at the portal.
    ['Paper Only Drayage', 1_234_321, { contacts: null }],
    [
      'Owner Operator Jane Doe',
      3_999_045,
      { powerUnits: 1, drivers: 1, infractions: ['NoRecentInspections'] },
    ],
  ];

function ring(): Partial<Carrier> {
  return {
    phone: '(555) 010-0666',
    cellPhone: '(555) 010-0666',
    infractions: ['SharedContactDetails', 'AuthorityRecentlyGranted'],
  };
}

export const places: readonly (readonly [city: string, state: string, zipCode: string])[] = [
  ['Omaha', 'NE', '68110'],
  ['Roanoke', 'VA', '24016'],
  ['Tacoma', 'WA', '98402'],
  ['Amarillo', 'TX', '79101'],
  ['Joliet', 'IL', '60432'],
  ['Chattanooga', 'TN', '37402'],
  ['Fargo', 'ND', '58102'],
  ['Fresno', 'CA', '93721'],
];

export const people: readonly (readonly [firstName: string, lastName: string])[] = [
  ['Alma', 'Okafor'],
  ['Boris', 'Lindqvist'],
  ['Carmen', 'Ibarra'],
  ['Dev', 'Sandhu'],
  ['Erin', 'Walczak'],
  ['Faye', 'Nakamura'],
  ['Gus', 'Petrov'],
  ['Hana', 'Mbeki'],
];

export const insurers = [
  'Example Mutual Insurance',
  'Sample Casualty Company',
  'Placeholder Indemnity',
] as const;

export const factoringNames = [
  'Made-Up Freight Factors',
  'Example Receivables Group',
  'Sample Funding LLC',
  'Placeholder Capital',
] as const;

export const incidentTypes = [
  'Pickup or Delivery Service Failure',
  'Unauthorized Re-Brokering of Freight',
  'Wrong Equipment',
] as const;
