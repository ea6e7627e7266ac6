/** The certificates that weft writes by hand, held to @peculiar/x509, node:crypto and openssl, none of which wrote them. */
import { describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { generateKeyPair, generateLeafKey, SIGNATURE, signingKeyOf, x509 } from "../../src/ca/crypto.ts";
import { signSvid, svidBody } from "../../src/ca/leaf.ts";
import { signCaCertificate } from "../../src/ca/template.ts";
import { inTemporaryDirectory } from "./temporary.ts";

const openssl = Bun.which("openssl");
const [HOUR, YEAR] = [3_600_000, 365 * 86_400_000];

async function makeCa(now: number, notAfter: number) {
  const keys = await generateKeyPair();
  const ca = await signCaCertificate({ trustDomain: "mesh.local", keys, now, notAfter });
  return { ca, caKey: await signingKeyOf(keys.privateKey), keys };
}

/** The TBSCertificate of a certificate: the first element within the outer one. */
function bodyOf(certificate: ArrayBuffer): string {
  const bytes = Buffer.from(certificate);
  const [outer, inner] = [0, headerAt(bytes, 0).contents];
  expect(headerAt(bytes, outer).end).toBe(bytes.length);
  return bytes.subarray(inner, headerAt(bytes, inner).end).toString("hex");
}

function headerAt(bytes: Buffer, at: number): { readonly contents: number; readonly end: number } {
  const first = bytes.readUInt8(at + 1);
  if (first < 0x80) return { contents: at + 2, end: at + 2 + first };
  const count = first & 0x7f;
  const contents = at + 2 + count;
  return { contents, end: contents + bytes.readUIntBE(at + 2, count) };
}

const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,60}$/);
const spiffeIds = fc.array(segment, { minLength: 1, maxLength: 30 }).map((path) => `spiffe://mesh.local/${path.join("/")}`);
/** With bytes at the front that DER leaves out, and that would read as a sign. */
const serials = fc
  .tuple(fc.constantFrom("", "00", "0000", "7f", "80", "ff", "0080"), fc.uint8Array({ minLength: 12, maxLength: 14 }))
  .map(([front, rest]) => front + Buffer.from(rest).toString("hex"))
  .filter((serial) => /[1-9a-f]/.test(serial));
/** 1990 to 2100: UTCTime ends with 2049. */
const seconds = fc.integer({ min: Date.UTC(1990) / 1000, max: Date.UTC(2100) / 1000 });

describe("The body of an X.509-SVID", () => {
  test("has the very bytes that a general ASN.1 library writes for the same fields, whatever they hold.", async () => {
    const { ca, keys } = await makeCa(Date.UTC(2026), Date.UTC(2026) + YEAR);
    const { publicKey } = generateLeafKey();
    const key = new x509.PublicKey(publicKey);
    const keyId = new x509.AuthorityKeyIdentifierExtension(ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId ?? "");
    await fc.assert(
      fc.asyncProperty(spiffeIds, serials, seconds, seconds, async (spiffeId, serial, one, other) => {
        const [notBefore, notAfter] = [Math.min(one, other) * 1000, Math.max(one, other) * 1000];
        const theirs = await x509.X509CertificateGenerator.create({
          serialNumber: serial,
          subject: [],
          issuer: ca.subjectName,
          notBefore: new Date(notBefore),
          notAfter: new Date(notAfter),
          signingAlgorithm: SIGNATURE,
          signingKey: keys.privateKey,
          publicKey: key,
          extensions: [
            new x509.BasicConstraintsExtension(false, undefined, true),
            new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
            new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
            new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }], true),
            await x509.SubjectKeyIdentifierExtension.create(key),
            keyId,
          ],
        });
        const ours = Buffer.from(svidBody({ spiffeId, publicKey, ca, serial, notBefore, notAfter })).toString("hex");
        expect(ours).toBe(bodyOf(theirs.rawData));
      }),
      { numRuns: 60 },
    );
  });
});

describe("An X.509-SVID that weft signed", () => {
  test("says what it was made from, to Node and to the ASN.1 library, and its key is the one that was made for it.", async () => {
    const now = Date.UTC(2026, 5, 1, 12, 0, 0, 250);
    const { ca, caKey } = await makeCa(now, now + YEAR);
    await fc.assert(
      fc.asyncProperty(spiffeIds, async (spiffeId) => {
        const { publicKey, privateKeyPem } = generateLeafKey();
        const { pem, serial, notBefore, notAfter } = signSvid({
          spiffeId,
          trustDomain: "mesh.local",
          publicKey,
          ca,
          caKey,
          now,
          lifetimeMs: HOUR,
        });
        expect(Math.max(...pem.split("\n").map((line) => line.length))).toBe(64);
        const node = new X509Certificate(pem);
        expect(node.subjectAltName).toBe(`URI:${spiffeId}`);
        expect(BigInt(`0x${node.serialNumber}`)).toBe(BigInt(`0x${serial}`));
        expect([Date.parse(node.validFrom), Date.parse(node.validTo)]).toEqual([notBefore, notAfter]);
        expect(node.checkPrivateKey(createPrivateKey(privateKeyPem))).toBe(true);
        expect(await new x509.X509Certificate(pem).verify({ publicKey: ca.publicKey, date: new Date(now) })).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test.skipIf(openssl === null)("passes OpenSSL's strict verification, whatever its length.", () =>
    inTemporaryDirectory(async (dir) => {
      const now = Date.now();
      const { ca, caKey } = await makeCa(now, now + YEAR);
      await writeFile(join(dir, "ca.pem"), `${ca.toString("pem")}\n`);
      for (const length of [1, 60, 100, 200, 1_000, 2_020]) {
        const spiffeId = `spiffe://mesh.local/${"x".repeat(length)}`;
        const { publicKey } = generateLeafKey();
        const { pem } = signSvid({ spiffeId, trustDomain: "mesh.local", publicKey, ca, caKey, now, lifetimeMs: HOUR });
        const leaf = join(dir, `${length}.pem`);
        await writeFile(leaf, pem);
        const { stdout, stderr } = Bun.spawnSync([openssl ?? "", "verify", "-x509_strict", "-CAfile", join(dir, "ca.pem"), leaf]);
        expect(`${stdout}${stderr}`.trim()).toBe(`${leaf}: OK`);
      }
    }),
  );
});
