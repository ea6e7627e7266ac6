import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { type ProcessInfo, readProcess } from "../../src/lib/process-info.ts";
import { executableHashes } from "../../src/workload-api/executable-hash.ts";
import { entitlementsOf, type UnixSelectors } from "../../src/workload-api/registrations.ts";
import { unixNames } from "../../src/workload-api/unix-names.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-registrations-"));
const program = join(directory, "billing");
const [passwd, group] = [join(directory, "passwd"), join(directory, "group")];
let child: Bun.Subprocess;
let self: ProcessInfo;

beforeAll(() => {
  copyFileSync("/bin/sleep", program);
  child = Bun.spawn([program, "600"]);
  const { uid, gid } = readProcess(child.pid);
  writeFileSync(passwd, `billing:x:${uid}:${gid}::/:/bin/sh\nother:x:77777:77777::/:/bin/sh\nbilling:x:77777:1::/:/bin/sh\n`);
  writeFileSync(group, `staff:x:${gid}:\n`);
  // The child is this program from its exec on.
  self = readProcess(child.pid);
});
afterAll(async () => {
  child.kill();
  await child.exited;
  rmSync(directory, { recursive: true, force: true });
});

const surroundings = { names: unixNames(passwd, group), hashOf: executableHashes(systemClock) };
const isMet = async (unix: UnixSelectors, process = self) =>
  (await entitlementsOf(process, [{ spiffeId: "spiffe://td/x", unix, hint: "" }], surroundings)).length === 1;
const sha256 = () => createHash("sha256").update(readFileSync(program)).digest("hex");

test("All selectors of a registration must hold", async () => {
  const all: Required<Omit<UnixSelectors, "supplementaryGid">> = {
    uid: self.uid,
    user: "billing",
    gid: self.gid,
    group: "staff",
    path: program,
    sha256: sha256(),
  };
  expect(await isMet(all)).toBe(true);
  const wrong = {
    uid: 77777,
    user: "other",
    gid: 77777,
    group: "nobody-knows",
    path: "/bin/sleep",
    sha256: "0".repeat(64),
    supplementaryGid: 77777,
  };
  for (const [name, value] of Object.entries(wrong)) expect([name, await isMet({ ...all, [name]: value })]).toEqual([name, false]);
});

test("A user that is not known selects nobody", async () => {
  expect(await isMet({ user: "nobody-knows" })).toBe(false);
});

test("A supplementary group is one of those that the process has", async () => {
  expect(await isMet({ supplementaryGid: 4244 }, { ...self, groups: [4243, 4244] })).toBe(true);
  expect(await isMet({ supplementaryGid: 4244 }, { ...self, groups: [] })).toBe(false);
});

test("A program that was deleted stands nowhere, and a file of its name is another; its content is still known", async () => {
  const hash = sha256();
  unlinkSync(program);
  const [deleted, fresh] = [readProcess(child.pid), executableHashes(systemClock)];
  expect(deleted.path).toBeUndefined();
  writeFileSync(`${program} (deleted)`, "");
  expect(await isMet({ path: program }, readProcess(child.pid))).toBe(false);
  expect(await isMet({ path: `${program} (deleted)` }, readProcess(child.pid))).toBe(false);
  expect(await fresh(deleted)).toBe(hash);
});

test("The oldest registration gives the default identity; one identity comes once, and one hint once", async () => {
  const registrations = [
    { spiffeId: "spiffe://td/a", unix: { uid: self.uid }, hint: "internal" },
    { spiffeId: "spiffe://td/b", unix: { uid: 77777 }, hint: "" },
    { spiffeId: "spiffe://td/c", unix: { gid: self.gid }, hint: "internal" },
    { spiffeId: "spiffe://td/a", unix: { gid: self.gid }, hint: "other" },
    { spiffeId: "spiffe://td/d", unix: { gid: self.gid }, hint: "external" },
  ];
  expect(await entitlementsOf(self, registrations, surroundings)).toEqual([
    { spiffeId: "spiffe://td/a", hint: "internal" },
    { spiffeId: "spiffe://td/c", hint: "" },
    { spiffeId: "spiffe://td/d", hint: "external" },
  ]);
});
