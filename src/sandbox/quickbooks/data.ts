/** The made-up world of the emulated companies: freight brokers, the shippers they bill and the carriers they pay. */

export interface CompanyFacts {
  /** 10 to 19 digits. */
  realmId: string;
  name: string;
  legalName: string;
  street: string;
  city: string;
  state: string;
  postalCode: string;
  domain: string;
  invoices: number;
  booksClosedThrough?: string;
  /** Name, city, state. */
  shippers: readonly (readonly [string, string, string])[];
  /** Name, DOT number. */
  carriers: readonly (readonly [string, string])[];
}

export const companyFacts: readonly CompanyFacts[] = [
  {
    realmId: '9341452881001001',
    name: 'Prairie Gateway Logistics',
    legalName: 'Prairie Gateway Logistics LLC',
    street: '2210 Industrial Loop, Suite 400',
    city: 'Omaha',
    state: 'NE',
    postalCode: '68110',
    domain: 'prairiegateway.example',
    invoices: 60,
    shippers: [
      ['Cornhusker Grain Cooperative', 'Grand Island', 'NE'],
      ['Loess Hills Dairy', 'Council Bluffs', 'IA'],
      ['Midland Steel Fabricators', 'Kansas City', 'MO'],
      ['Sioux Falls Packing Co.', 'Sioux Falls', 'SD'],
      ["O'Malley & Sons Produce", 'Des Moines', 'IA'],
      ['Front Range Building Supply', 'Denver', 'CO'],
      ['Red River Paper Products', 'Fargo', 'ND'],
      ['Great Plains Beverage', 'Lincoln', 'NE'],
      ['Ozark Poultry Partners', 'Springfield', 'MO'],
      ['Twin Cities Home Goods', 'Minneapolis', 'MN'],
      ['Permian Tubular Supply', 'Midland', 'TX'],
      ['Wasatch Outdoor Equipment', 'Salt Lake City', 'UT'],
      ['Café Señorial Importers', 'San Antonio', 'TX'],
      ['Heartland Seed Company', 'Ames', 'IA'],
      ['Lakeshore Plastics', 'Milwaukee', 'WI'],
      ['Tulsa Valve & Fitting', 'Tulsa', 'OK'],
    ],
    carriers: [
      ['Blackhawk Express Inc', '1847332'],
      ['Dusty Road Trucking LLC', '2290417'],
      ['Eagle Summit Transport', '3018845'],
      ['Garza Brothers Freight', '2764190'],
      ['High Plains Reefer Lines', '1553028'],
      ['Ironwood Flatbed Co', '3341276'],
      ['Kowalski Transfer', '987641'],
      ['Lone Elm Carriers', '2608553'],
      ['Northfield Haulage', '1120984'],
      ['Punjab Star Trucking Inc', '3459021'],
      ['Quad State Motor Freight', '774312'],
      ['Rivera Cold Chain', '2983370'],
    ],
  },
  {
    realmId: '9341452881002002',
    name: 'Blue Ridge Freight Partners',
    legalName: 'Blue Ridge Freight Partners, Inc.',
    street: '88 Depot Street',
    city: 'Roanoke',
    state: 'VA',
    postalCode: '24016',
    domain: 'blueridgefreight.example',
    invoices: 24,
    shippers: [
      ['Shenandoah Furniture Works', 'Harrisonburg', 'VA'],
      ['Piedmont Textile Group', 'Greensboro', 'NC'],
      ['Carolina Sweet Potato Growers', 'Wilson', 'NC'],
      ['Kanawha Chemical Supply', 'Charleston', 'WV'],
      ['Tidewater Seafood', 'Norfolk', 'VA'],
      ['Smoky Mountain Springs Water', 'Knoxville', 'TN'],
      ['Upstate Auto Components', 'Greenville', 'SC'],
      ['Chesapeake Print & Paper', 'Richmond', 'VA'],
    ],
    carriers: [
      ['Appalachian Linehaul LLC', '2107765'],
      ['Cumberland Gap Carriers', '1690233'],
      ['Dogwood Transport', '3122908'],
      ['New River Trucking', '2456117'],
      ['Old Dominion Dray Co', '884520'],
      ['Yadkin Valley Express', '2871034'],
    ],
  },
  {
    realmId: '9341452881003003',
    name: 'Harbor & Main Transport Brokers',
    legalName: 'Harbor & Main Transport Brokers LLC',
    street: '1400 Alaskan Way',
    city: 'Seattle',
    state: 'WA',
    postalCode: '98101',
    domain: 'harborandmain.example',
    invoices: 12,
    booksClosedThrough: '2020-12-31',
    shippers: [
      ['Puget Timber Products', 'Tacoma', 'WA'],
      ['Skagit Valley Bulbs', 'Mount Vernon', 'WA'],
      ['Willamette Hops Exchange', 'Salem', 'OR'],
      ['Yakima Orchard Alliance', 'Yakima', 'WA'],
      ['Inland Empire Aluminum', 'Spokane', 'WA'],
    ],
    carriers: [
      ['Cascade Container Dray', '1988406'],
      ['Columbia Basin Haulers', '2540091'],
      ['Pacific Crest Freightways', '3077152'],
      ['Rainier Reefer Service', '2219883'],
    ],
  },
];

export const accounts: readonly [name: string, type: string, classification: string][] = [
  ['Freight Income', 'Income', 'Revenue'],
  ['Accounts Receivable (A/R)', 'Accounts Receivable', 'Asset'],
  ['Accounts Payable (A/P)', 'Accounts Payable', 'Liability'],
  ['Purchased Transportation', 'Cost of Goods Sold', 'Expense'],
  ['Operating Checking', 'Bank', 'Asset'],
  ['Undeposited Funds', 'Other Current Asset', 'Asset'],
];

export const items = ['Linehaul', 'Fuel Surcharge', 'Detention', 'Lumper Fee'] as const;
