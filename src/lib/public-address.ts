/**
 * Which addresses weft may fetch from where the URL is a user's. Whoever may write a policy must not reach by it what only this machine
 * reaches: so only addresses of the public internet are allowed, and what the operator allows besides (`weft run --jwks-allow`).
 * IANA's special-purpose registries: https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry
 */
import { BlockList, isIPv6 } from "node:net";
import { parseCidr } from "./ip.ts";

const NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

/** Of IPv6 only 2000::/3 is public, and of that not these: protocol assignments (Teredo), documentation, 6to4, which holds an IPv4 address. */
const PUBLIC_IPV6 = ["2000::", 3] as const;
const NOT_PUBLIC_IPV6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const notPublic = new BlockList();
for (const [address, length] of NOT_PUBLIC) notPublic.addSubnet(address, length, "ipv4");
const publicIpv6 = new BlockList();
publicIpv6.addSubnet(...PUBLIC_IPV6, "ipv6");
const notPublicIpv6 = new BlockList();
for (const [address, length] of NOT_PUBLIC_IPV6) notPublicIpv6.addSubnet(address, length, "ipv6");

/** What the operator allows besides: addresses, ranges of them, and names of hosts, whatever these resolve to. */
export interface AllowedPeers {
  readonly hosts: ReadonlySet<string>;
  readonly addresses: BlockList;
}

export const NO_PEERS: AllowedPeers = { hosts: new Set(), addresses: new BlockList() };

/** Of "127.0.0.1", "10.0.0.0/8", "fd00::/8", "keys.internal"; undefined where one of them is none of these. */
export function parseAllowedPeers(entries: readonly string[]): AllowedPeers | undefined {
  const hosts = new Set<string>();
  const addresses = new BlockList();
  for (const entry of entries) {
    const cidr = parseCidr(entry);
    if (cidr) addresses.addSubnet(cidr.address, cidr.prefixLength, isIPv6(cidr.address) ? "ipv6" : "ipv4");
    else if (/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i.test(entry) && !/^[\d.]+$/.test(entry)) {
      hosts.add(entry.toLowerCase());
    } else return undefined;
  }
  return { hosts, addresses };
}

/** `host` as the URL has it, without brackets; `address` is what it resolved to, or itself. */
export function mayConnect(host: string, address: string, allowed: AllowedPeers): boolean {
  if (allowed.hosts.has(host.toLowerCase())) return true;
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  if (allowed.addresses.check(address, family)) return true;
  if (family === "ipv4") return !notPublic.check(address, family);
  return publicIpv6.check(address, family) && !notPublicIpv6.check(address, family);
}
