import { vinStatuses, type IncidentReport, type VinVerification } from './carrier.ts';
import type { Viewer } from './carrierDetails.ts';
import { localTime } from './time.ts';

/** `CarrierIncidentReportDetailDTO`. Webhooks carry the same with names in camel case. */
export function incidentReport(report: IncidentReport, zoneOffsetMinutes: number) {
  return {
    IncidentDate: report.incidentOn,
    OriginCity: report.origin[0],
    OriginStateProvinceName: report.origin[1],
    OriginCountryName: 'United States',
    DestinationCity: report.destination[0],
    DestinationStateProvinceName: report.destination[1],
    DestinationCountryName: 'United States',
    ReportedByCompany: report.reportedByCompany,
    CarrierEmails: report.carrierEmails,
    CreatedBy: report.createdBy,
    CreatedDate: localTime(report.createdAt, zoneOffsetMinutes),
    ModifiedBy: report.modifiedBy,
    ModifiedDate: localTime(report.modifiedAt, zoneOffsetMinutes),
    IncidentTypes: [...report.types],
    Comments: report.comments.map(({ by, name, at, text }) => ({
      CommenterType: by,
      CommentBy: name,
      CommentDate: localTime(at, zoneOffsetMinutes),
      Comment: text,
    })),
  };
}

/** `CarrierVINVerificationDetailDTO`: one VIN, with the requests that it came of. */
export function vinVerification(viewer: Viewer, verification: VinVerification): object {
  const shared = {
    VIN: verification.vin,
    VINVerificationStatus: {
      StatusID: vinStatuses.indexOf(verification.status) + 1,
      Description: verification.status,
    },
    OtherCarrier: otherCarrier(viewer, verification.otherDotNumber),
  };
  const { requestedAt, uploadedAt } = verification;
  const uploader = uploadedAt === null ? undefined : viewer.portal.findCarrier(verification.dotNumber);
  const [firstName = null, lastName = null] = uploader?.owner.split(' ') ?? [];
  return {
    ...shared,
    CreatedOnUtc: localTime(requestedAt, 0),
    ModifiedOnUtc: localTime(uploadedAt ?? requestedAt, 0),
    Requests: [
      {
        ...shared,
        RequestSentTo: verification.sentTo,
        RequestedByUser: verification.requestedBy,
        RequestedDateTime: localTime(requestedAt, viewer.zoneOffsetMinutes),
        ImageUploadedByFirstName: firstName,
        ImageUploadedByLastName: lastName,
        ImageUploadedFromIPAddress: uploader ? '192.0.2.18' : null,
        ImageUploadedDateTime: uploadedAt === null ? null : localTime(uploadedAt, viewer.zoneOffsetMinutes),
        ImageFileName: uploader ? 'vin.jpg' : null,
        ImageBlobName: uploader ? `vin-image/${verification.id}` : null,
      },
    ],
  };
}

function otherCarrier({ portal }: Viewer, dotNumber: number | null): object | null {
  const other = dotNumber === null ? undefined : portal.findCarrier(dotNumber);
  if (!other) return null;
  return {
    DOTNumber: other.dotNumber,
    DocketNumber: other.docketNumber,
    CompanyName: other.legalName,
    DBAName: other.dbaName,
    Street: other.street,
    City: other.city,
    StateProvince: other.state,
    Zipcode: other.zipCode,
    Country: 'US',
    Phone: other.phone,
  };
}
