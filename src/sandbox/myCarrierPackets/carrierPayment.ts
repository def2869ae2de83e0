import type { Carrier, FactoringCompany, Packet } from './carrier.ts';
import { factoringOf, type Viewer } from './carrierDetails.ts';
import { localTime } from './time.ts';

/** The members of `CarrierAADTO` that hold bank and tax numbers: null or empty without a packet. */
export function taxAndPayment(viewer: Viewer, carrier: Carrier, packet: Packet | undefined): object {
  const none = {
    CarrierPaymentTerms: [],
    CarrierPaymentTypes: [],
    CarrierW9Forms: [],
    CarrierTINMatchings: [],
  };
  if (!packet) {
    return {
      CarrierPaymentInfo: null,
      CarrierRemit: null,
      FactoringRemit: null,
      CarrierBank: null,
      CarrierPayerType: null,
      ...none,
    };
  }
  const { customerId } = viewer;
  const factoring = factoringOf(viewer.portal, carrier);
  const type = factoring ? 'Factoring Company' : 'Standard Pay';
  return {
    CarrierPaymentInfo: paymentInfo(carrier, factoring),
    CarrierRemit: {
      CarrierRemitEmail: carrier.email,
      CarrierRemitAddress1: carrier.street,
      CarrierRemitAddress2: null,
      CarrierRemitCity: carrier.city,
      CarrierRemitCountry: 'US',
      CarrierRemitStateProvince: carrier.state,
      CarrierRemitZipCode: carrier.zipCode,
    },
    FactoringRemit: factoring
      ? {
          ...factoringRemit(factoring),
          BankRoutingNumber: factoring.routingNumber,
          BankAccountNumber: factoring.accountNumber,
        }
      : null,
    CarrierBank: bank(carrier),
    CarrierPaymentTerms: [
      {
        PaymentTerm: {
          PaymentTermID: 30,
          Days: 30,
          Term: 'Net 30',
          QuickPay: false,
          PaymentFeeType: null,
          PaymentFeeAmount: 0,
          CustomerID: customerId,
        },
      },
    ],
    CarrierPaymentTypes: [
      {
        PaymentType: { PaymentTypeID: 1, Type: 'ACH', CustomerID: customerId, PaymentType: { Name: 'ACH' } },
      },
    ],
    CarrierPayerType: { PayerTypeID: factoring ? 2 : 1, Name: type },
    CarrierW9Forms: [w9(viewer, carrier, packet)],
    CarrierTINMatchings: [tinMatching(carrier, packet)],
  };
}

/** As `GetUpdatedFactoringCompanies` tells it, too. */
export function factoringRemit(company: FactoringCompany): object {
  return {
    FactoringCompanyID: company.id,
    FactoringCompanyName: company.name,
    FactoringRemitEmail: company.email,
    FactoringRemitAddress: company.street,
    FactoringRemitAddress2: null,
    FactoringRemitCity: company.city,
    FactoringRemitCountry: 'US',
    FactoringRemitStateProvince: company.state,
    FactoringRemitZipcode: company.zipCode,
    FactoringPhone: company.phone,
  };
}

function paymentInfo(carrier: Carrier, factoring: FactoringCompany | undefined): object {
  const account = carrier.payment.bank;
  const remit = factoring ?? carrier;
  return {
    BankRoutingNumber: account?.routingNumber ?? null,
    BankAccountNumber: account?.accountNumber ?? null,
    BankAccountName: account && carrier.legalName,
    BankName: account?.name ?? null,
    BankAddress: account && '1 Nowhere Plaza',
    BankPhone: null,
    BankFax: null,
    FactoringCompanyName: factoring?.name ?? null,
    RemitAddress1: remit.street,
    RemitAddress2: null,
    RemitCity: remit.city,
    RemitZipCode: remit.zipCode,
    BankAccountType: account?.type ?? null,
    RemitState: remit.state,
    RemitCountry: 'US',
    RemitEmail: remit.email,
    Require1099: carrier.payment.ssn !== null,
    EpayManagerID: null,
    RemitCurrency: 'USD',
    PayAdvanceOptionID: null,
    PayAdvanceOptionType: null,
  };
}

function bank(carrier: Carrier): object | null {
  const account = carrier.payment.bank;
  return (
    account && {
      CarrierBankRoutingNumber: account.routingNumber,
      CarrierBankAccountNumber: account.accountNumber,
      CarrierBankAccountName: carrier.legalName,
      CarrierBankName: account.name,
      CarrierBankAddress: '1 Nowhere Plaza',
      CarrierBankPhone: null,
      CarrierBankFax: null,
      CarrierBankAccountType: account.type,
    }
  );
}

function w9({ zoneOffsetMinutes }: Viewer, carrier: Carrier, packet: Packet): object {
  const { ein, ssn, w9Blob } = carrier.payment;
  const signedAt = localTime(packet.completedAt, zoneOffsetMinutes);
  return {
    FullName: ssn ? carrier.owner : carrier.legalName,
    BusinessName: carrier.dbaName,
    IndividualOrSingleMemberLLC: ssn !== null,
    CCorporation: ein !== null,
    SCorporation: false,
    Partnership: false,
    RequesterNameAddress: null,
    TrustOrEstate: false,
    LimitedLiabilityCompany: false,
    TaxClassification: null,
    Other: false,
    OtherDetail: null,
    ExemptPayeeCode: null,
    ExemptionFATCACode: null,
    Address: carrier.street,
    CityStateZipCode: `${carrier.city}, ${carrier.state} ${carrier.zipCode}`,
    ListAccountNumber: null,
    SSN: ssn,
    EIN: ein,
    SignatureDate: signedAt,
    SignaturePerson: carrier.owner,
    IsActive: true,
    City: carrier.city,
    State: carrier.state,
    ZipCode: carrier.zipCode,
    CarrierW9FormImages: [
      { BlobName: w9Blob, CreatedDate: signedAt, FileName: 'w9.pdf', CreatedBy: carrier.email },
    ],
  };
}

function tinMatching(carrier: Carrier, packet: Packet): object {
  const { ein, ssn } = carrier.payment;
  return {
    TINTypeID: ein ? 1 : 2,
    TIN: ein ?? ssn,
    TINName: carrier.legalName,
    TINMatchingStatusID: 3,
    TINMatchingResultID: 1,
    CreatedOnUtc: localTime(packet.completedAt, 0),
    SubmittedOnUtc: localTime(packet.completedAt, 0),
    ProcessedOnUtc: localTime(packet.completedAt + 60_000, 0),
    ContactEmail: carrier.email,
    ContactPhoneNumber: carrier.phone,
    MatchingResult: 'TIN and name match',
    MatchingStatus: 'Completed',
  };
}
