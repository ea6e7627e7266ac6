/** Identities of weft's own nodes: who can have one, and what an authority signs for a key that is elsewhere. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createSigningRequest,
  generateLeafKey,
  isUnderBundle,
  type LocalAuthority,
  nodeOfSpiffeId,
  nodeSpiffeId,
  openAuthority,
  parseSpiffeId,
  readSigningRequest,
} from "../../src/ca/index.ts";
import { FakeClock } from "../fakes/clock.ts";

let directory: string;
let ca: LocalAuthority;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "weft-ca-nodes-"));
  ca = await openAuthority({ dir: directory, trustDomain: "mesh.local", clock: new FakeClock() });
});
afterEach(() => {
  ca.close();
  rmSync(directory, { recursive: true, force: true });
});

describe("A node's identity", () => {
  test("is signed for nobody who asks for a workload's SVID", async () => {
    const { publicKey } = generateLeafKey();
    for (const path of ["/weft/node/a", "/weft", "/weft/x"]) {
      const id = `spiffe://mesh.local${path}`;
      const refused = `"${id}" is kept for weft's own nodes`;
      await expect(ca.issueX509(id)).rejects.toThrow(refused);
      await expect(ca.signX509(id, publicKey)).rejects.toThrow(refused);
      await expect(ca.issueJwtSvid(id, ["x"])).rejects.toThrow(refused);
    }
    expect((await ca.issueX509("spiffe://mesh.local/ns/weft/sa/node")).spiffeId).toBe("spiffe://mesh.local/ns/weft/sa/node");
  });

  test("names one node, by one segment", async () => {
    expect(nodeOfSpiffeId(parseSpiffeId(nodeSpiffeId("mesh.local", "edge-7.lab")))).toBe("edge-7.lab");
    for (const path of ["/ns/default/sa/web", "/weft/node/a/b", "/weft/node", ""])
      expect(nodeOfSpiffeId({ trustDomain: "mesh.local", path })).toBeUndefined();
    expect(() => nodeSpiffeId("mesh.local", "a/b")).toThrow("slash");
  });
});

describe("A certificate for a key that is elsewhere", () => {
  test("holds that key, and the name that was given", async () => {
    const { publicKey } = generateLeafKey();
    const signed = await ca.signX509("spiffe://mesh.local/ns/default/sa/web", publicKey);
    const certificate = new X509Certificate(signed.chainPem);
    expect(certificate.publicKey.export({ type: "spki", format: "der" }).equals(publicKey)).toBe(true);
    expect(certificate.subjectAltName).toBe("URI:spiffe://mesh.local/ns/default/sa/web");
    expect(new X509Certificate((await ca.signNode("a", publicKey)).chainPem).subjectAltName).toBe("URI:spiffe://mesh.local/weft/node/a");
  });

  test("is made for keys of P-256 alone, which lie on the curve", async () => {
    const { publicKey } = generateLeafKey();
    const off = Uint8Array.from(publicKey);
    off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
    for (const key of [off, publicKey.subarray(0, 90), new Uint8Array(0)]) {
      await expect(ca.signX509("spiffe://mesh.local/ns/default/sa/web", key)).rejects.toThrow("none of curve P-256");
    }
  });

  test("is known again as one of this mesh's while it lasts, and no other's is", async () => {
    const clock = new FakeClock();
    const dir = mkdtempSync(join(tmpdir(), "weft-ca-other-"));
    const other = await openAuthority({ dir, trustDomain: "mesh.local", clock });
    const { publicKey } = generateLeafKey();
    const chainOf = async (one: LocalAuthority) => [
      new X509Certificate((await one.signX509("spiffe://mesh.local/ns/default/sa/web", publicKey)).chainPem),
    ];
    const [own, foreign] = [await chainOf(ca), await chainOf(other)];
    expect(isUnderBundle(own, ca.bundle(), clock.now())).toBe(true);
    expect(isUnderBundle(foreign, ca.bundle(), clock.now())).toBe(false);
    expect(isUnderBundle(own, ca.bundle(), clock.now() + 3_600_000)).toBe(false);
    expect(isUnderBundle(own, ca.bundle(), clock.now() - 3_600_000)).toBe(false);
    // A leaf is no authority.
    expect(isUnderBundle(own, { ...ca.bundle(), x509: [own[0]?.toString() ?? ""] }, clock.now())).toBe(false);
    expect(isUnderBundle([], ca.bundle(), clock.now())).toBe(false);
    other.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("is asked for by a request that proves the key, and names nobody", async () => {
    const { publicKey, privateKeyPem } = generateLeafKey();
    const request = await createSigningRequest(privateKeyPem);
    expect(Buffer.from(await readSigningRequest(request)).equals(publicKey)).toBe(true);
  });
});
