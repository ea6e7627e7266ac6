/** The X509-SVID standard's MUSTs, read from the DER by parsers that did not write it: node:crypto, and openssl where it is installed. */
import { describe, expect, test } from "bun:test";
import { createPrivateKey, randomBytes, sign, verify, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { x509 } from "../../src/ca/crypto.ts";
import { DEFAULT_LIFETIMES, NOT_BEFORE_BACKDATE_MS } from "../../src/ca/lifetimes.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const openssl = Bun.which("openssl");

async function withAuthority(body: (authority: OpenedAuthority, clock: FakeClock, dir: string) => Promise<void>): Promise<void> {
  await inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    await body(await openAuthority({ dir, trustDomain: "mesh.local", clock }), clock, dir);
  });
}

/** Extensions by OID: whether critical, and the value in hex. */
function extensionsOf(pem: string): Map<string, { critical: boolean; hex: string }> {
  const { extensions } = new x509.X509Certificate(pem);
  return new Map(extensions.map((e) => [e.type, { critical: e.critical, hex: Buffer.from(e.value).toString("hex") }]));
}

const OID = { keyUsage: "2.5.29.15", san: "2.5.29.17", basicConstraints: "2.5.29.19", extKeyUsage: "2.5.29.37" };

describe("An X.509-SVID", () => {
  test("has exactly one URI SAN, critical because the subject is empty.", () =>
    withAuthority(async (authority) => {
      const { chainPem } = await authority.issueX509(ORDERS);
      const svid = new X509Certificate(chainPem);
      expect(svid.subjectAltName).toBe(`URI:${ORDERS}`);
      expect(svid.subject ?? "").toBe("");
      expect(extensionsOf(chainPem).get(OID.san)?.critical).toBe(true);
    }));

  test("is no CA, may only sign handshakes, and serves as client and as server.", () =>
    withAuthority(async (authority) => {
      const { chainPem } = await authority.issueX509(ORDERS);
      const extensions = extensionsOf(chainPem);
      expect(new X509Certificate(chainPem).ca).toBe(false);
      // An empty SEQUENCE: cA is DEFAULT FALSE, which DER leaves out.
      expect(extensions.get(OID.basicConstraints)).toEqual({ critical: true, hex: "3000" });
      // BIT STRING of one bit, bit 0: digitalSignature.
      expect(extensions.get(OID.keyUsage)).toEqual({ critical: true, hex: "03020780" });
      expect(extensions.get(OID.extKeyUsage)?.hex).toBe("301406082b0601050507030106082b06010505070302");
    }));

  test("is signed by the CA, names its key, and carries the key that it is for.", () =>
    withAuthority(async (authority) => {
      const { chainPem, privateKeyPem } = await authority.issueX509(ORDERS);
      const svid = new X509Certificate(chainPem);
      const ca = new X509Certificate(authority.bundle().x509Pem);
      expect(svid.verify(ca.publicKey)).toBe(true);
      expect(svid.checkIssued(ca)).toBe(true);
      const message = randomBytes(32);
      expect(verify("sha256", message, svid.publicKey, sign("sha256", message, createPrivateKey(privateKeyPem)))).toBe(true);
    }));

  test("lives for an hour, and began a little before it was made.", () =>
    withAuthority(async (authority, clock) => {
      await clock.advance(60_000);
      const { chainPem, notBefore, notAfter } = await authority.issueX509(ORDERS);
      expect(notAfter).toBe(clock.now() + DEFAULT_LIFETIMES.x509SvidMs);
      const { validFrom, validTo } = new X509Certificate(chainPem);
      expect([Date.parse(validFrom), Date.parse(validTo)]).toEqual([notBefore, notAfter]);
      expect(notBefore).toBe(clock.now() - NOT_BEFORE_BACKDATE_MS);
    }));

  test("never outlives the CA, and is not issued once the CA has ended.", () =>
    withAuthority(async (authority, clock) => {
      const caEnd = Date.parse(new X509Certificate(authority.bundle().x509Pem).validTo);
      clock.setWallClock(caEnd - 10_000);
      expect((await authority.issueX509(ORDERS)).notAfter).toBe(caEnd);
      clock.setWallClock(caEnd);
      expect(await failureOf(() => authority.issueX509(ORDERS))).toMatchObject({ code: "unavailable" });
      expect(await failureOf(() => authority.check())).toMatchObject({ code: "unavailable" });
    }));

  test("has a random serial number of 128 bits, positive as RFC 5280 asks.", () =>
    withAuthority(async (authority) => {
      const serials = new Set<string>();
      for (let n = 0; n < 20; n++) {
        const { chainPem, serial } = await authority.issueX509(ORDERS);
        expect(BigInt(`0x${serial}`)).toBe(BigInt(`0x${new X509Certificate(chainPem).serialNumber}`));
        expect(BigInt(`0x${serial}`)).toBeLessThan(2n ** 128n);
        serials.add(serial);
      }
      expect(serials.size).toBe(20);
    }));

  test.each(["spiffe://mesh.local", "https://mesh.local/a", "spiffe://mesh.local/a//b"])("is not issued for %s.", (id) =>
    withAuthority(async (authority) => {
      expect(await failureOf(() => authority.issueX509(id))).toMatchObject({ code: "invalid" });
    }),
  );

  test("is not issued for another trust domain.", () =>
    withAuthority(async (authority) => {
      const failure = await failureOf(() => authority.issueX509("spiffe://other.example/ns/default/sa/orders"));
      expect(failure).toMatchObject({ code: "invalid", message: expect.stringContaining("other.example") });
    }));
});

describe("The CA certificate", () => {
  test("names the trust domain without a path, and may sign certificates and CRLs only.", () =>
    withAuthority(async (authority) => {
      const pem = authority.bundle().x509Pem;
      const extensions = extensionsOf(pem);
      expect(new X509Certificate(pem).subjectAltName).toBe("URI:spiffe://mesh.local");
      expect(new X509Certificate(pem).ca).toBe(true);
      // SEQUENCE { cA TRUE, pathLenConstraint 0 }
      expect(extensions.get(OID.basicConstraints)).toEqual({ critical: true, hex: "30060101ff020100" });
      // Bits 5 and 6: keyCertSign, cRLSign.
      expect(extensions.get(OID.keyUsage)).toEqual({ critical: true, hex: "03020106" });
    }));
});

test.skipIf(openssl === null)("OpenSSL, in strict mode, accepts the chain for both purposes.", () =>
  withAuthority(async (authority, clock, dir) => {
    const leaf = join(dir, "leaf.pem");
    const ca = join(dir, "bundle.pem");
    await writeFile(leaf, (await authority.issueX509(ORDERS)).chainPem);
    await writeFile(ca, authority.bundle().x509Pem);
    for (const purpose of ["sslserver", "sslclient"]) {
      const time = String(Math.floor(clock.now() / 1_000));
      const command = [openssl ?? "", "verify", "-x509_strict", "-purpose", purpose, "-attime", time, "-CAfile", ca, leaf];
      const { exitCode, stdout, stderr } = Bun.spawnSync(command);
      expect({ purpose, exitCode, output: `${stdout}${stderr}`.trim() }).toEqual({ purpose, exitCode: 0, output: `${leaf}: OK` });
    }
  }),
);
