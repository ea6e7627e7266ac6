import { describe, expect, test } from "bun:test";
import { mayConnect, NO_PEERS, parseAllowedPeers } from "../../src/lib/public-address.ts";

function allowed(...entries: string[]) {
  const parsed = parseAllowedPeers(entries);
  if (!parsed) throw new Error(`${entries} cannot be read`);
  return parsed;
}

describe("An address that weft may fetch keys from", () => {
  for (const address of ["1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]) {
    test(`is public: ${address}`, () => expect(mayConnect("keys.example", address, NO_PEERS)).toBe(true));
  }

  const refused = {
    loopback: ["127.0.0.1", "127.255.0.9", "::1"],
    unspecified: ["0.0.0.0", "0.1.2.3", "::"],
    private: ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "fc00::1"],
    "link-local, where clouds serve their metadata": ["169.254.169.254", "fe80::1", "fd00:ec2::254"],
    "shared by carriers": ["100.64.0.1", "100.100.100.200"],
    "multicast or reserved": ["224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1"],
    "an IPv4 address in another's clothes": [
      "::ffff:127.0.0.1",
      "::ffff:a00:1",
      "::7f00:1",
      "64:ff9b::7f00:1",
      "2002:7f00:1::",
      "2001:0:1::1",
    ],
    documentation: ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
  };
  for (const [kind, addresses] of Object.entries(refused)) {
    test(`is not ${kind}`, () => {
      for (const address of addresses) expect([address, mayConnect("keys.example", address, NO_PEERS)]).toEqual([address, false]);
    });
  }

  test("may be one that the operator allows, by address, range or the host's name, and no other", () => {
    const peers = allowed("127.0.0.1", "10.1.0.0/16", "fd00::/8", "Keys.Internal");
    expect(mayConnect("x", "127.0.0.1", peers)).toBe(true);
    expect(mayConnect("x", "127.0.0.2", peers)).toBe(false);
    expect(mayConnect("x", "10.1.255.255", peers)).toBe(true);
    expect(mayConnect("x", "10.2.0.0", peers)).toBe(false);
    expect(mayConnect("x", "fd12::1", peers)).toBe(true);
    expect(mayConnect("KEYS.internal", "192.168.0.1", peers)).toBe(true);
    expect(mayConnect("evil.keys.internal", "192.168.0.1", peers)).toBe(false);
  });

  test("is allowed by an entry that can be read", () => {
    for (const entry of ["10.0.0.0/33", "10.0.0", "1.2.3.4:80", "https://x", "*.example.com", ""])
      expect(parseAllowedPeers([entry])).toBe(undefined);
  });
});
