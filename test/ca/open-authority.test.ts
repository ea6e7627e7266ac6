import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Disk, nodeDisk } from "../../src/ca/disk.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { dyingDisk } from "./dying-disk.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";

function open(dir: string, trustDomain = "mesh.local", disk: Disk = nodeDisk) {
  return openAuthority({ dir, trustDomain, clock: new FakeClock(), disk });
}

/** The file of the key that signs X.509-SVIDs. */
function keyOf(authority: OpenedAuthority, dir: string): string {
  return join(dir, "ca", `x509-${authority.report().x509[0]?.id}.key`);
}

describe("The first start", () => {
  test("makes keys and a journal that only their owner can read, in a directory that only its owner can enter, and the bundle for everybody.", () =>
    inTemporaryDirectory(async (dir) => {
      const data = join(dir, "data");
      const authority = await open(data);
      const mode = async (path: string) => ((await stat(join(data, path))).mode & 0o777).toString(8);
      expect(await mode("ca")).toBe("700");
      const names = (await readdir(join(data, "ca"))).sort();
      const jwt = `jwt-${authority.report().jwt[0]?.id}.key`;
      const x509 = `x509-${authority.report().x509[0]?.id}.key`;
      expect(names).toEqual(["ca.pem", "journal.json", jwt, x509].sort());
      for (const name of ["journal.json", jwt, x509]) expect([name, await mode(`ca/${name}`)]).toEqual([name, "600"]);
      expect(await mode("ca/ca.pem")).toBe("644");
      expect(await readFile(join(data, "ca/ca.pem"), "utf8")).toBe(authority.bundle().x509Pem);
    }));

  test.each([true, false])("can die at any step (torn write: %p), and the next one has a CA that signs.", (torn) =>
    inTemporaryDirectory(async (root) => {
      let step = 0;
      for (; step < 100; step++) {
        const dir = join(root, String(step));
        const disk = dyingDisk(step, torn);
        await open(dir, "mesh.local", disk).catch(() => undefined);
        const second = await open(dir);
        await second.check();
        const { chainPem } = await second.issueX509(ORDERS);
        expect(new X509Certificate(chainPem).verify(new X509Certificate(second.bundle().x509Pem).publicKey)).toBe(true);
        expect((await open(dir)).bundle()).toEqual(second.bundle());
        expect((await readdir(join(dir, "ca"))).length).toBe(4);
        if (!disk.dead()) break;
      }
      // Two authorities, each a key and two journals of four steps, and a bundle: fewer would mean that a step was not tried.
      expect(step).toBe(28);
    }),
  );

  test("says what it cannot write, and that the directory must be writable.", () =>
    inTemporaryDirectory(async (dir) => {
      await writeFile(join(dir, "ca"), "in the way");
      expect(await failureOf(() => open(dir))).toMatchObject({ code: "unavailable", message: expect.stringContaining(join(dir, "ca")) });
    }));
});

test("A later start uses the same CA.", () =>
  inTemporaryDirectory(async (dir) => {
    const first = await open(dir);
    const second = await open(dir);
    expect(second.bundle()).toEqual(first.bundle());
    expect(second.report()).toEqual(first.report());
    const certificate = new X509Certificate(first.bundle().x509Pem);
    const [report] = first.report().x509;
    expect(report).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{40}$/),
      state: "active",
      subject: `O=mesh.local, CN=weft CA ${report?.id.slice(0, 8)}`,
      serial: certificate.serialNumber.toLowerCase().padStart(report?.serial?.length ?? 0, "0"),
      fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
      notBefore: new Date(certificate.validFrom).toISOString(),
      notAfter: new Date(certificate.validTo).toISOString(),
      next: { step: "prepare-next", at: "2026-01-01T12:00:00.000Z" },
    });
  }));

