/** X509-SVID, 5.2: what is refused although its chain is good. */
import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { generateKeyPair, SIGNATURE, x509 } from "../../src/ca/crypto.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { x509SvidId } from "../../src/ca/x509-svid.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = x509.KeyUsageFlags;
const usage = (flags: number) => new x509.KeyUsagesExtension(flags, true);
const uris = (...values: string[]) =>
  new x509.SubjectAlternativeNameExtension(
    values.map((value) => ({ type: "url" as const, value })),
    true,
  );
const constraints = (ca: boolean) => new x509.BasicConstraintsExtension(ca, undefined, true);

async function certificate(...extensions: x509.Extension[]): Promise<Uint8Array<ArrayBuffer>> {
  const keys = await generateKeyPair();
  const made = await x509.X509CertificateGenerator.createSelfSigned({ name: "CN=x", keys, signingAlgorithm: SIGNATURE, extensions });
  return new Uint8Array(made.rawData);
}

test("A leaf of weft's is read as the SPIFFE ID that it was issued for.", () =>
  inTemporaryDirectory(async (dir) => {
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock: new FakeClock() });
    const { chainPem } = await authority.issueX509(ORDERS);
    expect(x509SvidId(new Uint8Array(new X509Certificate(chainPem).raw))).toEqual({
      trustDomain: "mesh.local",
      path: "/ns/default/sa/orders",
    });
    const ca = new Uint8Array(new X509Certificate(authority.bundle().x509Pem).raw);
    expect(await failureOf(() => x509SvidId(ca))).toMatchObject({ message: expect.stringContaining("a CA's") });
  }));

test("A leaf may have other SANs, and keyEncipherment.", async () => {
  const names = new x509.SubjectAlternativeNameExtension([
    { type: "url", value: ORDERS },
    { type: "dns", value: "orders.example" },
  ]);
  expect(x509SvidId(await certificate(usage(digitalSignature | keyEncipherment), names)).trustDomain).toBe("mesh.local");
});

const wrong: readonly [what: string, says: string, extensions: readonly x509.Extension[]][] = [
  ["is a CA", "a CA's", [constraints(true), usage(digitalSignature), uris(ORDERS)]],
  ["may sign certificates", "may sign certificates", [constraints(false), usage(digitalSignature | keyCertSign), uris(ORDERS)]],
  ["may sign revocation lists", "may sign certificates", [constraints(false), usage(digitalSignature | cRLSign), uris(ORDERS)]],
  ["has no key usage", "no key usage", [uris(ORDERS)]],
  ["may not sign handshakes", "may not sign handshakes", [usage(keyEncipherment), uris(ORDERS)]],
  [
    "has no URI SAN",
    "no URI SAN",
    [usage(digitalSignature), new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "a.example" }])],
  ],
  ["has two URI SANs", "2 URI SANs", [usage(digitalSignature), uris(ORDERS, "https://a.example")]],
  ["has another scheme", "no SPIFFE ID", [usage(digitalSignature), uris("https://mesh.local/a")]],
  ["has a SPIFFE ID without a path", "not a workload", [usage(digitalSignature), uris("spiffe://mesh.local")]],
  ["has a SPIFFE ID that is not in its one form", "relative path", [usage(digitalSignature), uris("spiffe://mesh.local/a/../b")]],
];
test.each(wrong)("A certificate that %s is no X.509-SVID.", async (_, says, extensions) => {
  const der = await certificate(...extensions);
  expect(await failureOf(() => x509SvidId(der))).toMatchObject({ code: "unauthenticated", message: expect.stringContaining(says) });
});

test("What is no certificate is no X.509-SVID.", async () => {
  for (const bytes of [[], [0x30], [0x30, 0x80, 1, 2, 3]]) {
    expect(await failureOf(() => x509SvidId(new Uint8Array(bytes)))).toMatchObject({ code: "unauthenticated" });
  }
});
