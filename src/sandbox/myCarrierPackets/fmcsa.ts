import type { Carrier } from './carrier.ts';
import { day } from './time.ts';

/** The parts of `FMCSA.CarrierDetails` that the authorities' registers and inspections give. */

export const yesOrNo = (value: boolean) => (value ? 'Y' : 'N');

export function safety(carrier: Carrier): object {
  const basics = ['unsafeDrv', 'hos', 'drvFit', 'controlSub', 'vehMaint', 'hazMat'];
  const unsafe = carrier.infractions.includes('UnsafeDriving');
  const members = basics.map((name) => {
    const isBad = unsafe && name === 'unsafeDrv';
    return {
      [`${name}PCT`]: isBad ? '78' : '',
      [`${name}OT`]: yesOrNo(isBad),
      [`${name}SV`]: 'N',
      [`${name}Alert`]: yesOrNo(isBad),
      [`${name}Trend`]: '',
      [`${name}CNT`]: isBad ? 3 : 0,
    };
  });
  const rating = carrier.safetyRating;
  return {
    rating,
    ratingDate: rating === 'None' ? '' : carrier.grantedOn,
    ...(Object.assign({}, ...members) as object),
  };
}

export function inspection({ powerUnits }: Carrier): object {
  return {
    ...countsBy(
      'inspect',
      ['Veh', 'VehOOS', 'VehOOSPct', 'Drv', 'DrvOOS', 'DrvOOSPct', 'Total'],
      ['US', 'CAN'],
    ),
    ...countsBy(
      'inspect',
      ['Haz', 'HazOOS', 'HazOOSPct', 'IEP', 'IEPOOS', 'IEPOOSPct', 'Total', 'TotalIEP'],
      ['US'],
    ),
    inspectVehUS: String(powerUnits),
    inspectTotalUS: String(powerUnits),
  };
}

/** Texts of zero, named by what and where. */
export function countsBy(prefix: string, what: readonly string[], where: readonly string[]): object {
  return Object.fromEntries(where.flatMap((place) => what.map((name) => [`${prefix}${name}${place}`, '0'])));
}

export function review(carrier: Carrier): object {
  return {
    reviewType: 'Compliance Review',
    reviewDate: carrier.grantedOn,
    reviewDocNum: '',
    reviewMiles: '',
    mcs150Date: day(carrier.createdAt),
    mcs150MileYear: day(carrier.createdAt).slice(6),
    mcs150Miles: String(carrier.powerUnits * 90_000),
    accidentRate: '0',
    accidentRatePrevent: '0',
  };
}

export function operation(carrier: Carrier): object {
  const entity = (name: string) => [`entity${name}`, yesOrNo(name === 'Carrier')] as const;
  const classes =
    'Migrant IndianNation ExemptForHire USMail PrivateProperty FederalGovernment PrivPassBusiness StateGovernment PrivPassNonBusiness LocalGovernment';
  return {
    dotAddDate: carrier.grantedOn,
    carrierOperation: carrier.docketNumber === null ? 'C' : 'A',
    shipperOperation: '',
    mxOperationType: carrier.docketNumber?.startsWith('MX') ? 'Cross-border' : '',
    mxRFCNumber: '',
    outOfService: yesOrNo(carrier.outOfService),
    outOfServiceDate: carrier.outOfService ? day(carrier.modifiedAt) : '',
    outOfServiceReason: carrier.outOfService ? 'Unsatisfactory' : '',
    // The vendor's spelling of the forwarder.
    ...Object.fromEntries(['Carrier', 'Shipper', 'Broker', 'FreightFowarder', 'CargoTank'].map(entity)),
    classAuthForHire: 'Y',
    ...Object.fromEntries(classes.split(' ').map((name) => [`class${name}`, 'N'] as const)),
    classOther: '',
    operatingStatus: carrier.outOfService
      ? 'OUT-OF-SERVICE'
      : carrier.authority === 'Active'
        ? 'AUTHORIZED FOR Property'
        : 'NOT AUTHORIZED',
  };
}

export function cargo({ trailer }: Carrier): object {
  const kinds =
    'GenFreight Household Metal MotorVeh DriveTow LogPole BldgMaterial MobileHome MachLarge Produce LiqGas Intermodal Passengers Oilfield Livestock Grainfeed Coalcoke Meat Garbage USMail Chemicals DryBulk Refrigerated Beverages PaperProd Utilities FarmSupplies Construction Waterwell';
  const hauled = {
    Van: ['GenFreight', 'PaperProd'],
    Reefer: ['Produce', 'Meat', 'Refrigerated'],
    Flatbed: ['Metal', 'BldgMaterial'],
  }[trailer];
  return {
    hazmatIndicator: 'N',
    ...Object.fromEntries(
      kinds.split(' ').map((name) => [`cargo${name}`, yesOrNo(hauled.includes(name))] as const),
    ),
    cargoOther: 'N',
    cargoOtherDesc: '',
  };
}

export function drivers(carrier: Carrier): object {
  const total = String(carrier.drivers);
  const crosses = carrier.docketNumber !== null;
  return {
    driversTotal: total,
    driversAvgLeased: '0',
    driversCDL: total,
    driversInter: crosses ? total : '0',
    driversInterLT100: '0',
    driversInterGT100: crosses ? total : '0',
    driversIntra: crosses ? '0' : total,
    driversIntraLT100: '0',
    driversIntraGT100: crosses ? '0' : total,
  };
}

export function equipment({ powerUnits }: Carrier): object {
  const count = String(powerUnits);
  return {
    trucksTotal: count,
    totalPower: count,
    fleetsize: powerUnits < 6 ? 'A' : powerUnits < 20 ? 'B' : 'C',
    ...Object.fromEntries(
      ['trucks', 'trailers', 'tractors'].flatMap((kind) =>
        ['Owned', 'Term', 'Trip'].map((how) => [
          kind + how,
          kind !== 'trucks' && how === 'Owned' ? count : '0',
        ]),
      ),
    ),
  };
}
