/** Data directories of versions that had one CA for ten years. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportPrivateKeyPem, generateKeyPair, generateLeafKey, signingKeyOf } from "../../src/ca/crypto.ts";
import { signSvid } from "../../src/ca/leaf.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { signCaCertificate } from "../../src/ca/template.ts";
import { FakeClock } from "../fakes/clock.ts";
import { dyingDisk } from "./dying-disk.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

setDefaultTimeout(60_000);

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const [HOUR, DAY] = [3_600_000, 86_400_000];
const TEN_YEARS = 3650 * DAY;

/** What such a version left in `dir`, and an SVID of an hour that it issued. */
async function leaveLegacy(dir: string, now: number): Promise<{ readonly ca: string; readonly svid: X509Certificate }> {
  const keys = await generateKeyPair();
  const certificate = await signCaCertificate({ trustDomain: "mesh.local", keys, now, notAfter: now + TEN_YEARS });
  const ca = `${certificate.toString("pem")}\n`;
  await mkdir(join(dir, "ca"), { recursive: true, mode: 0o700 });
  await writeFile(join(dir, "ca", "ca-key.pem"), await exportPrivateKeyPem(keys.privateKey), { mode: 0o600 });
  await writeFile(join(dir, "ca", "ca.pem"), ca);
  const { publicKey } = generateLeafKey();
  const request = {
    spiffeId: ORDERS,
    trustDomain: "mesh.local",
    publicKey,
    ca: certificate,
    caKey: await signingKeyOf(keys.privateKey),
    now,
    lifetimeMs: HOUR,
  };
  return { ca, svid: new X509Certificate(signSvid(request).pem) };
}

const open = (dir: string, clock: FakeClock) => openAuthority({ dir, trustDomain: "mesh.local", clock });

describe("The CA of an older version", () => {
  test("signs on, and what it signed stays trusted until its end: then its successor, made in good time, has taken over.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const { ca, svid } = await leaveLegacy(dir, clock.now());
      await clock.advance(100 * DAY);
      const authority = await open(dir, clock);
      await authority.check();
      expect(authority.bundle().x509).toEqual([ca]);
      const sequence = authority.bundle().sequence;
      const own = new X509Certificate((await authority.issueX509(ORDERS)).chainPem);
      expect([own, svid].map((one) => one.verify(new X509Certificate(ca).publicKey))).toEqual([true, true]);
      expect((await readdir(join(dir, "ca"))).includes("ca-key.pem")).toBe(false);
      expect(await readFile(join(dir, "ca", "ca.pem"), "utf8")).toBe(ca);

      await clock.advance(12 * HOUR);
      await authority.run();
      expect(authority.bundle().x509.length).toBe(2);
      expect(authority.bundle().sequence).toBeGreaterThan(sequence);
      await clock.advance(8 * HOUR);
      const again = await open(dir, clock);
      expect(again.report().x509.map(({ state }) => state)).toEqual(["retiring", "active"]);
      expect(again.bundle().x509).toContain(ca);
      await clock.advance(HOUR + 1_000);
      await again.run();
      expect(again.bundle().x509).not.toContain(ca);
      expect(await readFile(join(dir, "ca", "ca.pem"), "utf8")).toBe(again.bundle().x509Pem);
    }));

  test("is taken over by a start after one that died at any step of it.", () =>
    inTemporaryDirectory(async (root) => {
      const clock = new FakeClock();
      const base = join(root, "base");
      const { ca, svid } = await leaveLegacy(base, clock.now());
      let step = 0;
      for (; ; step++) {
        const dir = join(root, String(step));
        await cp(base, dir, { recursive: true });
        const disk = dyingDisk(step, step % 2 === 0);
        await openAuthority({ dir, trustDomain: "mesh.local", clock, disk }).catch(() => undefined);
        const authority = await open(dir, clock);
        await authority.check();
        expect(authority.bundle().x509).toEqual([ca]);
        expect(svid.verify(new X509Certificate(authority.bundle().x509[0] ?? "").publicKey)).toBe(true);
        expect((await readdir(join(dir, "ca"))).filter((name) => name.endsWith("key.pem"))).toEqual([]);
        if (!disk.dead()) break;
      }
      expect(step).toBeGreaterThan(8);
    }));

  test("that has expired is replaced at once.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      const { ca } = await leaveLegacy(dir, clock.now());
      await clock.advance(TEN_YEARS);
      const authority = await open(dir, clock);
      await authority.check();
      expect(authority.bundle().x509).not.toContain(ca);
    }));

  test("is refused without its key, with another key, or for another trust domain, naming the mend.", () =>
    inTemporaryDirectory(async (dir) => {
      const clock = new FakeClock();
      await leaveLegacy(dir, clock.now());
      const elsewhere = () => openAuthority({ dir, trustDomain: "other.example", clock });
      expect(await failureOf(elsewhere)).toMatchObject({ code: "invalid", help: expect.stringContaining("--trust-domain") });
      await leaveLegacy(join(dir, "other"), clock.now());
      await cp(join(dir, "other", "ca", "ca-key.pem"), join(dir, "ca", "ca-key.pem"));
      const failure = await failureOf(() => open(dir, clock));
      expect(failure).toMatchObject({ message: expect.stringContaining("does not belong to"), help: expect.stringContaining("backup") });
      await rm(join(dir, "ca", "ca-key.pem"));
      expect(await failureOf(() => open(dir, clock))).toMatchObject({ help: expect.stringContaining("backup") });
    }));
});