/** What may be wrong with the files: tried at a start, and under a running weft, whose health check must see it and see it mended. */
const troubles: readonly [what: string, says: string, harm: (key: string, ca: string) => Promise<unknown>][] = [
  ["its group can read the key", "mode 0640", (key) => chmod(key, 0o640)],
  ["others can read the key", "mode 0604", (key) => chmod(key, 0o604)],
  ["the key's owner cannot read it", "mode 0000", (key) => chmod(key, 0)],
  ["the key is empty", "does not hold a PKCS #8", (key) => writeFile(key, "")],
  [
    "the key is a directory",
    "cannot read the CA's key",
    async (key) => {
      await rename(key, `${key}.away`);
      await mkdir(key, { mode: 0o700 });
    },
  ],
  [
    "the key is another one",
    "another key than the one that the CA's journal names",
    async (key, ca) => {
      const other = await open(`${ca}-other`);
      await copyFile(keyOf(other, `${ca}-other`), key);
    },
  ],
  ["others can read the journal", "mode 0644", (_, ca) => chmod(join(ca, "journal.json"), 0o644)],
];

/** Seen by a running weft too, which has its own copy. */
const journalTroubles: typeof troubles = [
  ...troubles,
  ["the journal is garbage", "journal", (_, ca) => writeFile(join(ca, "journal.json"), "garbage", { mode: 0o600 })],
];

describe("A start is refused, naming the file and the mend, when", () => {
  test.each(journalTroubles)("%s.", (_, says, harm) =>
    inTemporaryDirectory(async (dir) => {
      const authority = await open(dir);
      await harm(keyOf(authority, dir), join(dir, "ca"));
      const failure = await failureOf(() => open(dir));
      expect(String(failure)).toContain(says);
      expect(String(failure)).toContain(join(dir, "ca"));
      expect(failure).toMatchObject({ help: expect.stringMatching(/chmod|backup/) });
    }),
  );

  test("its journal is gone, and its bundle shows that there was one.", () =>
    inTemporaryDirectory(async (dir) => {
      await open(dir);
      await rm(join(dir, "ca", "journal.json"));
      expect(await failureOf(() => open(dir))).toMatchObject({ code: "unavailable", help: expect.stringContaining("backup") });
    }));

  test("the CA is another trust domain's.", () =>
    inTemporaryDirectory(async (dir) => {
      await open(dir, "old.example");
      const failure = await failureOf(() => open(dir, "new.example"));
      expect(failure).toMatchObject({ help: expect.stringContaining("--trust-domain") });
      expect(String(failure)).toContain("spiffe://old.example, not spiffe://new.example");
    }));

  test("the trust domain is not valid; and nothing is made.", () =>
    inTemporaryDirectory(async (dir) => {
      expect(await failureOf(() => open(dir, "Mesh.Local"))).toMatchObject({ code: "invalid" });
      expect(await readdir(dir)).toEqual([]);
    }));
});

test("A start without the CA's key makes a new authority, and what the old one signed stays trusted.", () =>
  inTemporaryDirectory(async (dir) => {
    const before = await open(dir);
    const svid = new X509Certificate((await before.issueX509(ORDERS)).chainPem);
    await rm(keyOf(before, dir));
    const after = await open(dir);
    expect(after.bundle().x509).toContain(before.bundle().x509[0] ?? "");
    expect(after.bundle().x509.some((pem) => svid.verify(new X509Certificate(pem).publicKey))).toBe(true);
    expect(after.report()).toMatchObject({ rotations: [{ type: "x509", reason: "key-lost" }] });
    expect(await failureOf(() => after.check())).toMatchObject({ message: expect.stringContaining("its key is lost") });
  }));

describe("The health check of a running CA", () => {
  const all: typeof troubles = [...journalTroubles, ["the key is gone", "is gone", (key) => rm(key)]];
  test.each(all)("fails when %s, and passes when that is mended; certificates are issued all the while.", (_, says, harm) =>
    inTemporaryDirectory(async (dir) => {
      const ca = join(dir, "ca");
      const authority = await open(dir);
      const key = keyOf(authority, dir);
      await authority.check();
      const files = [key, join(ca, "journal.json")];
      const good = await Promise.all(files.map((path) => readFile(path)));
      await harm(key, ca);
      expect(await failureOf(() => authority.check())).toMatchObject({ message: expect.stringContaining(says) });
      expect((await authority.issueX509(ORDERS)).spiffeId).toBe(ORDERS);
      for (const [index, path] of files.entries()) {
        await rm(path, { recursive: true, force: true });
        await writeFile(path, good[index] ?? "", { mode: 0o600 });
      }
      await authority.check();
    }),
  );
});
