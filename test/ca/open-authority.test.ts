import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmod, copyFile, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Disk, nodeDisk } from "../../src/ca/disk.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";

function open(dir: string, trustDomain = "mesh.local", disk: Disk = nodeDisk) {
  return openAuthority({ dir, trustDomain, clock: new FakeClock(), disk });
}

/** A disk of a process that dies at its `step`-th write: that one is done by half, or not at all, and nothing happens after it. */
function dyingDisk(step: number, torn: boolean): Disk {
  let done = 0;
  const tick = () => {
    if (done++ >= step) throw new Error("killed");
  };
  return {
    makeDirectory: async (path) => {
      tick();
      await nodeDisk.makeDirectory(path);
    },
    mode: nodeDisk.mode,
    read: nodeDisk.read,
    writeSynced: async (path, text, mode) => {
      if (torn && done === step) await nodeDisk.writeSynced(path, text.slice(0, text.length / 2), mode);
      tick();
      await nodeDisk.writeSynced(path, text, mode);
    },
    rename: async (from, to) => {
      tick();
      await nodeDisk.rename(from, to);
    },
    syncDirectory: async (path) => {
      tick();
      await nodeDisk.syncDirectory(path);
    },
  };
}

describe("The first start", () => {
  test("makes a key that only its owner can read, in a directory that only its owner can enter.", () =>
    inTemporaryDirectory(async (dir) => {
      const data = join(dir, "data");
      await open(data);
      const mode = async (path: string) => ((await stat(join(data, path))).mode & 0o777).toString(8);
      expect(await mode("ca")).toBe("700");
      expect(await mode("ca/ca-key.pem")).toBe("600");
      expect(await mode("ca/ca.pem")).toBe("644");
      expect((await readdir(join(data, "ca"))).sort()).toEqual(["ca-key.pem", "ca.pem"]);
    }));

  test.each([true, false])("can die at any step (torn write: %p), and the next one has a CA that signs.", (torn) =>
    inTemporaryDirectory(async (root) => {
      let step = 0;
      for (; step < 50; step++) {
        const dir = join(root, String(step));
        const first = await open(dir, "mesh.local", dyingDisk(step, torn)).catch(() => undefined);
        const second = await open(dir);
        await second.check();
        const { chainPem } = await second.issueX509(ORDERS);
        expect(new X509Certificate(chainPem).verify(new X509Certificate(second.bundlePem()).publicKey)).toBe(true);
        expect((await open(dir)).bundlePem()).toBe(second.bundlePem());
        if (!first) continue;
        expect(second.bundlePem()).toBe(first.bundlePem());
        break;
      }
      // Two files, four steps each: fewer would mean that a step was not tried.
      expect(step).toBe(8);
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
    expect(second.bundlePem()).toBe(first.bundlePem());
    expect(second.report()).toEqual(first.report());
    const certificate = new X509Certificate(first.bundlePem());
    expect(first.report()).toEqual({
      trustDomain: "mesh.local",
      certificates: [
        {
          subject: "O=mesh.local, CN=weft CA",
          serial: certificate.serialNumber.toLowerCase().padStart(first.report().certificates[0]?.serial.length ?? 0, "0"),
          fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
          notBefore: new Date(certificate.validFrom).toISOString(),
          notAfter: new Date(certificate.validTo).toISOString(),
        },
      ],
    });
  }));

/** What may be wrong with the files: tried at a start, and under a running weft, whose health check must see it and see it mended. */
const troubles: readonly [what: string, says: string, harm: (ca: string) => Promise<unknown>][] = [
  ["its group can read the key", "mode 0640", (ca) => chmod(join(ca, "ca-key.pem"), 0o640)],
  ["others can read the key", "mode 0604", (ca) => chmod(join(ca, "ca-key.pem"), 0o604)],
  ["the key's owner cannot read it", "mode 0000", (ca) => chmod(join(ca, "ca-key.pem"), 0)],
  ["the key is gone", "ca-key.pem is gone", (ca) => rm(join(ca, "ca-key.pem"))],
  ["the key is empty", "does not hold a PKCS #8", (ca) => writeFile(join(ca, "ca-key.pem"), "")],
  [
    "the key is a directory",
    "cannot read the CA's key",
    (ca) =>
      rename(ca, `${ca}x`)
        .then(() => nodeDisk.makeDirectory(`${ca}/ca-key.pem`))
        .then(() => copyFile(`${ca}x/ca.pem`, `${ca}/ca.pem`)),
  ],
  ["the certificate is garbage", "does not hold a PEM certificate", (ca) => writeFile(join(ca, "ca.pem"), "garbage")],
  [
    "the certificate is not the key's",
    "does not belong to",
    async (ca) => {
      await open(`${ca}-other`);
      await copyFile(`${ca}-other/ca/ca.pem`, join(ca, "ca.pem"));
    },
  ],
  [
    "the key is another CA's",
    "does not belong to",
    async (ca) => {
      await open(`${ca}-other`);
      await copyFile(`${ca}-other/ca/ca-key.pem`, join(ca, "ca-key.pem"));
    },
  ],
];

describe("A start is refused, naming the file and the mend, when", () => {
  test.each(troubles)("%s.", (_, says, harm) =>
    inTemporaryDirectory(async (dir) => {
      await open(dir);
      await harm(join(dir, "ca"));
      const failure = await failureOf(() => open(dir));
      expect(String(failure)).toContain(says);
      expect(String(failure)).toContain(join(dir, "ca"));
      expect(failure).toMatchObject({ help: expect.stringMatching(/chmod|backup/) });
    }),
  );

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

describe("The health check of a running CA", () => {
  test.each(troubles)("fails when %s, and passes when that is mended; certificates are issued all the while.", (_, says, harm) =>
    inTemporaryDirectory(async (dir) => {
      const ca = join(dir, "ca");
      const authority = await open(dir);
      await authority.check();
      const names = ["ca-key.pem", "ca.pem"];
      const good = await Promise.all(names.map((name) => readFile(join(ca, name))));
      await harm(ca);
      expect(await failureOf(() => authority.check())).toMatchObject({ message: expect.stringContaining(says) });
      expect((await authority.issueX509(ORDERS)).spiffeId).toBe(ORDERS);
      for (const [index, name] of names.entries()) {
        await rm(join(ca, name), { recursive: true, force: true });
        await writeFile(join(ca, name), good[index] ?? "", { mode: name === "ca.pem" ? 0o644 : 0o600 });
      }
      await authority.check();
    }),
  );

  test("fails when key and certificate were both replaced: a restart would be another CA.", () =>
    inTemporaryDirectory(async (dir) => {
      const authority = await open(dir);
      await open(join(dir, "other"));
      for (const name of ["ca-key.pem", "ca.pem"]) await copyFile(join(dir, "other", "ca", name), join(dir, "ca", name));
      expect(await failureOf(() => authority.check())).toMatchObject({
        message: expect.stringContaining("not the one that weft started with"),
      });
    }));
});
