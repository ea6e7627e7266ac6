/** What an X.509-SVID must be to prove anything, with certificates that openssl made besides weft's own. */
import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeyPair, generateLeafKey, signingKeyOf } from "../../src/ca/crypto.ts";
import { signSvid } from "../../src/ca/leaf.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { signCaCertificate } from "../../src/ca/template.ts";
import type { TrustBundle } from "../../src/ca/types.ts";
import { verifyX509Svid } from "../../src/ca/verify-x509-svid.ts";
import { FakeClock } from "../fakes/clock.ts";
import { openssl } from "./pki.ts";
import { inTemporaryDirectory } from "./temporary.ts";

const WEB = "spiffe://mesh.local/ns/default/sa/web";
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const der = (pem: string) => [...pem.matchAll(BLOCK)].map(([one]) => new X509Certificate(one).raw);

async function withAuthority(body: (authority: OpenedAuthority, clock: FakeClock, dir: string) => Promise<void>): Promise<void> {
  await inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock });
    await body(authority, clock, dir);
    authority.close();
  });
}

describe("An X.509-SVID that is presented", () => {
  test("proves its SPIFFE ID until it expires, and no longer.", () =>
    withAuthority(async (authority, clock) => {
      const { chainPem, notAfter, notBefore } = await authority.issueX509(WEB);
      const verify = (now: number) => verifyX509Svid(der(chainPem), authority.bundle(), now);
      expect(verify(clock.now())).toEqual({ spiffeId: WEB, notBefore, notAfter });
      expect(verify(notAfter - 1).spiffeId).toBe(WEB);
      expect(() => verify(notAfter)).toThrow(/expired at/);
      expect(() => verify(notBefore - 1)).toThrow(/is not valid before/);
    }));

  test("is good under every root of the bundle, and under none that has left it.", () =>
    withAuthority(async (authority, clock) => {
      const old = await authority.issueX509(WEB);
      const before = authority.bundle();
      await authority.rotate(["x509"]);
      expect(verifyX509Svid(der(old.chainPem), authority.bundle(), clock.now()).spiffeId).toBe(WEB);
      const left = authority.bundle().x509.filter((root) => !before.x509.includes(root));
      expect(left.length).toBe(1);
      expect(() => verifyX509Svid(der(old.chainPem), { ...authority.bundle(), x509: left }, clock.now())).toThrow(
        /no authority in the trust bundle/,
      );
    }));

  test("is good by any path that leads to a root: of an authority whose certificate was made anew with its key, the one that has ended does no harm.", () =>
    withAuthority(async (authority, clock) => {
      const [keys, leaf] = [await generateKeyPair(), generateLeafKey()];
      const trustDomain = "mesh.local";
      const now = clock.now();
      const ca = (notAfter: number) => signCaCertificate({ trustDomain, keys, now, notAfter });
      const [short, long] = [await ca(now + 60_000), await ca(now + 3_600_000)];
      const request = {
        spiffeId: WEB,
        trustDomain,
        publicKey: leaf.publicKey,
        caKey: await signingKeyOf(keys.privateKey),
        now,
        lifetimeMs: 600_000,
      };
      const svid = new X509Certificate(signSvid({ ...request, ca: long }).pem).raw;
      const later = now + 120_000;
      for (const roots of [
        [short, long],
        [long, short],
      ]) {
        const bundle = { ...authority.bundle(), x509: roots.map((root) => root.toString("pem")) };
        expect(verifyX509Svid([svid], bundle, later)).toMatchObject({ spiffeId: WEB, notAfter: now + 600_000 });
      }
      const ended = { ...authority.bundle(), x509: [short.toString("pem")] };
      expect(() => verifyX509Svid([svid], ended, later)).toThrow(/expired at/);
    }));

  test("of another authority for a trust domain of the same name is refused, with its root beside it too.", () =>
    withAuthority(async (authority, clock) =>
      withAuthority(async (stranger) => {
        const { chainPem } = await stranger.issueX509(WEB);
        expect(() => verifyX509Svid(der(chainPem), authority.bundle(), clock.now())).toThrow(/no authority in the trust bundle/);
        // Its own root beside it proves nothing.
        const withRoot = [...der(chainPem), ...der(stranger.bundle().x509Pem)];
        expect(() => verifyX509Svid(withRoot, authority.bundle(), clock.now())).toThrow(/no authority in the trust bundle/);
      }),
    ));

  test("is none where it is an authority's certificate, or a workload's that signed another.", () =>
    withAuthority(async (authority, clock) => {
      const [root] = der(authority.bundle().x509Pem);
      if (!root) throw new Error("no root");
      expect(() => verifyX509Svid([root], authority.bundle(), clock.now())).toThrow(/names a trust domain/);
      expect(() => verifyX509Svid([], authority.bundle(), clock.now())).toThrow("no certificate was presented");
      expect(() => verifyX509Svid([new Uint8Array([1, 2, 3])], authority.bundle(), clock.now())).toThrow(/cannot be read/);
      expect(() =>
        verifyX509Svid(
          Array.from({ length: 7 }, () => root),
          authority.bundle(),
          clock.now(),
        ),
      ).toThrow(/too many/);
    }));

  const GOOD = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=serverAuth,clientAuth",
    `subjectAltName=URI:${WEB}`,
  ];
  const replace = (name: string, ...lines: string[]) => [...GOOD.filter((line) => !line.startsWith(name)), ...lines];
  const CASES: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
    ["as the standard has it", GOOD, undefined],
    ["without an extended key usage", replace("extendedKeyUsage"), undefined],
    ["with a DNS name beside its ID", replace("subjectAltName", `subjectAltName=URI:${WEB},DNS:web.example`), undefined],
    ["without a URI name", replace("subjectAltName", "subjectAltName=DNS:web"), /has 0 URI names/],
    [
      "with two URI names",
      replace("subjectAltName", `subjectAltName=URI:${WEB},URI:spiffe://mesh.local/ns/default/sa/admin`),
      /has 2 URI names/,
    ],
    ["with its ID in a DNS name", replace("subjectAltName", `subjectAltName=DNS:URI:${WEB}`), /has 0 URI names/],
    [
      "of another trust domain",
      replace("subjectAltName", "subjectAltName=URI:spiffe://other.local/ns/default/sa/web"),
      /is of trust domain other.local/,
    ],
    ["of a trust domain's own ID", replace("subjectAltName", "subjectAltName=URI:spiffe://mesh.local"), /names a trust domain/],
    [
      "with an ID that would have to be normalised",
      replace("subjectAltName", "subjectAltName=URI:spiffe://mesh.local/ns/x/../default/sa/web"),
      /relative path segment/,
    ],
    [
      "with a trust domain in capitals",
      replace("subjectAltName", "subjectAltName=URI:spiffe://MESH.local/ns/default/sa/web"),
      /is not valid/,
    ],
    ["for servers only", replace("extendedKeyUsage", "extendedKeyUsage=serverAuth"), /lacks clientAuth/],
    ["for code signing", replace("extendedKeyUsage", "extendedKeyUsage=codeSigning"), /lacks clientAuth/],
    ["that may sign others", replace("keyUsage", "keyUsage=critical,digitalSignature,keyCertSign"), /key usage/],
    ["that is a CA's", replace("basicConstraints", "basicConstraints=critical,CA:TRUE"), /is an authority's/],
    ["without a key usage", replace("keyUsage"), /key usage/],
    ["with a critical extension of somebody's", [...GOOD, "1.2.3.4.5=critical,ASN1:UTF8String:x"], /critical extension/],
  ];
  for (const [name, extensions, refusal] of CASES) {
    test.skipIf(!openssl)(`${name} is ${refusal ? "refused" : "good"}.`, () =>
      inTemporaryDirectory(async (dir) => {
        const bundle = root(dir);
        const leaf = sign(dir, "leaf", "root", extensions);
        const verify = () => verifyX509Svid(der(leaf), bundle, Date.now());
        if (refusal) expect(verify).toThrow(refusal);
        else expect(verify().spiffeId).toBe(WEB);
      }),
    );
  }

  test.skipIf(!openssl)("may stand under intermediates, in any order, within their path lengths.", () =>
    inTemporaryDirectory(async (dir) => {
      const bundle = root(dir);
      const ca = (length: string) => [`basicConstraints=critical,CA:TRUE${length}`, "keyUsage=critical,keyCertSign"];
      const first = sign(dir, "first", "root", ca(",pathlen:1"));
      const second = sign(dir, "second", "first", ca(",pathlen:0"));
      const leaf = sign(dir, "leaf", "second", GOOD);
      expect(verifyX509Svid(der(leaf + second + first), bundle, Date.now()).spiffeId).toBe(WEB);
      expect(verifyX509Svid(der(leaf + first + second), bundle, Date.now()).spiffeId).toBe(WEB);
      expect(() => verifyX509Svid(der(leaf + first), bundle, Date.now())).toThrow(/no authority/);
      const third = sign(dir, "third", "second", ca(""));
      const below = sign(dir, "below", "third", GOOD);
      expect(() => verifyX509Svid(der(below + third + second + first), bundle, Date.now())).toThrow(/no authority/);
      const forged = sign(dir, "forged", "leaf", GOOD);
      expect(() => verifyX509Svid(der(forged + leaf + second + first), bundle, Date.now())).toThrow(/no authority/);
    }),
  );
});

