/**
 * What the vendor's Swagger document declares ("My Carrier Packets Api", v1, as of November 2026), in a notation of our
 * own: `name:type`, or a name alone for a string. A type is a format, a model, or either with `[]` for a list; a `!`
 * marks what is required. Models with hundreds of flags are known by their number of members and a digest.
 */

/** Name, parameters of the query, what comes back; whether also as XML, and with the header X-Pagination. */
export const declaredOperations: readonly (readonly [
  name: string,
  parameters: string,
  returns: string,
  ...also: ('xml' | 'X-Pagination')[],
])[] = [
  ['PreviewCarrier', 'DOTNumber:int32 docketNumber', 'PreviewCarrier[]', 'xml'],
  ['GetCarrierData', 'DOTNumber:int32 DocketNumber', 'CarrierAADTO', 'xml'],
  ['GetCarrierContacts', 'DOTNumber:int32 docketNumber', 'GetCarrierContactsResponse[]', 'xml'],
  ['FindAssociatedCarriers', 'phone email', 'FindAssociatedCarriersDTO', 'xml'],
  ['GetCarrierIncidentReports', 'DOTNumber:int32 docketNumber', 'CarrierIncidentReportDTO', 'xml'],
  ['GetCarrierVINVerifications', 'DOTNumber:int32 docketNumber', 'CarrierVINVerificationDTO', 'xml'],
  [
    'GetMonitoredCarrierContactsData',
    'pageNumber:int32 pageSize:int32',
    'MonitoredCarriersContactsDataDTO',
    'xml',
  ],
  ['GetDocument', 'name!', 'object'],
  [
    'EmailPacketInvitation',
    'carrierEmail! dotNumber:int32 docketNumber userName sendConfirmationEmail:boolean notificationEmails',
    'object',
  ],
  ['RequestUserVerification', 'userVerificationEmail! dotNumber:int32 docketNumber userName', 'object'],
  [
    'RequestVINVerification',
    'deliveryOption!:int32(1,2) vinVerificationEmail vinVerificationPhoneNumber dotNumber:int32 docketNumber userName outputVINVerificationRequestID:boolean',
    'RequestVINVerificationOutput',
  ],
  ['CompletedPackets', 'fromDate!:date-time toDate!:date-time', 'CompletedPacketDTO[]', 'xml'],
  [
    'CarriersChanges',
    'fromDate!:date-time toDate!:date-time pageNumber:int32 pageSize:int32',
    'CarrierChangesResultDTO',
    'xml',
    'X-Pagination',
  ],
  ['RequestMonitoring', 'DOTNumber:int32 DocketNumber IntrastateNumber', 'RequestMonitoringOutput', 'xml'],
  ['CancelMonitoring', 'DOTNumber:int32 DocketNumber IntrastateNumber', 'CancelMonitoringOutput', 'xml'],
  ['BlockCarrier', 'DOTNumber:int32 DocketNumber IntrastateNumber', 'BlockCarrierOutput', 'xml'],
  ['UnblockCarrier', 'DOTNumber:int32 DocketNumber IntrastateNumber', 'UnblockCarrierOutput', 'xml'],
  [
    'GetUpdatedFactoringCompanies',
    'fromDate!:date-time toDate:date-time',
    'UpdatedFactoringCompaniesDTO',
    'xml',
  ],
  ['GetCarrierRiskAssessment', 'dotNumber:int32 docketNumber', 'CarrierRiskAssessmentDTO[]', 'xml'],
  [
    'GetMonitoredCarriersRiskAssessment',
    'pageNumber:int32 pageSize:int32',
    'MonitoredCarriersRiskAssessmentDTO',
    'xml',
  ],
  ['MonitoredCarriers', 'pageNumber:int32 pageSize:int32', 'MonitoredCarrierDTO[]', 'xml', 'X-Pagination'],
  ['MonitoredCarrierData', 'pageNumber:int32 pageSize:int32', 'MonitoredCarrierDataDTO', 'xml'],
  [
    'BlockedCarriers',
    'pageNumber:int32 pageSize:int32',
    'CustomerBlockedCarrierDTO[]',
    'xml',
    'X-Pagination',
  ],
];

