import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatSpiffeId, parseSpiffeId, parseTrustDomain, workloadSpiffeId } from "../../src/ca/spiffe-id.ts";

test("A workload's SPIFFE ID names its trust domain, namespace and service account.", () => {
  expect(workloadSpiffeId("mesh.local", "default", "orders")).toBe("spiffe://mesh.local/ns/default/sa/orders");
});

test.each([
  ["spiffe://mesh.local", "mesh.local", ""],
  ["spiffe://mesh.local/ns/default/sa/orders", "mesh.local", "/ns/default/sa/orders"],
  ["spiffe://a_b-c.9/A.b_c-D", "a_b-c.9", "/A.b_c-D"],
])("%s is a SPIFFE ID.", (id, trustDomain, path) => {
  expect(parseSpiffeId(id)).toEqual({ trustDomain, path });
});

test.each([
  ["", "no SPIFFE ID"],
  ["https://mesh.local/a", "no SPIFFE ID"],
  ["SPIFFE://mesh.local/a", "no SPIFFE ID"],
  ["spiffe:/mesh.local/a", "no SPIFFE ID"],
  ["spiffe://", "empty"],
  ["spiffe:///a", "empty"],
  ["spiffe://Mesh.Local/a", "not valid"],
  ["spiffe://mesh.local:80/a", "not valid"],
  ["spiffe://me@mesh.local/a", "not valid"],
  ["spiffe://mesh.local%2e/a", "not valid"],
  ["spiffe://mesh.local/", "empty path segment"],
  ["spiffe://mesh.local/a/", "empty path segment"],
  ["spiffe://mesh.local//a", "empty path segment"],
  ["spiffe://mesh.local/a/../b", "relative"],
  ["spiffe://mesh.local/./a", "relative"],
  ["spiffe://mesh.local/a%2fb", "not valid"],
  ["spiffe://mesh.local/a?b", "not valid"],
  ["spiffe://mesh.local/a#b", "not valid"],
  ["spiffe://mesh.local/ä", "not valid"],
  ["spiffe://mesh.local/a\nb", "not valid"],
])("%j is refused, not normalised.", (id, why) => {
  expect(() => parseSpiffeId(id)).toThrow(why);
});

test("What is longer than the standard allows is refused.", () => {
  expect(() => parseSpiffeId(`spiffe://mesh.local/${"a".repeat(2048)}`)).toThrow("longer than 2048");
  expect(() => parseSpiffeId(`spiffe://${"a".repeat(256)}/a`)).toThrow("longer than 255");
});

test("A service account with a slash cannot name another workload's identity.", () => {
  expect(() => workloadSpiffeId("mesh.local", "default", "a/sa/b")).toThrow("slash");
  expect(() => workloadSpiffeId("mesh.local", "a/b", "c")).toThrow("slash");
  expect(() => workloadSpiffeId("mesh.local", "..", "c")).toThrow("relative");
});

test("A trust domain given as a URI is refused with the form to write.", () => {
  expect(() => parseTrustDomain("spiffe://mesh.local")).toThrow(expect.objectContaining({ help: 'write it as "mesh.local"' }));
});

test("Every SPIFFE ID that is accepted is written again as it was read.", () => {
  const text = fc.string({ unit: fc.constantFrom(..."aZ9._-/:%?#@ é"), maxLength: 20 });
  fc.assert(
    fc.property(text, (rest) => {
      const id = `spiffe://${rest}`;
      let parsed: ReturnType<typeof parseSpiffeId>;
      try {
        parsed = parseSpiffeId(id);
      } catch {
        return;
      }
      expect(formatSpiffeId(parsed)).toBe(id);
      expect(new URL(id).href).toBe(id);
    }),
  );
});
