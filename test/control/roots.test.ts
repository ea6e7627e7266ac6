/** By which of its roots a weft is known to the command line, and what `weft ca roots` and the file of --ca say of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerTrust } from "../../src/cli/client-tls.ts";
import { rootsListing } from "../../src/cli/roots-listing.ts";
import { type RunningWeft, startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { weft as run } from "../cli/harness.ts";
import { eventually } from "./weft.ts";

describe("The roots of a mesh", () => {
  const data = mkdtempSync(join(tmpdir(), "weft-roots-"));
  const anywhere = { host: "127.0.0.1", port: 0 };
  let weft: RunningWeft;
  beforeAll(async () => {
    weft = await startWeft({
      data,
      ads: anywhere,
      admin: anywhere,
      adminTls: anywhere,
      trustDomain: "mesh.local",
      store: "memory:",
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
    });
  });
  afterAll(async () => {
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  });
  const roots = async () => (await run(["ca", "roots", "--data", data])).out;
  const markedAs = (listing: string, mark: string) => new RegExp(`^# ([0-9a-f]{64}) until [^;]+; ${mark}`, "m").exec(listing)?.[1] ?? "";
  const services = (...flags: string[]) => {
    const env = { WEFT_TOKEN: readFileSync(join(data, "admin.token"), "utf8").trim() };
    return run(["services", "--server", `https://${weft.listening.admin_tls}`, ...flags], { env });
  };

  test("are marked with what each is there for, and the fingerprint of the one that signs is taken for the server's", async () => {
    const first = markedAs(await roots(), "signs now");
    expect((await services("--ca-fingerprint", first)).code).toBe(0);
    await run(["ca", "rotate", "--data", data]);
    let listing = "";
    await eventually(async () => {
      listing = await roots();
      expect(markedAs(listing, "prepared, signs nothing yet: not for --ca-fingerprint") || markedAs(listing, "retiring")).not.toBe("");
    });
    const active = markedAs(listing, "signs now");
    const other = markedAs(listing, "prepared") || markedAs(listing, "retiring");
    expect((await services("--ca-fingerprint", active)).code).toBe(0);
    const refused = await services("--ca-fingerprint", other);
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringContaining("does not have a root of that fingerprint above its certificate"),
    ]);
    expect(refused.err).toContain('marked "signs now"');
  });

  test("are printed without the marks where the caller may not ask about the CA", async () => {
    const { code, out } = await run(["ca", "roots", "--server", `http://${weft.listening.admin}`], { env: { WEFT_TOKEN: "stranger" } });
    expect(code).toBe(0);
    expect(out).toMatch(/^# [0-9a-f]{64} until \S+Z\n-----BEGIN CERTIFICATE-----/);
  });

  test("keep their file's comments while the same certificates are in it, and are listed anew when others are", async () => {
    const file = join(data, "copied.pem");
    const all = rootsListing(await roots());
    const [one = ""] = all.split(/(?=^# )/m);
    const own = `# of the mesh in cellar 3\n${one}`;
    writeFileSync(file, own);
    const trust = new ServerTrust({ ca: file }, {}, new URL("https://127.0.0.1"), systemClock);
    await trust.tls();
    const { ino } = statSync(file);
    expect(await trust.learn(one.replace(/^#.*\n/gm, ""))).toBe(false);
    expect([readFileSync(file, "utf8"), statSync(file).ino]).toEqual([own, ino]);
    const more = await run(["ca", "roots", "--data", data]);
    const plain = more.out.replace(/^#.*\n/gm, "");
    expect(await trust.learn(plain)).toBe(true);
    expect(readFileSync(file, "utf8")).toBe(rootsListing(plain));
    expect(readFileSync(file, "utf8")).toMatch(/^# [0-9a-f]{64} until /);
  });
});
