import type { Carrier, Customer, Packet } from './carrier.ts';
import { carrierDetails, succeeded, type Viewer } from './carrierDetails.ts';
import { taxAndPayment } from './carrierPayment.ts';
import { keyOf } from './portal.ts';
import { localTime } from './time.ts';
import {
  carrierCargoHauled,
  carrierCompanyClassification,
  carrierLane,
  carrierTruckClass,
  carrierTruckType,
  flags,
} from './wideParts.ts';

/**
 * `CarrierAADTO`: all that the portal holds of a carrier. What only a packet tells (signatures, payment, tax) is there
 * for the customers that have it.
 */
export function carrierData(viewer: Viewer, carrier: Carrier): object {
  const { portal, customerId, zoneOffsetMinutes } = viewer;
  const packet = portal.packets.get(keyOf(customerId, carrier.dotNumber));
  return {
    ...profile(carrier),
    CreatedDateTime: localTime(carrier.createdAt, zoneOffsetMinutes),
    ModifiedDateTime: localTime(
      Math.max(carrier.modifiedAt, packet?.completedAt ?? 0, carrier.createdAt),
      zoneOffsetMinutes,
    ),
    CarrierCustomerAgreements: packet ? agreements(viewer, packet) : [],
    CarrierCustomerPacketStatuses: [
      {
        Customer: customerOf(portal.customer(customerId)),
        CarrierPacketStatus: packet ? 'Completed' : 'Not Started',
        CustomerID: customerId,
      },
    ],
    CarrierCargoHauled: carrierCargoHauled(carrier),
    CarrierCompanyClassification: carrierCompanyClassification(),
    CarrierDrivers: packet
      ? [{ DriverName: carrier.owner, CellPhone: carrier.cellPhone, ComCheck: false, FuelAdvance: false }]
      : [],
    CarrierDispatchers: (carrier.contacts ?? [])
      .filter(({ title }) => title === 'Dispatcher')
      .map(({ firstName, lastName, phone, email }) => ({
        DispatcherName: `${firstName} ${lastName}`,
        PhoneNumber: phone,
        Email: email,
      })),
    CarrierLane: carrierLane(carrier),
    CarrierOperationalDetail: operationalDetail(carrier),
    ...taxAndPayment(viewer, carrier, packet),
    CarrierTruckClass: carrierTruckClass(carrier),
    CarrierTruckType: carrierTruckType(carrier),
    CarrierCertification: {
      ...flags('Hazmat SmartWay CARB TWIC CTPATCertified TankerEndorsed CBP CBSA ANAM ACE ACI CSA FAST PIP', [
        'CSA',
      ]),
      HazmatNumber: null,
      CTPATSVINumber: null,
      TankerEndorsedNumOfDrivers: 0,
    },
    AssureAdvantage: [{ CarrierDetails: carrierDetails(viewer, carrier), ResponseDO: succeeded }],
    CarrierMode: flags('LessThanTruckLoad Partial Truckload Rail Intermodal Air Expedite Ocean Drayage', [
      'Truckload',
    ]),
    CarrierELDProvider: {
      ComplianceStatusID: 1,
      ComplianceStatus: 'Compliant',
      ProviderName: 'Example Logs',
      ProviderIdentifier: 'EXLOGS',
      ExemptionID: null,
      Exemption: null,
      CompliantBy: null,
    },
    OwnerContactName: carrier.owner,
    OwnerContactPhone: carrier.cellPhone,
    OwnerContactEmail: carrier.contacts?.[0]?.email ?? carrier.email,
    Message: packet ? null : 'Carrier has not completed a packet.',
  };
}

export function customerOf(customer: Customer): object {
  return {
    CustomerID: customer.customerId,
    Title: null,
    FirstName: null,
    MiddleName: null,
    LastName: null,
    CompanyName: customer.companyName,
    TypeCompany: 'Broker',
    CellPhone: null,
    Phone: customer.phone,
    Fax: null,
    Address1: customer.street,
    Address2: null,
    Apartment: null,
    City: customer.city,
    State: customer.state,
    Zipcode: customer.zipCode,
    Country: 'US',
    CustomerKey: null,
    PacketCompletionNotificationType: 1,
    PacketCompletionNotificationEmail: null,
  };
}