export const declaredModels: Readonly<Record<string, string>> = {
  PreviewCarrier: `
    CarrierID:int32 DotNumber:int32 DocketNumber CompanyName DBAName Street City State ZipCode Country Phone
    Status StatusDate:date-time InProcessState PossibleFraud DoubleBrokering
    IncidentReports:Preview.IncidentReports FraudCallNumber HasSaferWatchKey:boolean WatchdogReports
    OnCurrentCustomerAgreement:boolean CarrierRating:CarrierRating RiskAssessment:Preview.RiskAssessment
    RiskAssessmentDetails:Preview.RiskAssessmentDetails CertData:Preview.CertData Emails:CarrierEmail[]
    Source:int32(0,1,2,3) IsIntrastateCarrier:boolean IsMonitored:boolean IsBlocked:boolean
    FreightValidateStatus`,
  'Preview.IncidentReports': `
    TotalIncidentReports:int32 TotalIncidentReportsWithFraud:int32`,
  CarrierRating: `
    CarrierID:int32 CustomerID:int32 CustomerRating:int32 RatingSum:int32 TotalRatings:int32
    LowRatings:int32 TotalRatingPercent:int32 CustomerRatingPercent:int32 RatingValue:double RatingValueText
    AvgRatingText AvgRatingBasisText AvgRatingTextPlusRatingBasisText CustomerRatingText
    HasCompletedPacket:boolean`,
  'Preview.RiskAssessment': `
    Overall Authority Insurance Safety Operation Other`,
  'Preview.RiskAssessmentDetails': `
    IsIntrastateCarrier:boolean TotalPoints:int32 OverallRating Authority:Preview.RiskAssessmentDetail
    Insurance:Preview.RiskAssessmentDetail Safety:Preview.RiskAssessmentDetail
    Operation:Preview.RiskAssessmentDetail Other:Preview.RiskAssessmentDetail ReviewState
    ReviewDetails:ReviewDetails`,
  'Preview.CertData': `
    Status Noncoop:boolean Certificates:Certificate[]`,
  CarrierEmail: `
    EmailType:int32(1,2,3) Description Email`,
  'Preview.RiskAssessmentDetail': `
    TotalPoints:int32 OverallRating HasRuleOverride:boolean Infractions:Preview.RiskAssessmentInfraction[]`,
  ReviewDetails: `
    ReviewID:int32 PreReviewOverall PreReviewAuthority PreReviewInsurance PreReviewSafety PreReviewOperation
    PreReviewOther ReviewUser ReviewDate:date-time ReviewReason ReviewNote ReviewExpirationDate:date-time`,
  Certificate: `
    CertificateID ProducerName ProducerAddress ProducerCity ProducerState ProducerZip ProducerPhone
    ProducerFax ProducerEmail PaidFor Coverages:Coverage[]`,
  'Preview.RiskAssessmentInfraction': `
    Points:int32 RuleName RiskLevel RuleText RuleOutput PreReviewScore:int32 PreReviewRiskLevel
    RuleEnforced:boolean`,
  Coverage: `
    InsurerName Type PolicyNumber ExpirationDate CoverageLimit Deductible ReferBreakdown ReferBreakDeduct
    CancellationDate`,
  CarrierAADTO: `
    DOTNumber:int32 LegalName DBAName Address1 Address2 City Zipcode State Country CellPhone Phone Fax
    FreePhone EmergencyPhone Email FraudIdentityTheftStatus MCNumber SCAC MailingAddress1 MailingAddress2
    MailingCity MailingState MailingZipcode MailingCountry AfterHrsWkDaySupportName
    AfterHrsWkDaySupportPhone AfterHrsWkDaySupportFax AfterHrsWkDaySupportFrom AfterHrsWkDaySupportTo
    AfterHrsWkEndSupportName AfterHrsWkEndSupportPhone AfterHrsWkEndSupportFax AfterHrsWkEndSupportFrom
    AfterHrsWkEndSupportTo Website OperationManagerName OnlineAccessToAvailableLoads:boolean
    AvailableLoadsEmail DriverLogsSafeyDeptManagerName DriverLogsSafeyDeptManagerPhone Dispatchers
    ClaimsContactName ClaimsContactPhone ClaimsContactEmail DispatchServiceUsed:boolean DispatchServiceName
    DispatchServicePhone BrokerOutExtraFreight:boolean References1 References2 References3 DriversTrackedBy
    AccessOnlineGPSTracking:boolean DriversTrackedByOtherMethod CreatedDateTime:date-time
    ModifiedDateTime:date-time CarrierCustomerAgreements:CarrierCustomerAgreementDTO[]
    CarrierCustomerPacketStatuses:CarrierCustomerPacketStatusDTO[] CarrierCargoHauled:CarrierCargoHauledDTO
    CarrierCompanyClassification:CarrierCompanyClassificationDTO CarrierDrivers:CarrierDriverDTO[]
    CarrierDispatchers:CarrierDispatcherDTO[] CarrierLane:CarrierLaneDTO
    CarrierOperationalDetail:CarrierOperationalDetailDTO CarrierPaymentInfo:CarrierPaymentInfoDTO
    CarrierRemit:CarrierRemitDTO FactoringRemit:FactoringRemitDTO CarrierBank:CarrierBankDTO
    CarrierPaymentTerms:CarrierPaymentTermDTO[] CarrierPaymentTypes:CarrierPaymentTypeDTO[]
    CarrierPayerType:PayerTypeDTO CarrierTruckClass:CarrierTruckClassDTO
    CarrierTruckType:CarrierTruckTypeDTO CarrierW9Forms:CarrierW9FormDTO[]
    CarrierCertification:CarrierCertificationDTO AssureAdvantage:FMCSACarrier[] CarrierMode:CarrierModeDTO
    CarrierELDProvider:CarrierELDProviderDTO OwnerContactName OwnerContactPhone OwnerContactEmail
    CarrierTINMatchings:CarrierTINMatchingDTO[] Message`,
  CarrierCustomerAgreementDTO: `
    SignatureDate:date-time SignaturePerson SignaturePersonTitle SignaturePersonUserName
    SignaturePersonEmail SignaturePersonPhoneNumber OnCurrentCustomerAgreement:boolean
    CustomerAgreement:CustomerAgreementDTO CarrierCustomerAgreementImages:CarrierCustomerAgreementImageDTO[]
    IsActive:boolean IPAddress GeoLocLat:double GeoLocLng:double GeoLocMethod`,
  CarrierCustomerPacketStatusDTO: `
    Customer:CustomerDTO CarrierPacketStatus CustomerID:int32`,
  CarrierCargoHauledDTO: `
    GeneralFreight:boolean LiquidsGas:boolean Chemicals:boolean HouseholdGoods:boolean
    IntermodalContainers:boolean CommoditiesDryBulk:boolean MetalSheetsCoilsRolls:boolean Passengers:boolean
    RefrigeratedFood:boolean MotorVehicles:boolean OilfieldEquipment:boolean Beverages:boolean
    DrivewayTowaway:boolean LivestockContainers:boolean PaperProducts:boolean LogsPolesBeamsLumber:boolean
    GrainFeedHay:boolean Utility:boolean BuildingMaterials:boolean CoalCoke:boolean FarmSupplies:boolean
    MobileHomes:boolean Meat:boolean Construction:boolean MachineryLargeObjects:boolean
    GarbageRefuseTrash:boolean WaterWell:boolean FreshProduce:boolean USMail:boolean Other`,
  CarrierCompanyClassificationDTO: `
    AuthForHire:boolean Migrant:boolean IndianNation:boolean ExemptForHire:boolean USMail:boolean
    PrivateProperty:boolean FederalGovernment:boolean PrivPassBusiness:boolean StateGovernment:boolean
    PrivPassNonBusiness:boolean LocalGovernment:boolean WOSB:boolean VOSB:boolean MBE:boolean
    AsianPacificAmerican:boolean SubcontinentAmerican:boolean NOB:boolean HispanicAmerican:boolean
    AfricanAmerican:boolean WBE:boolean DBE:boolean SBA8a:boolean EDWOSB:boolean SDVOSB:boolean
    HUBZone:boolean LGBTQIA:boolean Other`,
  CarrierDriverDTO: `
    DriverName CellPhone ComCheck:boolean FuelAdvance:boolean`,
  CarrierDispatcherDTO: `
    DispatcherName PhoneNumber Email`,
  CarrierOperationalDetailDTO: `
    FleetSize:int32 TotalPowerUnits:int32 NumberOfVehicles:int32 ReeferEquipment:boolean
    VanEquipment:boolean FlatbedStepDeckEquipment:boolean OwnedTractors:int32 OwnedTrucks:int32
    OwnedTrailers:int32 TermLeasedTractors:int32 TermLeasedTrucks:int32 TermLeasedTrailers:int32
    TripLeasedTractors:int32 TripLeasedTrucks:int32 TripLeasedTrailers:int32
    InterstateAndIntrastateDrivers:int32 CDLEmployedDrivers:int32 MonthlyAverageLeasedDrivers:int32
    InterstateDriversTotal:int32 InterstateDriversGT100Miles:int32 InterstateDriversLT100Miles:int32
    IntrastateDriversTotal:int32 IntrastateDriversGT100Miles:int32 IntrastateDriversLT100Miles:int32
    PowerOnly:boolean SatelliteEquipment:boolean TeamDrivers:boolean DropTrailer:boolean
    ELDCompliant:boolean ELDCompliantBy ELDIdentifier NumberOfTractors:int32 NumberOfVans:int32
    NumberOfReefers:int32 NumberOfFlats:int32 NumberOfStepDecks:int32 NumberOfTanks:int32`,
  CarrierPaymentInfoDTO: `
    BankRoutingNumber BankAccountNumber BankAccountName BankName BankAddress BankPhone BankFax
    FactoringCompanyName RemitAddress1 RemitAddress2 RemitCity RemitZipCode BankAccountType RemitState
    RemitCountry RemitEmail Require1099:boolean EpayManagerID:int32 RemitCurrency PayAdvanceOptionID:int32
    PayAdvanceOptionType`,
  CarrierRemitDTO: `
    CarrierRemitEmail CarrierRemitAddress1 CarrierRemitAddress2 CarrierRemitCity CarrierRemitCountry
    CarrierRemitStateProvince CarrierRemitZipCode`,
  FactoringRemitDTO: `
    FactoringCompanyID:int32 FactoringCompanyName FactoringRemitEmail FactoringRemitAddress
    FactoringRemitAddress2 FactoringRemitCity FactoringRemitCountry FactoringRemitStateProvince
    FactoringRemitZipcode FactoringPhone BankRoutingNumber BankAccountNumber`,
  CarrierBankDTO: `
    CarrierBankRoutingNumber CarrierBankAccountNumber CarrierBankAccountName CarrierBankName
    CarrierBankAddress CarrierBankPhone CarrierBankFax CarrierBankAccountType`,
  CarrierPaymentTermDTO: `
    PaymentTerm:CustomerPaymentTermDTO`,
  CarrierPaymentTypeDTO: `
    PaymentType:CustomerPaymentTypeDTO`,
  PayerTypeDTO: `
    PayerTypeID:int32 Name`,
  CarrierTruckClassDTO: `
    Conestoga:boolean Containers:boolean DecksSpecialized:boolean DecksStandard:boolean DryBulk:boolean
    Flatbeds:boolean HazardousMaterials:boolean Reefers:boolean Tankers:boolean VansSpecialized:boolean
    VansStandard:boolean Other`,
  CarrierW9FormDTO: `
    FullName BusinessName IndividualOrSingleMemberLLC:boolean CCorporation:boolean SCorporation:boolean
    Partnership:boolean RequesterNameAddress TrustOrEstate:boolean LimitedLiabilityCompany:boolean
    TaxClassification Other:boolean OtherDetail ExemptPayeeCode ExemptionFATCACode Address CityStateZipCode
    ListAccountNumber SSN EIN SignatureDate:date-time SignaturePerson IsActive:boolean City State ZipCode
    CarrierW9FormImages:CarrierW9FormImageDTO[]`,
  CarrierCertificationDTO: `
    Hazmat:boolean HazmatNumber SmartWay:boolean CARB:boolean TWIC:boolean CTPATCertified:boolean
    CTPATSVINumber TankerEndorsed:boolean TankerEndorsedNumOfDrivers:int32 CBP:boolean CBSA:boolean
    ANAM:boolean ACE:boolean ACI:boolean CSA:boolean FAST:boolean PIP:boolean`,
  FMCSACarrier: `
    CarrierDetails:CarrierDetails ResponseDO:ResponseDO`,
  CarrierModeDTO: `
    LessThanTruckLoad:boolean Partial:boolean Truckload:boolean Rail:boolean Intermodal:boolean Air:boolean
    Expedite:boolean Ocean:boolean Drayage:boolean`,
  CarrierELDProviderDTO: `
    ComplianceStatusID:int32 ComplianceStatus ProviderName ProviderIdentifier ExemptionID:int32 Exemption
    CompliantBy`,
  CarrierTINMatchingDTO: `
    TINTypeID:int32 TIN TINName TINMatchingStatusID:int32 TINMatchingResultID:int32 CreatedOnUtc:date-time
    SubmittedOnUtc:date-time ProcessedOnUtc:date-time ContactEmail ContactPhoneNumber MatchingResult
    MatchingStatus`,
  CustomerAgreementDTO: `
    AgreementName CreatedDate:date-time CreatedBy BlobName Customer:CustomerDTO`,
  CarrierCustomerAgreementImageDTO: `
    BlobName CreatedDate:date-time`,
  CustomerDTO: `
    CustomerID:int32 Title FirstName MiddleName LastName CompanyName TypeCompany CellPhone Phone Fax
    Address1 Address2 Apartment City State Zipcode Country CustomerKey
    PacketCompletionNotificationType:int32 PacketCompletionNotificationEmail`,
  CustomerPaymentTermDTO: `
    PaymentTermID:int32 Days:int32 Term QuickPay:boolean PaymentFeeType PaymentFeeAmount:double
    CustomerID:int32`,
  CustomerPaymentTypeDTO: `
    PaymentTypeID:int32 Type CustomerID:int32 PaymentType:PaymentTypeDTO`,
  CarrierW9FormImageDTO: `
    BlobName CreatedDate:date-time FileName CreatedBy`,
  CarrierDetails: `
    docketNumber dotNumber:DotNumber carrierType isMonitored:boolean isBlocked:boolean Identity:Identity
    Authority:Authority FMCSAInsurance:FMCSAInsurance CertData:FMCSA.CertData Safety:Safety
    Inspection:Inspection Crash:Crash Review:Review Operation:Operation Cargo:Cargo Drivers:Drivers
    Equipment:Equipment Other:Other RiskAssessment:FMCSA.RiskAssessment
    RiskAssessmentDetails:FMCSA.RiskAssessmentDetails CarrierRatings:CarrierRatings
    LatestInvitation:LatestInvitation IncidentReports:FMCSA.IncidentReports`,
  ResponseDO: `
    status action code displayMsg techMsg`,
  PaymentTypeDTO: `
    Name`,
  DotNumber: `
    status Value`,
  Identity: `
    legalName dbaName businessStreet businessCity businessState businessZipCode businessColonia
    businessCountry businessPhone businessFax mailingStreet mailingCity mailingState mailingZipCode
    mailingColonia mailingCountry mailingPhone mailingFax undeliverableMail companyRep1 companyRep2
    cellPhone emailAddress dunBradstreetNum organization`,
  Authority: `
    authGrantDate commonAuthority commonAuthorityPending commonAuthorityRevocation contractAuthority
    contractAuthorityPending contractAuthorityRevocation brokerAuthority brokerAuthorityPending
    brokerAuthorityRevocation freight passenger householdGoods private enterprise`,
  FMCSAInsurance: `
    bipdRequired bipdOnFile cargoRequired cargoOnFile bondSuretyRequired bondSuretyOnFile
    PolicyList:PolicyOutput[]`,
  'FMCSA.CertData': `
    status noncoop:boolean Certificate:CertificateDTO[]`,
  Safety: `
    rating ratingDate unsafeDrvPCT unsafeDrvOT unsafeDrvSV unsafeDrvAlert unsafeDrvTrend unsafeDrvCNT:int32
    hosPCT hosOT hosSV hosAlert hosTrend hosCNT:int32 drvFitPCT drvFitOT drvFitSV drvFitAlert drvFitTrend
    drvFitCNT:int32 controlSubPCT controlSubOT controlSubSV controlSubAlert controlSubTrend
    controlSubCNT:int32 vehMaintPCT vehMaintOT vehMaintSV vehMaintAlert vehMaintTrend vehMaintCNT:int32
    hazMatPCT hazMatOT hazMatSV hazMatAlert hazMatTrend hazMatCNT:int32`,
  Inspection: `
    inspectVehUS inspectVehOOSUS inspectVehOOSPctUS inspectDrvUS inspectDrvOOSUS inspectDrvOOSPctUS
    inspectHazUS inspectHazOOSUS inspectHazOOSPctUS inspectIEPUS inspectIEPOOSUS inspectIEPOOSPctUS
    inspectTotalIEPUS inspectTotalUS inspectVehCAN inspectVehOOSCAN inspectVehOOSPctCAN inspectDrvCAN
    inspectDrvOOSCAN inspectDrvOOSPctCAN inspectTotalCAN`,
  Crash: `
    crashFatalUS crashInjuryUS crashTowUS crashTotalUS crashFatalCAN crashInjuryCAN crashTowCAN
    crashTotalCAN`,
  Review: `
    reviewType reviewDate reviewDocNum reviewMiles mcs150Date mcs150MileYear mcs150Miles accidentRate
    accidentRatePrevent`,
  Operation: `
    dotAddDate carrierOperation shipperOperation mxOperationType mxRFCNumber outOfService outOfServiceDate
    outOfServiceReason entityCarrier entityShipper entityBroker entityFreightFowarder entityCargoTank
    classAuthForHire classMigrant classIndianNation classExemptForHire classUSMail classPrivateProperty
    classFederalGovernment classPrivPassBusiness classStateGovernment classPrivPassNonBusiness
    classLocalGovernment classOther operatingStatus`,
  Cargo: `
    hazmatIndicator cargoGenFreight cargoHousehold cargoMetal cargoMotorVeh cargoDriveTow cargoLogPole
    cargoBldgMaterial cargoMobileHome cargoMachLarge cargoProduce cargoLiqGas cargoIntermodal
    cargoPassengers cargoOilfield cargoLivestock cargoGrainfeed cargoCoalcoke cargoMeat cargoGarbage
    cargoUSMail cargoChemicals cargoDryBulk cargoRefrigerated cargoBeverages cargoPaperProd cargoUtilities
    cargoFarmSupplies cargoConstruction cargoWaterwell cargoOther cargoOtherDesc`,
  Drivers: `
    driversTotal driversAvgLeased driversCDL driversInter driversInterLT100 driversInterGT100 driversIntra
    driversIntraLT100 driversIntraGT100`,
  Equipment: `
    trucksTotal totalPower fleetsize trucksOwned trucksTerm trucksTrip trailersOwned trailersTerm
    trailersTrip tractorsOwned tractorsTerm tractorsTrip`,
  Other: `
    carbTru smartway watchdogReports`,
  'FMCSA.RiskAssessment': `
    Overall Authority Insurance Safety Operation Other`,
  'FMCSA.RiskAssessmentDetails': `
    IsIntrastateCarrier:boolean TotalPoints:int32 OverallRating ReviewState
    Authority:FMCSA.RiskAssessmentDetail Insurance:FMCSA.RiskAssessmentDetail
    Safety:FMCSA.RiskAssessmentDetail Operation:FMCSA.RiskAssessmentDetail Other:FMCSA.RiskAssessmentDetail
    ReviewDetails:ReviewDetails`,
  CarrierRatings: `
    myRating:int32 totalRatings:int32 lowRatings:int32 avgRating:double`,
  LatestInvitation: `
    InvitedByUserName InvitedByEmail InvitedByFirstName InvitedByLastName InvitationSentDate:date-time
    InvitationRecipient`,
  'FMCSA.IncidentReports': `
    TotalIncidentReports:int32 TotalIncidentReportsWithFraud:int32`,
  PolicyOutput: `
    companyName attnToName address city stateCode postalCode countryCode phone fax insuranceType
    policyNumber postedDate effectiveDate cancelationDate coverageFrom coverageTo amBestRating`,
  CertificateDTO: `
    certificateID producerName producerAddress producerCity producerState producerZip producerPhone
    producerFax producerEmail paidFor BlobName Coverage:CoverageDTO[]`,
  'FMCSA.RiskAssessmentDetail': `
    TotalPoints:int32 OverallRating HasRuleOverride:boolean Infractions:FMCSA.RiskAssessmentInfraction[]`,
  CoverageDTO: `
    insurerName insurerAMBestRating type policyNumber expirationDate coverageLimit deductable referBreakdown
    referBreakDeduct cancellationDate`,
  'FMCSA.RiskAssessmentInfraction': `
    Points:int32 RuleName RiskLevel RuleText RuleOutput PreReviewScore:int32 PreReviewRiskLevel
    RuleEnforced:boolean`,
  GetCarrierContactsResponse: `
    Success:boolean Message Carrier:Carrier`,
  Carrier: `
    DOTNumber:int32 DocketNumber LegalName DBAName Contacts:CarrierContact[]`,
  CarrierContact: `
    FirstName LastName Title Phone Email AuthorizedForPackets:boolean VerificationStatus`,
  FindAssociatedCarriersDTO: `
    Success:boolean Message AssociatedCarriersCount:int32 AssociatedCarriers:AssociatedCarriersDTO[]`,
  AssociatedCarriersDTO: `
    DOTNumber:int32 DocketNumber CompanyName DBAName Street City State ZipCode Country Phone
    PhoneAssociationTypes:AssociationTypeDTO[] EmailAssociationTypes:AssociationTypeDTO[]`,
  AssociationTypeDTO: `
    AssociationType:int32(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19) Description`,
  CarrierIncidentReportDTO: `
    DOTNumber:int32 DocketNumber LegalName DBAName IncidentReports:CarrierIncidentReportDetailDTO[]`,
  CarrierIncidentReportDetailDTO: `
    IncidentDate OriginCity OriginStateProvinceName OriginCountryName DestinationCity
    DestinationStateProvinceName DestinationCountryName ReportedByCompany CarrierEmails CreatedBy
    CreatedDate:date-time ModifiedBy ModifiedDate:date-time IncidentTypes:string[]
    Comments:CarrierIncidentReportCommentDTO[]`,
  CarrierIncidentReportCommentDTO: `
    CommenterType CommentBy CommentDate:date-time Comment`,
  CarrierVINVerificationDTO: `
    DOTNumber:int32 DocketNumber LegalName DBAName VINVerifications:CarrierVINVerificationDetailDTO[]`,
  CarrierVINVerificationDetailDTO: `
    VIN VINVerificationStatus:VINVerificationStatusDTO CreatedOnUtc:date-time ModifiedOnUtc:date-time
    OtherCarrier:CarrierVINVerificationDetailOtherCarrierDTO Requests:CarrierVINVerificationRequestDTO[]`,
  VINVerificationStatusDTO: `
    StatusID:int32 Description`,
  CarrierVINVerificationDetailOtherCarrierDTO: `
    DOTNumber:int32 DocketNumber CompanyName DBAName Street City StateProvince Zipcode Country Phone`,
  CarrierVINVerificationRequestDTO: `
    RequestSentTo RequestedByUser RequestedDateTime:date-time ImageUploadedByFirstName
    ImageUploadedByLastName ImageUploadedFromIPAddress ImageUploadedDateTime:date-time ImageFileName
    ImageBlobName VIN VINVerificationStatus:VINVerificationStatusDTO
    OtherCarrier:CarrierVINVerificationDetailOtherCarrierDTO`,
  MonitoredCarriersContactsDataDTO: `
    pageNumber:int32 pageSize:int32 totalPages:int32 totalCount:int32 succeeded:boolean message
    data:MonitoredCarriersContacts[]`,
  MonitoredCarriersContacts: `
    DOTNumber:int32 DocketNumber LegalName DBAName CarriersContacts:MonitoredCarriersContact[]
    Success:boolean Messages:string[]`,
  MonitoredCarriersContact: `
    FirstName LastName Title Phone Email AuthorizedForPackets:boolean VerificationStatus`,
  RequestVINVerificationOutput: `
    VinVerificationRequestID:int32 Message`,
  CompletedPacketDTO: `
    DOTNumber:int32 DocketNumber LegalName CompletedDate:date-time`,
  CarrierChangesResultDTO: `
    FromDate:date-time ToDate:date-time RequestDateTimeUtc:date-time InsuranceChangeCount:int32
    FMCSAChangeCount:int32 RiskAssessmentChangeCount:int32 CarrierCount:int32
    CarrierList:FMCSACarrierChanged[]`,
  FMCSACarrierChanged: `
    ChangeDateTime:date-time ChangeCategories:string[] CarrierDetails:CarrierDetails ResponseDO:ResponseDO`,
  RequestMonitoringOutput: `
    MonitoringID:int64 RequestDate:date-time`,
  CancelMonitoringOutput: `
    MonitoringID:int64 CancelDate:date-time`,
  BlockCarrierOutput: `
    Result:boolean Message`,
  UnblockCarrierOutput: `
    Result:boolean Message`,
  UpdatedFactoringCompaniesDTO: `
    FromDate:date-time ToDate:date-time RequestDateTimeUtc:date-time FactoringCompaniesCount:int32
    FactoringCompanies:UpdatedFactoring[]`,
  UpdatedFactoring: `
    FactoringCompanyID:int32 FactoringCompanyName FactoringRemitEmail FactoringRemitAddress
    FactoringRemitAddress2 FactoringRemitCity FactoringRemitCountry FactoringRemitStateProvince
    FactoringRemitZipcode FactoringPhone CreatedDateTime:date-time UpdatedDateTime:date-time`,
  CarrierRiskAssessmentDTO: `
    DOTNumber:int32 DocketNumber RiskAssessmentDetails:FMCSA.RiskAssessmentDetails`,
  MonitoredCarriersRiskAssessmentDTO: `
    pageNumber:int32 pageSize:int32 totalPages:int32 totalCount:int32 succeeded:boolean message
    data:CarrierRiskAssessmentDTO[]`,
  MonitoredCarrierDTO: `
    DOTNumber:int32 DocketNumber IntrastateNumber CreatedDate:date-time CreatedBy LastModifiedDate:date-time
    LastModifiedBy`,
  MonitoredCarrierDataDTO: `
    pageNumber:int32 pageSize:int32 totalPages:int32 totalCount:int32 succeeded:boolean message
    data:CarrierDetails[]`,
  CustomerBlockedCarrierDTO: `
    DOTNumber:int32 DocketNumber IntrastateNumber CreatedDate:date-time CreatedBy LastModifiedDate:date-time
    LastModifiedBy`,
};

/** Of the sorted `name:type` pairs, joined by spaces: how many, and their SHA-256. */
export const declaredWideModels: Readonly<Record<string, { members: number; sha256: string }>> = {
  CarrierLaneDTO: {
    members: 104,
    sha256: 'b2309eb8ae4725284d65e66a7f99daa989d17bf5435cca89d818251f43e125a4',
  },
  CarrierTruckTypeDTO: {
    members: 284,
    sha256: '1a58a14ec40e5ed53bb9f99ad4be1e30e0f4d38d4b2cad65b09bf5c9ec09fefa',
  },
};
