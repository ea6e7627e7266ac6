/** Whether an address is in a range. */
import ipaddr from "ipaddr.js";
import type { Cidr } from "../lib/ip.ts";

/** False for what is no address, and between IPv4 and IPv6; an IPv4 address in IPv6's clothes (::ffff:1.2.3.4) is the IPv4 one. */
export function contains({ address, prefixLength }: Cidr, text: string): boolean {
  if (!ipaddr.isValid(text) || !ipaddr.isValid(address)) return false;
  const [range, candidate] = [ipaddr.process(address), ipaddr.process(text)];
  return range.kind() === candidate.kind() && candidate.match(range, prefixLength);
}
