import type { Carrier } from './carrier.ts';

/**
 * The wide parts of `CarrierAADTO`: hundreds of flags, nearly all false. Their names, in the vendor's order and spelling,
 * are written as one text, since nothing else is known of them.
 */

const cargoNames = `
  GeneralFreight LiquidsGas Chemicals HouseholdGoods IntermodalContainers CommoditiesDryBulk MetalSheetsCoilsRolls Passengers
  RefrigeratedFood MotorVehicles OilfieldEquipment Beverages DrivewayTowaway LivestockContainers PaperProducts
  LogsPolesBeamsLumber GrainFeedHay Utility BuildingMaterials CoalCoke FarmSupplies MobileHomes Meat Construction
  MachineryLargeObjects GarbageRefuseTrash WaterWell FreshProduce USMail`;

const classificationNames = `
  AuthForHire Migrant IndianNation ExemptForHire USMail PrivateProperty FederalGovernment PrivPassBusiness StateGovernment
  PrivPassNonBusiness LocalGovernment WOSB VOSB MBE AsianPacificAmerican SubcontinentAmerican NOB HispanicAmerican
  AfricanAmerican WBE DBE SBA8a EDWOSB SDVOSB HUBZone LGBTQIA`;

const laneNames = `
  UnitedStates Mexico Canada NortheastRegion MidwestRegion SouthRegion WestRegion Alabama Alaska Arizona
  Arkansas California Colorado Delaware Florida Georgia Hawaii Idaho Illinois Indiana Iowa Kansas Kentucky
  Louisiana Maine Maryland Massachusetts Michigan Minnesota Mississippi Missouri Montana Nebraska Nevada
  NewHampshire NewJersey NewMexico NewYork NorthCarolina NorthDakota Ohio Oklahoma Oregon Pennsylvania
  RhodeIsland SouthCarolina SouthDakota Tennessee Utah Vermont Virginia Washington WashingtonDC WestVirginia
  Wisconsin Wyoming Connecticut Texas Alberta BritishColumbia Manitoba NewBrunswick NewfoundlandAndLabrador
  NorthwestTerritories NovaScotia Nunavut Ontario PrinceEdwardIsland Quebec Saskatchewan YukonTerritory
  Aguascalientes BajaCalifornia BajaCaliforniaNorte BajaCaliforniaSur Chihuahua Colima Campeche Coahuila
  Chiapas Durango Guerrero Guanajuato Hidalgo Jalisco MexicoCity MexicoState Michoacan Morelos Nayarit
  NuevoLeon Oaxaca Puebla QuintanaRoo Queretaro Sinaloa SanLuisPotosi Sonora Tabasco Tlaxcala Tamaulipas
  Veracruz Yucatan Zacatecas`;

const truckTypeNames = `
  AFrameTrailer AcidTanker AugerTrailer AutoCarrier BeamTrailer BellyDumpTrailer BTrain BoatTrailer Chassis
  ChemicalTankTrailer CompressedGasTanker Conestoga Container ContainerChassisTrailer20Foot
  ContainerChassisTrailer40Foot ContainerChassisTrailerComboChassis ContainerInsulated ContainerRefrigerated
  ContainerStandard ConvertibleTrailer Conveyor CryogenicLiquidTanker Dolly DoubleDrop DropDeckLandoll
  DryBulkTanker DualLaneTrailer DumpTrailer EightToTenCarHauler EndDumpTrailer ExtendableFlatbedTrailer
  FertilizerHopperTrailer Flatbed FlatbedAirRide FlatbedConestoga FlatbedDouble FlatbedHazMat FlatbedHotshot
  FlatbedMaxi FlatbedOrStepDeck FlatbedOverdimension FlatbedSpecialized FlatbedWithchains FlatbedWithSides
  FlatbedWithTarps FlatbedWithTeam FlatbedVanReefer FoodGradeTankTrailer FourToFiveCarHauler FuelTankTrailer
  GasCylinderTrailer GrainHopperTrailer HazmatTanker HopperBottom HopperHighSide HopperLowSide HopperTrailer
  HorseTrailer HotshotTrailer InsulatedVanOrReefer Landoll LivestockTrailer LiveBottomTrailer LoggingTrailer
  Lowboy LowboyOrRemGooseneck LowboyOverdimension MiniDeckTrailer MilkTankTrailer MovingVan
  MultiAxleHeavyHaulTrailer MultiLevelCarHauler OneToTwoCarHauler PerimeterTrailer PintleHitch
  PintleHitchTrailer PoleTrailer Pneumatic PowerOnly Reefer ReeferAirRide ReeferDouble ReeferHazMat
  ReeferIntermodal ReeferLogistics ReeferOrVentedVan ReeferPalletExchange ReeferSpecialized
  ReeferStandard48Foot ReeferStandard53Foot ReeferWithTeam RemovableGooseneck SideDumpTrailer
  SingleLevelCarHauler SixToSevenCarHauler StandardFlatbed48Foot StandardFlatbed53Foot
  SteerableStepDeckStretch StepDeck StepDeckOrRemGooseneck StepDeckSpecialized StepDeckStandard48Foot
  StepDeckStandard53Foot StepdeckConestoga StraightBoxTruck StretchFlatbed StretchRGN StretchStepDeck
  StretchTrailer TankerAluminum TankerIntermodal TankerSteel ThreeCarHauler TinWideTrailer Toter
  TruckAndTrailer Van VanAirRide VanBlanketWrap VanConestoga VanDouble VanHazMat VanHeated VanHotshot
  VanInsulated VanIntermodal VanLiftGate VanLogistics VanOpenTop VanOrFlatbed VanOrFlatbedwTarps VanOrReefer
  VanPalletExchange VanRollerBed VanSpecialized VanSprinter VanStandard VanTriple VanVented VanWithCurtains
  VanWithTeam WalkingFloorTrailer`;

const truckClassNames = `
  Conestoga Containers DecksSpecialized DecksStandard DryBulk Flatbeds HazardousMaterials Reefers Tankers VansSpecialized
  VansStandard`;

export const carrierCargoHauled = ({ trailer }: Carrier) => ({
  ...flags(
    cargoNames,
    {
      Van: ['GeneralFreight', 'PaperProducts'],
      Reefer: ['RefrigeratedFood', 'FreshProduce', 'Meat'],
      Flatbed: ['MetalSheetsCoilsRolls', 'BuildingMaterials'],
    }[trailer],
  ),
  Other: null,
});

export const carrierCompanyClassification = () => ({
  ...flags(classificationNames, ['AuthForHire']),
  Other: null,
});

export const carrierLane = ({ docketNumber }: Carrier) =>
  flags(laneNames, [
    'UnitedStates',
    docketNumber === null ? 'Texas' : 'MidwestRegion',
    ...(docketNumber?.startsWith('MX') ? ['Mexico', 'Sonora'] : []),
  ]);

export const carrierTruckClass = ({ trailer }: Carrier) => ({
  ...flags(truckClassNames, { Van: ['VansStandard'], Reefer: ['Reefers'], Flatbed: ['Flatbeds'] }[trailer]),
  Other: null,
});

/** Each kind with its number. */
export function carrierTruckType({ trailer, powerUnits }: Carrier): object {
  const kinds = namesIn(truckTypeNames).flatMap((name) => [
    [name, name === trailer],
    [`${name}Count`, name === trailer ? powerUnits : 0],
  ]);
  return Object.fromEntries(kinds) as object;
}

export function flags(names: string, set: readonly string[]): object {
  return Object.fromEntries(namesIn(names).map((name) => [name, set.includes(name)]));
}

const namesIn = (text: string) => text.trim().split(/\s+/);