function root(dir: string): TrustBundle {
  run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", join(dir, "root.key"));
  const extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
  run(
    "req",
    "-x509",
    "-new",
    "-key",
    join(dir, "root.key"),
    "-subj",
    "/CN=root",
    "-days",
    "1",
    "-out",
    join(dir, "root.pem"),
    ...extensions,
  );
  const pem = readFileSync(join(dir, "root.pem"), "utf8");
  return { trustDomain: "mesh.local", sequence: 1, refreshHint: 300, x509: [pem], x509Pem: pem, jwt: [] };
}

function sign(dir: string, name: string, issuer: string, extensions: readonly string[]): string {
  const path = (suffix: string) => join(dir, `${name}.${suffix}`);
  run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path("key"));
  run("req", "-new", "-key", path("key"), "-subj", `/CN=${name}`, "-out", path("csr"));
  writeFileSync(path("ext"), `${extensions.join("\n")}\n`);
  const ca = ["-CA", join(dir, `${issuer}.pem`), "-CAkey", join(dir, `${issuer}.key`), "-CAcreateserial"];
  run("x509", "-req", "-in", path("csr"), ...ca, "-days", "1", "-extfile", path("ext"), "-out", path("pem"));
  return readFileSync(path("pem"), "utf8");
}

function run(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([openssl ?? "openssl", ...args], { stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}
