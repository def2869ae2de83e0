/** What is true of a carrier, whoever asks. Answers are worked out from this. */
export interface Carrier {
  /** The portal's own number. */
  carrierId: number;
  dotNumber: number;
  /** With its prefix: `MC113843`. Null for a carrier that stays within its state. */
  docketNumber: string | null;
  intrastateNumber: string | null;
  legalName: string;
  dbaName: string | null;
  street: string;
  city: string;
  state: string;
  zipCode: string;
  /** `(555) 010-0134`. */
  phone: string;
  cellPhone: string;
  email: string;
  owner: string;
  trailer: 'Van' | 'Reefer' | 'Flatbed';
  powerUnits: number;
  drivers: number;
  /** By the FMCSA. */
  authority: 'Active' | 'Inactive';
  /** `MM/DD/YYYY`, as are all days. */
  grantedOn: string;
  outOfService: boolean;
  safetyRating: 'Satisfactory' | 'Conditional' | 'None';
  insurance: Insurance;
  /** Rules that it breaks, besides those that follow from the rest. */
  infractions: readonly string[];
  /** Null: nobody of this carrier has an account at the portal. */
  contacts: readonly Contact[] | null;
  payment: Payment;
  vins: readonly string[];
  createdAt: number;
  modifiedAt: number;
}

export interface Insurance {
  insurer: string;
  policyNumber: string;
  effectiveOn: string;
  expiresOn: string;
  cancelledOn: string | null;
  liabilityLimit: number;
  cargoLimit: number;
  cargoDeductible: number;
  certificateBlob: string;
}

export interface Contact {
  firstName: string;
  lastName: string;
  title: string;
  phone: string;
  email: string;
  authorizedForPackets: boolean;
  verificationStatus: 'Pending' | 'Verified' | 'Denied' | 'FollowUp';
}

export interface Payment {
  /** A company has the one, a person the other, the test carrier both. */
  ein: string | null;
  ssn: string | null;
  w9Blob: string;
  bank: { name: string; routingNumber: string; accountNumber: string; type: 'Checking' | 'Savings' } | null;
  factoringCompanyId: number | null;
}

/** A packet that a carrier completed for one customer. */
export interface Packet {
  customerId: number;
  dotNumber: number;
  completedAt: number;
  /** Null on packets from before signatures were kept. */
  agreementBlob: string | null;
  signedBy: Contact | null;
}

/** One carrier on a customer's list. */
export interface Listing {
  /** `MonitoringID`. */
  id: number;
  customerId: number;
  dotNumber: number;
  createdAt: number;
  createdBy: string;
  modifiedAt: number;
  modifiedBy: string;
}

export interface IncidentReport {
  /** Ours: the portal shows none. */
  id: number;
  dotNumber: number;
  incidentOn: string;
  origin: readonly [city: string, state: string];
  destination: readonly [city: string, state: string];
  reportedByCompany: string;
  carrierEmails: string;
  createdBy: string;
  createdAt: number;
  modifiedBy: string;
  modifiedAt: number;
  types: readonly string[];
  comments: readonly {
    by: 'ReportingParty' | 'RespondingParty';
    name: string;
    at: number;
    text: string;
  }[];
  retracted: boolean;
}

export const vinStatuses = [
  'VINRequestSent',
  'VINBelongsToCarrier',
  'VINBelongsToAnotherCarrier',
  'VINCarrierUndetermined',
] as const;

export interface VinVerification {
  /** `VinVerificationRequestID`. */
  id: number;
  customerId: number;
  dotNumber: number;
  sentTo: string;
  requestedBy: string;
  requestedAt: number;
  status: (typeof vinStatuses)[number];
  vin: string | null;
  otherDotNumber: number | null;
  uploadedAt: number | null;
}

export interface UserVerification {
  id: number;
  customerId: number;
  dotNumber: number;
  email: string;
  requestedAt: number;
}

export interface Invitation {
  id: number;
  customerId: number;
  dotNumber: number;
  sentTo: string;
  sentBy: string;
  sentAt: number;
}

export const changeCategories = ['Insurance', 'FMCSA', 'RiskAssessment'] as const;

export type ChangeCategory = (typeof changeCategories)[number];

/** One line of what `CarriersChanges` tells. */
export interface Change {
  id: number;
  dotNumber: number;
  category: ChangeCategory;
  at: number;
}

export interface FactoringCompany {
  id: number;
  name: string;
  email: string;
  street: string;
  city: string;
  state: string;
  zipCode: string;
  phone: string;
  routingNumber: string;
  accountNumber: string;
  createdAt: number;
  updatedAt: number;
}

export interface Customer {
  customerId: number;
  companyName: string;
  street: string;
  city: string;
  state: string;
  zipCode: string;
  phone: string;
}
