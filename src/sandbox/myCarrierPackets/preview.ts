import type { Carrier } from './carrier.ts';
import { incidentCounts, producer, type Viewer } from './carrierDetails.ts';
import { keyOf } from './portal.ts';
import { riskAssessment, riskAssessmentDetails, riskPoints } from './risk.ts';
import { localTime } from './time.ts';

/** `PreviewCarrier`: what a customer sees of a carrier before it invites it. */
export function previewCarrier({ portal, customerId, zoneOffsetMinutes }: Viewer, carrier: Carrier): object {
  const key = keyOf(customerId, carrier.dotNumber);
  const packet = portal.packets.get(key);
  const points = riskPoints(carrier);
  return {
    CarrierID: carrier.carrierId,
    // Elsewhere it is DOTNumber.
    DotNumber: carrier.dotNumber,
    DocketNumber: carrier.docketNumber,
    CompanyName: carrier.legalName,
    DBAName: carrier.dbaName,
    Street: carrier.street,
    City: carrier.city,
    State: carrier.state,
    ZipCode: carrier.zipCode,
    Country: 'US',
    Phone: carrier.phone,
    Status: carrier.outOfService ? 'OUT OF SERVICE' : 'ACTIVE',
    StatusDate: localTime(carrier.modifiedAt, zoneOffsetMinutes),
    InProcessState: packet ? 'Completed' : null,
    PossibleFraud: carrier.infractions.includes('SharedContactDetails') ? 'YES' : 'NO',
    DoubleBrokering: 'NO',
    IncidentReports: incidentCounts(portal, carrier),
    FraudCallNumber: null,
    HasSaferWatchKey: true,
    WatchdogReports: null,
    OnCurrentCustomerAgreement: packet?.agreementBlob != null,
    CarrierRating: {
      CarrierID: carrier.carrierId,
      CustomerID: customerId,
      CustomerRating: 0,
      RatingSum: 0,
      TotalRatings: 0,
      LowRatings: 0,
      TotalRatingPercent: 0,
      CustomerRatingPercent: 0,
      RatingValue: 0,
      RatingValueText: '0.0',
      AvgRatingText: 'Not rated',
      AvgRatingBasisText: 'Based on 0 ratings',
      AvgRatingTextPlusRatingBasisText: 'Not rated. Based on 0 ratings',
      CustomerRatingText: 'Not rated',
      HasCompletedPacket: packet !== undefined,
    },
    RiskAssessment: riskAssessment(carrier),
    RiskAssessmentDetails: riskAssessmentDetails(carrier),
    CertData: certData(carrier),
    Emails: emails(carrier),
    Source: carrier.contacts ? 2 : 3,
    IsIntrastateCarrier: carrier.docketNumber === null,
    IsMonitored: portal.monitored.get(key) !== undefined,
    IsBlocked: portal.blocked.get(key) !== undefined,
    FreightValidateStatus: points < 250 ? 'Clear' : 'Review Recommended',
  };
}

/** The certificates as in `CarrierDetails`, with other names. */
function certData(carrier: Carrier): object {
  const { insurance: policy } = carrier;
  const coverage = (Type: string, limit: number, deductible: number) => ({
    InsurerName: policy.insurer,
    Type,
    PolicyNumber: policy.policyNumber,
    ExpirationDate: policy.expiresOn,
    CoverageLimit: String(limit),
    Deductible: String(deductible),
    ReferBreakdown: carrier.trailer === 'Reefer' ? 'Y' : 'N',
    ReferBreakDeduct: carrier.trailer === 'Reefer' ? '2500' : '',
    CancellationDate: policy.cancelledOn ?? '',
  });
  const Coverages = [
    coverage('Auto', policy.liabilityLimit, 0),
    coverage('Cargo', policy.cargoLimit, policy.cargoDeductible),
  ];
  const agency = { CertificateID: String(carrier.carrierId), ...producer('Producer'), PaidFor: 'Yes' };
  return { Status: 'Current', Noncoop: false, Certificates: [{ ...agency, Coverages }] };
}

function emails({ email, contacts }: Carrier): object[] {
  const portalEmail = contacts?.[0]?.email;
  return [
    ...(portalEmail ? [{ EmailType: 1, Description: 'MCP Email', Email: portalEmail }] : []),
    { EmailType: 3, Description: 'FMCSA Email', Email: email },
  ];
}
