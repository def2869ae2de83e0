import { escapeMarkup } from '../pages.ts';

/** How an answer is written. */
export interface Format {
  contentType: string;
  /** `model`: the vendor's name, `[]` after it for a list. */
  write(body: unknown, model: string): string;
}

const json = (contentType: string): Format => ({
  contentType: `${contentType}; charset=utf-8`,
  write: (body) => JSON.stringify(body),
});
const xml = (contentType: string): Format => ({
  contentType: `${contentType}; charset=utf-8`,
  write: xmlOf,
});

const formats: Readonly<Record<string, Format>> = {
  'application/json': json('application/json'),
  'text/json': json('text/json'),
  'application/xml': xml('application/xml'),
  'text/xml': xml('text/xml'),
};

/** By `Accept`; whatever else is asked for gives JSON, as does an answer that the vendor declares for JSON only. */
export function formatFor(accept: string | undefined, jsonOnly: boolean): Format {
  const wanted = (accept ?? '')
    .split(',')
    .map((range) => {
      const [type = '', ...options] = range.split(';').map((part) => part.trim().toLowerCase());
      const quality = options.find((option) => option.startsWith('q='))?.slice(2);
      return { format: formats[type], quality: quality === undefined ? 1 : Number(quality) };
    })
    .filter(({ format, quality }) => format && quality > 0)
    .filter(({ format }) => !jsonOnly || format!.contentType.includes('json'))
    .sort((a, b) => b.quality - a.quality);
  return wanted[0]?.format ?? formats['application/json']!;
}

/** Lists whose items are not called as the list less its plural. */
const itemNames: Readonly<Record<string, string>> = {
  AssociatedCarriers: 'AssociatedCarriersDTO',
  AssureAdvantage: 'FMCSACarrier',
  CarrierCustomerPacketStatuses: 'CarrierCustomerPacketStatusDTO',
  CarrierList: 'FMCSACarrierChanged',
  Certificate: 'CertificateDTO',
  Certificates: 'Certificate',
  ChangeCategories: 'string',
  Comments: 'CarrierIncidentReportCommentDTO',
  Contacts: 'CarrierContact',
  Coverages: 'Coverage',
  Emails: 'CarrierEmail',
  EmailAssociationTypes: 'AssociationTypeDTO',
  FactoringCompanies: 'UpdatedFactoring',
  IncidentReports: 'CarrierIncidentReportDetailDTO',
  IncidentTypes: 'string',
  Infractions: 'RiskAssessmentInfraction',
  Messages: 'string',
  PhoneAssociationTypes: 'AssociationTypeDTO',
  PolicyList: 'PolicyOutput',
  Requests: 'CarrierVINVerificationRequestDTO',
  VINVerifications: 'CarrierVINVerificationDetailDTO',
};

/** As .NET's DataContractSerializer writes it: members by name, nulls marked. Nested namespaces are left out. */
function xmlOf(body: unknown, model: string): string {
  const root = Array.isArray(body) ? `ArrayOf${model.replace('[]', '')}` : model.replace('[]', '');
  const namespaces =
    'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.datacontract.org/2004/07/MyCarrierPacketsApi.DTOs"';
  const inner = Array.isArray(body)
    ? body.map((item) => element(model.replace('[]', ''), item, model)).join('')
    : content(model, body, model);
  // Errors are no data contract.
  return `<${root}${model === 'Error' ? '' : ` ${namespaces}`}>${inner}</${root}>`;
}

function element(name: string, value: unknown, model: string): string {
  if (value === null || value === undefined) return `<${name} i:nil="true"/>`;
  return `<${name}>${content(name, value, model)}</${name}>`;
}

function content(name: string, value: unknown, model: string): string {
  if (Array.isArray(value)) return value.map((item) => element(itemName(name, model), item, model)).join('');
  if (typeof value !== 'object' || value === null) return escapeMarkup(String(value));
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return members.map(([member, inner]) => element(member, inner, model)).join('');
}

function itemName(list: string, model: string): string {
  if (list === 'data') {
    return model === 'MonitoredCarrierDataDTO'
      ? 'CarrierDetails'
      : model === 'MonitoredCarriersContactsDataDTO'
        ? 'MonitoredCarriersContacts'
        : 'CarrierRiskAssessmentDTO';
  }
  if (list === 'CarriersContacts') return 'MonitoredCarriersContact';
  return itemNames[list] ?? `${list.replace(/s$/, '')}DTO`;
}
