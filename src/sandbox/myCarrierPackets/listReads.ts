import type { Change, ChangeCategory, Listing } from './carrier.ts';
import { carrierDetails, succeeded } from './carrierDetails.ts';
import { factoringRemit } from './carrierPayment.ts';
import { carrierRisk, contactOf, namesOf } from './carrierReads.ts';
import type { Answer, Call, Operation } from './operation.ts';
import { fewSizes, manySizes, pageIfAsked, pageOf, pageParameters } from './paging.ts';
import { localTime } from './time.ts';

const range = { fromDate: 'time!', toDate: 'time!' } as const;

/** Operations that tell of many carriers: by time, or by a list of the customer's. */
export const listReads: Readonly<Record<string, Operation>> = {
  CompletedPackets: {
    takes: range,
    returns: 'CompletedPacketDTO[]',
    answer: (call) => {
      const packets = call.portal.packets
        .list()
        .filter(
          ({ customerId, completedAt }) => customerId === call.customerId && isWithin(call, completedAt),
        )
        .sort((a, b) => a.completedAt - b.completedAt);
      const body = packets.map(({ dotNumber, completedAt }) => {
        const carrier = call.portal.findCarrier(dotNumber)!;
        return {
          DOTNumber: dotNumber,
          DocketNumber: carrier.docketNumber,
          LegalName: carrier.legalName,
          CompletedDate: localTime(completedAt, call.zoneOffsetMinutes),
        };
      });
      return { body };
    },
  },
  CarriersChanges: {
    takes: { ...range, ...pageParameters },
    returns: 'CarrierChangesResultDTO',
    answer: carriersChanges,
  },
  MonitoredCarriers: {
    takes: pageParameters,
    returns: 'MonitoredCarrierDTO[]',
    answer: (call) => listings(call, 'monitored'),
  },
  BlockedCarriers: {
    takes: pageParameters,
    returns: 'CustomerBlockedCarrierDTO[]',
    answer: (call) => listings(call, 'blocked'),
  },
  MonitoredCarrierData: {
    takes: pageParameters,
    returns: 'MonitoredCarrierDataDTO',
    answer: (call) =>
      bulk(call, ({ dotNumber }) => carrierDetails(call, call.portal.findCarrier(dotNumber)!)),
  },
  GetMonitoredCarrierContactsData: {
    takes: pageParameters,
    returns: 'MonitoredCarriersContactsDataDTO',
    answer: (call) =>
      bulk(call, ({ dotNumber }) => {
        const carrier = call.portal.findCarrier(dotNumber)!;
        return {
          ...namesOf(carrier),
          CarriersContacts: (carrier.contacts ?? []).map(contactOf),
          Success: carrier.contacts !== null,
          Messages: carrier.contacts ? [] : ['Carrier has no contacts.'],
        };
      }),
  },
  GetMonitoredCarriersRiskAssessment: {
    takes: pageParameters,
    returns: 'MonitoredCarriersRiskAssessmentDTO',
    answer: (call) => bulk(call, ({ dotNumber }) => carrierRisk(call.portal.findCarrier(dotNumber)!)),
  },
  GetUpdatedFactoringCompanies: {
    takes: { fromDate: 'time!', toDate: 'time' },
    returns: 'UpdatedFactoringCompaniesDTO',
    answer: (call) => {
      const updated = call.portal.factoring.list().filter(({ updatedAt }) => isWithin(call, updatedAt));
      const FactoringCompanies = updated.map((company) => ({
        ...factoringRemit(company),
        CreatedDateTime: localTime(company.createdAt, call.zoneOffsetMinutes),
        UpdatedDateTime: localTime(company.updatedAt, call.zoneOffsetMinutes),
      }));
      return {
        body: { ...rangeOf(call), FactoringCompaniesCount: updated.length, FactoringCompanies },
      };
    },
  },
};

/** Both ends count. Without `toDate`: until now. */
function isWithin({ parameters, now, settings }: Call, at: number): boolean {
  const [from, to] = [parameters.time('fromDate')!, parameters.time('toDate') ?? now];
  return at >= from && at <= to && at <= now - settings.visibilityLagMs;
}

function rangeOf({ parameters, now, zoneOffsetMinutes }: Call): object {
  return {
    FromDate: localTime(parameters.time('fromDate')!, zoneOffsetMinutes),
    ToDate: localTime(parameters.time('toDate') ?? now, zoneOffsetMinutes),
    RequestDateTimeUtc: localTime(now, 0),
  };
}

/**
 * Each monitored carrier that changed within the range once, with the last of these changes' time, oldest first, and
 * as it is now. A carrier that changes again while pages are read keeps its place.
 */
function carriersChanges(call: Call): Answer {
  const { portal, customerId, zoneOffsetMinutes } = call;
  const monitored = new Set(ownListings(call, 'monitored').map(({ dotNumber }) => dotNumber));
  const byCarrier = new Map<number, Change[]>();
  for (const change of portal.changes.list()) {
    if (!monitored.has(change.dotNumber) || !isWithin(call, change.at)) continue;
    byCarrier.set(change.dotNumber, [...(byCarrier.get(change.dotNumber) ?? []), change]);
  }
  const lastOf = (changes: Change[]) => Math.max(...changes.map(({ at }) => at));
  const changed = [...byCarrier.entries()].sort(
    ([dotA, a], [dotB, b]) => lastOf(a) - lastOf(b) || dotA - dotB,
  );
  const countOf = (wanted: ChangeCategory) =>
    changed.filter(([, changes]) => changes.some(({ category }) => category === wanted)).length;
  const { rows, pagination } = pageIfAsked(changed, call.parameters, fewSizes);
  const CarrierList = rows.map(([dotNumber, changes]) => ({
    ChangeDateTime: localTime(lastOf(changes), zoneOffsetMinutes),
    ChangeCategories: [...new Set(changes.map(({ category }) => category))],
    CarrierDetails: carrierDetails({ portal, customerId, zoneOffsetMinutes }, portal.findCarrier(dotNumber)!),
    ResponseDO: succeeded,
  }));
  const counts = {
    InsuranceChangeCount: countOf('Insurance'),
    FMCSAChangeCount: countOf('FMCSA'),
    RiskAssessmentChangeCount: countOf('RiskAssessment'),
    CarrierCount: changed.length,
  };
  return { body: { ...rangeOf(call), ...counts, CarrierList }, pagination };
}

function ownListings({ portal, customerId }: Call, list: 'monitored' | 'blocked'): Listing[] {
  return portal[list].list().filter((one) => one.customerId === customerId);
}

function listings(call: Call, list: 'monitored' | 'blocked'): Answer {
  const { rows, pagination } = pageIfAsked(ownListings(call, list), call.parameters, manySizes);
  const body = rows.map((one) => {
    const { dotNumber, docketNumber, intrastateNumber } = call.portal.findCarrier(one.dotNumber)!;
    return {
      DOTNumber: dotNumber,
      DocketNumber: docketNumber,
      IntrastateNumber: intrastateNumber,
      CreatedDate: localTime(one.createdAt, call.zoneOffsetMinutes),
      CreatedBy: one.createdBy,
      LastModifiedDate: localTime(one.modifiedAt, call.zoneOffsetMinutes),
      LastModifiedBy: one.modifiedBy,
    };
  });
  return { body, pagination };
}

/** Always a page of what the customer monitors, with the pagination in the body. */
function bulk(call: Call, item: (listing: Listing) => object): Answer {
  const { rows, pagination } = pageOf(ownListings(call, 'monitored'), call.parameters, fewSizes);
  return { body: { ...pagination, succeeded: true, message: null, data: rows.map(item) } };
}