function profile(carrier: Carrier): object {
  const { street, city, state, zipCode, phone, email } = carrier;
  const support = (when: string) =>
    Object.fromEntries(
      ['Name', 'Phone', 'Fax', 'From', 'To'].map((what) => [`AfterHrs${when}Support${what}`, null]),
    );
  return {
    DOTNumber: carrier.dotNumber,
    LegalName: carrier.legalName,
    DBAName: carrier.dbaName,
    Address1: street,
    Address2: null,
    City: city,
    Zipcode: zipCode,
    State: state,
    Country: 'US',
    CellPhone: carrier.cellPhone,
    Phone: phone,
    Fax: null,
    FreePhone: null,
    EmergencyPhone: carrier.cellPhone,
    Email: email,
    FraudIdentityTheftStatus: null,
    // A docket number, whatever its prefix.
    MCNumber: carrier.docketNumber,
    SCAC: null,
    MailingAddress1: street,
    MailingAddress2: null,
    MailingCity: city,
    MailingState: state,
    MailingZipcode: zipCode,
    MailingCountry: 'US',
    ...support('WkDay'),
    ...support('WkEnd'),
    Website: null,
    OperationManagerName: carrier.owner,
    OnlineAccessToAvailableLoads: false,
    AvailableLoadsEmail: email,
    // The vendor's spelling.
    DriverLogsSafeyDeptManagerName: null,
    DriverLogsSafeyDeptManagerPhone: null,
    Dispatchers: null,
    ClaimsContactName: carrier.owner,
    ClaimsContactPhone: phone,
    ClaimsContactEmail: email,
    DispatchServiceUsed: false,
    DispatchServiceName: null,
    DispatchServicePhone: null,
    BrokerOutExtraFreight: false,
    References1: null,
    References2: null,
    References3: null,
    DriversTrackedBy: null,
    AccessOnlineGPSTracking: false,
    DriversTrackedByOtherMethod: null,
  };
}

function agreements({ portal, customerId, zoneOffsetMinutes }: Viewer, packet: Packet): object[] {
  const { signedBy, agreementBlob } = packet;
  const customer = portal.customer(customerId);
  const signedAt = localTime(packet.completedAt, zoneOffsetMinutes);
  return [
    {
      SignatureDate: signedAt,
      SignaturePerson: signedBy && `${signedBy.firstName} ${signedBy.lastName}`,
      SignaturePersonTitle: signedBy?.title ?? null,
      SignaturePersonUserName: signedBy?.email ?? null,
      SignaturePersonEmail: signedBy?.email ?? null,
      SignaturePersonPhoneNumber: signedBy?.phone ?? null,
      OnCurrentCustomerAgreement: agreementBlob !== null,
      CustomerAgreement: {
        AgreementName: 'Broker-Carrier Agreement',
        CreatedDate: signedAt,
        CreatedBy: customer.companyName,
        BlobName: agreementBlob,
        Customer: customerOf(customer),
      },
      CarrierCustomerAgreementImages: agreementBlob
        ? [{ BlobName: agreementBlob, CreatedDate: signedAt }]
        : [],
      IsActive: true,
      IPAddress: signedBy && '192.0.2.17',
      GeoLocLat: signedBy && 41.2565,
      GeoLocLng: signedBy && -95.9345,
      GeoLocMethod: signedBy && 'IPAddress',
    },
  ];
}

function operationalDetail(carrier: Carrier): object {
  const { powerUnits, drivers, trailer, docketNumber } = carrier;
  const crossing = docketNumber === null ? 0 : drivers;
  const staying = drivers - crossing;
  const zeros =
    'OwnedTrucks TermLeasedTractors TermLeasedTrucks TermLeasedTrailers TripLeasedTractors TripLeasedTrucks TripLeasedTrailers MonthlyAverageLeasedDrivers InterstateDriversLT100Miles IntrastateDriversLT100Miles NumberOfStepDecks NumberOfTanks';
  return {
    FleetSize: powerUnits,
    TotalPowerUnits: powerUnits,
    NumberOfVehicles: powerUnits,
    ReeferEquipment: trailer === 'Reefer',
    VanEquipment: trailer === 'Van',
    FlatbedStepDeckEquipment: trailer === 'Flatbed',
    OwnedTractors: powerUnits,
    OwnedTrailers: powerUnits,
    InterstateAndIntrastateDrivers: drivers,
    CDLEmployedDrivers: drivers,
    InterstateDriversTotal: crossing,
    InterstateDriversGT100Miles: crossing,
    IntrastateDriversTotal: staying,
    IntrastateDriversGT100Miles: staying,
    ...flags('PowerOnly SatelliteEquipment TeamDrivers DropTrailer ELDCompliant', ['ELDCompliant']),
    ELDCompliantBy: null,
    ELDIdentifier: 'EXLOGS',
    NumberOfTractors: powerUnits,
    NumberOfVans: trailer === 'Van' ? powerUnits : 0,
    NumberOfReefers: trailer === 'Reefer' ? powerUnits : 0,
    NumberOfFlats: trailer === 'Flatbed' ? powerUnits : 0,
    ...Object.fromEntries(zeros.split(' ').map((name) => [name, 0])),
  };
}
