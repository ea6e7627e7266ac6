import { isIP } from "node:net";

/** A range of IP addresses. */
export interface Cidr {
  readonly address: string;
  readonly prefixLength: number;
}

/** "10.1.0.0/16", or one address ("10.1.2.3", "fd00::1"); undefined for anything else, as Go's net/netip has it: no zones, no short forms. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const version = address.includes("%") ? 0 : isIP(address);
  if (version === 0) return undefined;
  const longest = version === 4 ? 32 : 128;
  if (slash < 0) return { address, prefixLength: longest };
  const length = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(length) || Number(length) > longest) return undefined;
  return { address, prefixLength: Number(length) };
}
