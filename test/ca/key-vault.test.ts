import { describe, expect, test } from "bun:test";
import { chmod, cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AuthorityOptions, openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";

function open(dir: string, path?: string, credential = false) {
  const options: AuthorityOptions = { dir, trustDomain: "mesh.local", clock: new FakeClock() };
  return openAuthority(path === undefined ? options : { ...options, keyEncryption: { path, credential } });
}

async function keyFiles(dir: string): Promise<{ readonly name: string; readonly text: string }[]> {
  const names = (await readdir(join(dir, "ca"))).filter((name) => name.endsWith(".key"));
  return await Promise.all(names.sort().map(async (name) => ({ name, text: await readFile(join(dir, "ca", name), "utf8") })));
}

async function withSecret(body: (dir: string, secret: string) => Promise<void>): Promise<void> {
  await inTemporaryDirectory(async (dir) => {
    const secret = join(dir, "secret");
    await writeFile(secret, `${crypto.getRandomValues(new Uint8Array(32)).toBase64()}\n`, { mode: 0o600 });
    await body(dir, secret);
  });
}

describe("Keys at rest", () => {
  test("are encrypted with the operator's file, and open with it only.", () =>
    withSecret(async (dir, secret) => {
      const first = await open(dir, secret);
      for (const { text } of await keyFiles(dir)) {
        expect(text).not.toContain("PRIVATE KEY");
        expect(Object.keys(JSON.parse(text))).toEqual(["format", "salt", "nonce", "ciphertext"]);
      }
      const second = await open(dir, secret);
      await second.check();
      expect(second.bundle()).toEqual(first.bundle());
      expect((await second.issueX509(ORDERS)).authorityId).toBe(first.report().x509[0]?.id ?? "");

      expect(await failureOf(() => open(dir))).toMatchObject({ help: expect.stringContaining("--key-encryption-file") });
      await writeFile(secret, `${crypto.getRandomValues(new Uint8Array(32)).toBase64()}\n`);
      expect(await failureOf(() => open(dir, secret))).toMatchObject({ message: expect.stringContaining("cannot be decrypted") });
    }));

  test("that were not encrypted are from the first start with such a file.", () =>
    withSecret(async (dir, secret) => {
      const plain = await open(dir);
      expect((await keyFiles(dir)).every(({ text }) => text.includes("PRIVATE KEY"))).toBe(true);
      const encrypted = await open(dir, secret);
      expect((await keyFiles(dir)).some(({ text }) => text.includes("PRIVATE KEY"))).toBe(false);
      expect(encrypted.bundle()).toEqual(plain.bundle());
      for (const { name } of await keyFiles(dir)) expect((await stat(join(dir, "ca", name))).mode & 0o777).toBe(0o600);
    }));

  test("cannot be put in one another's place, nor changed.", () =>
    withSecret(async (dir, secret) => {
      await open(dir, secret);
      const [jwt, x509] = (await keyFiles(dir)).map(({ name }) => join(dir, "ca", name));
      await cp(x509 ?? "", `${x509}.copy`);
      await cp(jwt ?? "", x509 ?? "");
      expect(await failureOf(() => open(dir, secret))).toMatchObject({ message: expect.stringContaining("cannot be decrypted") });
      const file = JSON.parse(await readFile(`${x509}.copy`, "utf8"));
      const bytes = Buffer.from(file.ciphertext, "base64");
      bytes[40] = (bytes[40] ?? 0) ^ 1;
      await writeFile(x509 ?? "", JSON.stringify({ ...file, ciphertext: bytes.toString("base64") }));
      expect(await failureOf(() => open(dir, secret))).toMatchObject({ message: expect.stringContaining("cannot be decrypted") });
    }));

  test("are not made where the operator's file is short, absent or open to others; a credential of systemd's may be its group's.", () =>
    withSecret(async (dir, secret) => {
      await chmod(secret, 0o640);
      expect(await failureOf(() => open(dir, secret))).toMatchObject({ help: expect.stringContaining(`chmod 600 ${secret}`) });
      await (await open(join(dir, "a"), secret, true)).check();
      await chmod(secret, 0o644);
      expect(await failureOf(() => open(dir, secret, true))).toMatchObject({ message: expect.stringContaining("mode 0644") });
      await chmod(secret, 0o600);
      await writeFile(secret, "password\n");
      expect(await failureOf(() => open(dir, secret))).toMatchObject({ code: "invalid", help: expect.stringContaining("/dev/urandom") });
      await rm(secret);
      expect(await failureOf(() => open(dir, secret))).toMatchObject({
        code: "unavailable",
        help: expect.stringContaining("/dev/urandom"),
      });
      expect((await readdir(dir)).includes("ca")).toBe(false);
    }));

  test("whose file for decryption is gone are named by the health check, while they go on signing.", () =>
    withSecret(async (dir, secret) => {
      const authority = await open(dir, secret);
      await rm(secret);
      expect(await failureOf(() => authority.check())).toMatchObject({ message: expect.stringContaining(secret) });
      expect((await authority.issueX509(ORDERS)).spiffeId).toBe(ORDERS);
    }));
});
