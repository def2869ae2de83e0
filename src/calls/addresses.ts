import { lookup as systemLookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';

/**
 * Which addresses a call may connect to. URLs come from configuration and from providers' answers, and a name can lead
 * anywhere, at each look-up anew: so the address is judged where the connection is made, by what was looked up for it.
 *
 *   public     addresses of the public internet, with TLS
 *   loopback   and this machine itself, also without TLS
 *   private    and private networks (RFC 1918, RFC 4193, RFC 6598), also without TLS
 *   anywhere   not judged: for what the operator has aimed at by a setting
 */
export type Reach = 'public' | 'loopback' | 'private' | 'anywhere';

export type AddressClass = 'public' | 'loopback' | 'private' | 'reserved';

const reachable: Record<Exclude<Reach, 'anywhere'>, readonly AddressClass[]> = {
  public: ['public'],
  loopback: ['public', 'loopback'],
  private: ['public', 'loopback', 'private'],
};

/** A connection that was not tried: nothing has left this machine. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = 'ERR_ADDRESS_REFUSED';
}

type Family = 'ipv4' | 'ipv6';

function blocks(family: Family, ...ranges: string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network, prefix] = range.split('/');
    list.addSubnet(network!, Number(prefix), family);
  }
  return list;
}

/** IANA's special-purpose registries as of November 2026: what is not globally reachable, and what is deprecated. */
const reserved: Record<Family, BlockList> = {
  ipv4: blocks(
    'ipv4',
    '0.0.0.0/8',
    '169.254.0.0/16',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
    // Where clouds serve a machine its own credentials, beside 169.254.169.254.
    '100.100.100.200/32',
    '168.63.129.16/32',
  ),
  // Protocol assignments with Teredo, documentation twice, 6to4; and a cloud's metadata.
  ipv6: blocks('ipv6', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20', 'fd00:ec2::254/128'),
};
const privateNetworks: Record<Family, BlockList> = {
  ipv4: blocks('ipv4', '10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16'),
  ipv6: blocks('ipv6', 'fc00::/7'),
};
const loopback: Record<Family, BlockList> = {
  ipv4: blocks('ipv4', '127.0.0.0/8'),
  ipv6: blocks('ipv6', '::1/128'),
};
/** All that IANA has handed out for the public internet; what is outside needs no list. */
const unicast = blocks('ipv6', '2000::/3');
const mapped = blocks('ipv6', '::ffff:0:0/96');
const translated = blocks('ipv6', '64:ff9b::/96');

/** `address` as `node:net` writes it: without brackets. */
export function classOf(address: string): AddressClass {
  const [plain = ''] = address.split('%');
  const version = isIP(plain);
  if (version === 0) return 'reserved';
  if (version === 4) return classIn('ipv4', plain);
  // An IPv4 address in another dress (RFC 4291 §2.5.5.2), or behind NAT64, which must not lead inside (RFC 6052 §3.1).
  if (mapped.check(plain, 'ipv6')) return classIn('ipv4', lastFour(plain));
  if (translated.check(plain, 'ipv6'))
    return classIn('ipv4', lastFour(plain)) === 'public' ? 'public' : 'reserved';
  const own = classIn('ipv6', plain);
  return own === 'public' && !unicast.check(plain, 'ipv6') ? 'reserved' : own;
}

function classIn(family: Family, address: string): AddressClass {
  if (reserved[family].check(address, family)) return 'reserved';
  if (loopback[family].check(address, family)) return 'loopback';
  return privateNetworks[family].check(address, family) ? 'private' : 'public';
}

/** The last 32 bits of an IPv6 address, as an IPv4 address. */
function lastFour(ipv6: string): string {
  const [high = '0', low = '0'] = new URL(`http://[${ipv6}]`).hostname
    .slice(1, -1)
    .replace('::', ':0:')
    .split(':')
    .slice(-2);
  const bits = Number.parseInt(high, 16) * 0x10000 + Number.parseInt(low || '0', 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.');
}

/** Without TLS only what does not cross the internet. */
function isOpen(reach: Exclude<Reach, 'anywhere'>, protocol: string, address: string): boolean {
  const found = classOf(address);
  return reachable[reach].includes(found) && (protocol === 'https:' || found !== 'public');
}

/** As `node:dns` has it, asked for all addresses of a name. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Connects only where `reach` goes. Of several addresses of a name those are tried that are open; the one that was
 * judged is the one that is connected to.
 */
export function createConnector(
  reach: Reach,
  timeoutMs: number,
  lookup: Lookup = systemLookup,
): buildConnector.connector {
  if (reach === 'anywhere') return buildConnector({ timeout: timeoutMs });
  const lookupFor =
    (protocol: string): LookupFunction =>
    (hostname, options, callback) =>
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        if (error) return callback(error, []);
        const open = addresses.filter(({ address }) => isOpen(reach, protocol, address));
        if (open.length === 0) return callback(new AddressRefused(), []);
        if (options.all) return callback(null, open);
        return callback(null, open[0]!.address, open[0]!.family);
      });
  const connectors = new Map(
    ['http:', 'https:'].map((protocol) => {
      const options = { timeout: timeoutMs, lookup: lookupFor(protocol) };
      return [protocol, buildConnector(options as buildConnector.BuildOptions)] as const;
    }),
  );
  return (options, callback) => {
    // What is an address already is not looked up.
    if (isIP(options.hostname) !== 0 && !isOpen(reach, options.protocol, options.hostname))
      return callback(new AddressRefused(), null);
    return connectors.get(options.protocol)!(options, callback);
  };
}
