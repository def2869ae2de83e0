import type { Team } from './facts.ts';

/** The made-up world of the emulated workspaces: the same freight brokers whose books the emulated QuickBooks keeps. */
export interface WorkspaceFacts {
  team: Team;
  timeZone: string;
  /** The first owns the workspace, the second administrates it, the last is a guest. Name, title. */
  people: readonly (readonly [string, string])[];
  leavers: readonly string[];
  /** Name, purpose. */
  channels: readonly (readonly [string, string])[];
  privateChannels: readonly (readonly [string, string])[];
  archivedChannels: readonly string[];
  /** Each pair gives two channels, there and back. */
  lanes: readonly (readonly [string, string])[];
}

export const workspaceFacts: readonly WorkspaceFacts[] = [
  {
    team: {
      id: 'T07PGLOMAHA',
      name: 'Prairie Gateway Logistics',
      domain: 'prairie-gateway',
      emailDomain: 'prairiegateway.example',
      enterprise: null,
    },
    timeZone: 'America/Chicago',
    people: [
      ['Dana Broker', 'Managing Partner'],
      ['Miguel Ortega', 'Director of Operations'],
      ['Priya Raman', 'Carrier Sales Manager'],
      ['Tom Kowalczyk', 'Dispatcher'],
      ['Aisha Bello', 'Dispatcher'],
      ['Jens Halvorsen', 'Dispatcher, nights'],
      ['Renée Dubois', 'Billing'],
      ['Carl Nakamura', 'Collections'],
      ['Shawn O’Leary', 'Carrier Onboarding'],
      ['Grace Lindqvist', 'Claims'],
      ['Omar Haddad', 'Customer Sales'],
      ['Bea Whitfield', 'Customer Sales'],
      ['Luis Paredes', 'Track and Trace'],
      ['Nora Fitzgerald', 'Track and Trace'],
      ['Victor Stoica', 'Compliance'],
      ['Hannah Schmidt', 'IT'],
      ['Eli Turner', 'Intern'],
      ['Walt Jurgens', 'Auditor, guest'],
    ],
    leavers: ['Bob Fenton', 'Kim Astor', 'Deshawn Pratt'],
    channels: [
      ['dispatch', 'Loads under way. Emergencies: call the night line.'],
      ['carrier-onboarding', 'Packets, insurance, authority'],
      ['billing', 'Invoices and short pays'],
      ['claims', 'Overages, shortages, damages'],
      ['market-rates', 'What lanes cost this week'],
      ['weather', 'Closed roads'],
      ['café', 'Lunch'],
    ],
    privateChannels: [
      ['leadership', 'Partners only'],
      ['payroll', 'Settlements and commissions'],
    ],
    archivedChannels: ['produce-season-2024', 'tms-migration', 'holiday-party'],
    lanes: [
      ['omaha', 'denver'],
      ['omaha', 'chicago'],
      ['omaha', 'dallas'],
      ['omaha', 'minneapolis'],
      ['omaha', 'memphis'],
      ['kansas-city', 'denver'],
      ['kansas-city', 'atlanta'],
      ['kansas-city', 'laredo'],
      ['des-moines', 'chicago'],
      ['des-moines', 'phoenix'],
      ['des-moines', 'columbus'],
      ['sioux-falls', 'fargo'],
      ['sioux-falls', 'milwaukee'],
      ['sioux-falls', 'billings'],
      ['lincoln', 'tulsa'],
      ['lincoln', 'boise'],
      ['grand-island', 'amarillo'],
      ['grand-island', 'salt-lake-city'],
      ['council-bluffs', 'st-louis'],
      ['council-bluffs', 'nashville'],
      ['springfield', 'little-rock'],
      ['springfield', 'houston'],
      ['midland', 'el-paso'],
      ['midland', 'oklahoma-city'],
      ['cheyenne', 'seattle'],
      ['cheyenne', 'reno'],
      ['fargo', 'duluth'],
      ['fargo', 'winnipeg'],
      ['wichita', 'albuquerque'],
      ['wichita', 'jackson'],
      ['topeka', 'indianapolis'],
      ['topeka', 'louisville'],
      ['rapid-city', 'spokane'],
      ['rapid-city', 'missoula'],
      ['dubuque', 'detroit'],
      ['dubuque', 'cleveland'],
      ['joplin', 'shreveport'],
      ['joplin', 'mobile'],
      ['pueblo', 'tucson'],
      ['pueblo', 'las-vegas'],
      ['sioux-city', 'green-bay'],
      ['sioux-city', 'peoria'],
      ['hastings', 'fresno'],
      ['hastings', 'ontario'],
      ['salina', 'san-antonio'],
      ['salina', 'new-orleans'],
      ['north-platte', 'portland'],
      ['north-platte', 'stockton'],
    ],
  },
  {
    team: {
      id: 'T08BRFROANK',
      name: 'Blue Ridge Freight Partners',
      domain: 'blue-ridge-freight',
      emailDomain: 'blueridgefreight.example',
      enterprise: null,
    },
    timeZone: 'America/New_York',
    people: [
      ['Martha Calloway', 'President'],
      ['Dev Banerjee', 'Operations'],
      ['Ruth Ann Sizemore', 'Dispatcher'],
      ['Jamal Whitaker', 'Dispatcher'],
      ['Polly Hargrove', 'Billing'],
      ['Anton Petrov', 'Carrier Relations'],
      ['Sue Ellen Tate', 'Bookkeeper, guest'],
    ],
    leavers: ['Hank Bowles'],
    channels: [
      ['dispatch', 'All loads'],
      ['carriers', 'Who is good, who is not'],
      ['invoices', 'What is unpaid'],
    ],
    privateChannels: [['owners', '']],
    archivedChannels: ['hurricane-helene'],
    lanes: [
      ['roanoke', 'charlotte'],
      ['roanoke', 'knoxville'],
      ['norfolk', 'columbus'],
      ['greensboro', 'atlanta'],
    ],
  },
  {
    team: {
      id: 'T09HMTSEATL',
      name: 'Harbor & Main Transport Brokers',
      domain: 'harbor-and-main',
      emailDomain: 'harborandmain.example',
      enterprise: { id: 'E09PACIFIC1', name: 'Pacific Brokerage Group' },
    },
    timeZone: 'America/Los_Angeles',
    people: [
      ['Ingrid Solberg', 'General Manager'],
      ['Kenji Watanabe', 'Operations'],
      ['Lupe Navarro', 'Dispatcher'],
      ['Sam Okonkwo', 'Billing'],
      ['Piper Lang', 'Consultant, guest'],
    ],
    leavers: [],
    channels: [
      ['dispatch', 'All loads'],
      ['port-drayage', 'Containers'],
    ],
    privateChannels: [],
    archivedChannels: [],
    lanes: [
      ['seattle', 'portland'],
      ['tacoma', 'spokane'],
    ],
  },
];
