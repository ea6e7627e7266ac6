import { expect, test } from "bun:test";
import { parseCidr } from "../../src/lib/ip.ts";

test("An address alone is a range of one, a prefix length at most as long as the address", () => {
  expect(parseCidr("10.1.2.3")).toEqual({ address: "10.1.2.3", prefixLength: 32 });
  expect(parseCidr("10.1.0.0/16")).toEqual({ address: "10.1.0.0", prefixLength: 16 });
  expect(parseCidr("fd00::1")).toEqual({ address: "fd00::1", prefixLength: 128 });
  expect(parseCidr("::/0")).toEqual({ address: "::", prefixLength: 0 });
});

test("Short forms, zones, names and odd lengths are no ranges", () => {
  for (const text of [
    "",
    "10.1",
    "010.0.0.1",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/",
    "fe80::1%eth0",
    "::/129",
    "localhost",
    "10.0.0.0/8/8",
  ]) {
    expect(parseCidr(text)).toBeUndefined();
  }
});
