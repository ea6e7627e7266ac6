import { describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectRefusal, newDirectory, run, SERVICE, startWeft, useBinary, WEFT, waitFor } from "./harness.ts";

useBinary();

const AT = (data: string) => ["run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
const NOBODY = 65_534;

/** With room for a slower machine: 0.5 to 0.9 s are usual. */
const MOST_START_SECONDS = 1.5;
/** It settles at some 91 MB. */
const MOST_IDLE_BYTES = 110_000_000;

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

/** User and system time, fields 14 and 15 of /proc/PID/stat, in ticks; Linux shows 100 of them a second. */
function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

test("dist/weft alone in an empty directory, with an empty environment, runs a control plane and leaves files in its data directory only", async () => {
  const home = newDirectory();
  const binary = join(home, "weft");
  copyFileSync(WEFT, binary);
  await using weft = await startWeft({ binary, cwd: home, data: "./data", seen: join(home, "data"), env: { PATH: "" } });
  // Processor time: what else the machine does delays a start, but does not add to that.
  expect(processorSeconds(weft.pid)).toBeLessThan(MOST_START_SECONDS);
  await waitFor(
    "weft to be idle in little memory",
    () => residentBytes(weft.pid),
    (bytes) => bytes < MOST_IDLE_BYTES,
    { limitMs: 10_000, everyMs: 100 },
  );

  expect((await weft.ask("GET", "/readyz")).text).toBe("ok\n");
  const { ads, admin, pid } = weft.listening;
  expect(pid).toBe(weft.pid);
  expect(ads).toMatch(/^127\.0\.0\.1:[1-9]\d+$/);
  expect(weft.stdout()).toContain(`ADS    ${ads} and `);
  expect(weft.stdout()).toContain(`admin  http://${admin} and `);
  expect((await weft.askTcp("GET", "/healthz")).status).toBe(200);
  expect((await weft.ask("POST", "/v1/apply", SERVICE("orders"))).status).toBe(200);
  const listed = await run(["services", "--data", "./data"], { binary, cwd: home, env: { PATH: "" } });
  expect(listed).toMatchObject({ code: 0, err: "" });
  expect(listed.out).toContain("orders");

  // Whatever it has open is its own: no library, module or configuration from elsewhere. (libc and its like are the system's.)
  const mapped = readFileSync(`/proc/${weft.pid}/maps`, "utf8").match(/\/\S.*$/gm) ?? [];
  const foreign = [...new Set(mapped)].filter(
    (path) =>
      !path.startsWith(home) &&
      !/\/(ld-linux|libc|libm|libpthread|libdl|librt|libgcc|libresolv)[-.\w]*\.so/.test(path) &&
      !path.startsWith("/dev/"),
  );
  expect(foreign).toEqual([]);
  expect(await weft.stop()).toBe(0);
  expect(readdirSync(home).sort()).toEqual(["data", "weft"]);
});

test("SIGTERM ends weft with exit 0, and takes the sockets and listening.json away; the next start finds everything as it was", async () => {
  const weft = await startWeft();
  await weft.apply(SERVICE("orders"));
  const inCa = readdirSync(join(weft.data, "ca")).filter((name) => name !== "ca.pem");
  for (const secret of ["weft.db", "admin.token", "admin.sock", ...inCa.map((name) => `ca/${name}`)]) {
    expect([secret, statSync(join(weft.data, secret)).mode & 0o777]).toEqual([secret, 0o600]);
  }
  expect(statSync(weft.data).mode & 0o777).toBe(0o700);
  expect(await weft.stop()).toBe(0);
  expect(readdirSync(weft.data).sort()).toEqual(["admin.token", "ca", "lock.db", "node.json", "secrets.key", "weft.db"]);
  await using again = await startWeft({ data: weft.data });
  expect((await again.ask("GET", "/v1/resources")).json).toMatchObject({ revision: 1, items: [{ metadata: { name: "orders" } }] });
});

test("a killed weft leaves its sockets behind, and the next one starts all the same", async () => {
  const weft = await startWeft();
  weft.signal("SIGKILL");
  await weft.exited;
  expect(existsSync(weft.listening.ads_socket)).toBe(true);
  await using again = await startWeft({ data: weft.data });
  expect((await again.ask("GET", "/healthz")).status).toBe(200);
});

describe("SIGHUP", () => {
  test("takes log level and admin hosts from the configuration file, and says what needs a restart", async () => {
    const config = join(newDirectory(), "weft.yaml");
    writeFileSync(config, "logLevel: warning\ntrustDomain: one.example\n");
    await using weft = await startWeft({ args: ["--config", config] });
    const asEdge = () => weft.askTcp("GET", "/healthz", undefined, { host: "edge.example" });
    expect((await asEdge()).status).toBe(403);
    expect(weft.stderr()).toBe("");

    writeFileSync(config, "logLevel: info\ntrustDomain: two.example\nadminHosts: [edge.example]\n");
    weft.signal("SIGHUP");
    await waitFor("the restart hint", () => /restart weft for the changed settings.*trustDomain/.test(weft.stderr()));
    expect(weft.stderr()).toContain("logLevel, adminHosts, adminPrincipals and jwksAllow are in force");
    expect((await asEdge()).status).toBe(200);
    expect((await weft.ask("GET", "/v1/ca")).text).toContain("one.example");
  });

  test("with a configuration file that is wrong changes nothing, and names the place", async () => {
    const config = join(newDirectory(), "weft.yaml");
    writeFileSync(config, "adminHosts: [edge.example]\n");
    await using weft = await startWeft({ args: ["--config", config] });
    writeFileSync(config, "logLevel: debug\nadminHost: [other.example]\n");
    weft.signal("SIGHUP");
    await waitFor("the complaint", () => weft.stderr().includes("nothing of it was taken"));
    expect(weft.stderr()).toContain("adminHosts");
    expect(weft.stderr()).toMatch(/"line":2|:2:1/);
    expect((await weft.askTcp("GET", "/healthz", undefined, { host: "edge.example" })).status).toBe(200);
    expect((await weft.ask("GET", "/readyz")).status).toBe(200);
  });
});

describe("weft run refuses, with exit 2 and what to do,", () => {
  test("a data directory on which another weft runs", async () => {
    await using weft = await startWeft();
    expectRefusal(await run(AT(weft.data)), `another weft runs on ${weft.data} already (process ${weft.pid})`, "--data");
    expect((await weft.ask("GET", "/readyz")).status).toBe(200);
    expect(existsSync(weft.listening.admin_socket)).toBe(true);
  });

  test("a busy port, naming the flag that changes it", async () => {
    const data = join(newDirectory(), "data");
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const busy = `127.0.0.1:${taken.port}`;
    expectRefusal(await run(["run", "--data", data, "--ads", busy, "--admin", "127.0.0.1:0"]), busy, "--ads");
    expectRefusal(await run(["run", "--data", data, "--ads", "127.0.0.1:0", "--admin", busy]), busy, "--admin");
    expect(readdirSync(data).filter((name) => /sock|listening|pid/.test(name))).toEqual([]);
  });

  test("an address that is not this machine's, or not one at all", async () => {
    const data = join(newDirectory(), "data");
    expectRefusal(await run(["run", "--data", data, "--ads", "192.0.2.1:0", "--admin", "127.0.0.1:0"]), "192.0.2.1", "--ads");
    expectRefusal(await run(["run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "192.0.2.1:0"]), "192.0.2.1", "--admin");
    expectRefusal(await run(["run", "--data", data, "--ads", "localhost"]), "--ads", "ADDRESS:PORT");
    expectRefusal(await run(["run", "--data", data, "--ads", "127.0.0.1:66000"]), "--ads", "ADDRESS:PORT");
  });

  test("a data directory that it may not write, or that is a file", async () => {
    const home = newDirectory();
    const file = join(home, "file");
    writeFileSync(file, "mine\n");
    expectRefusal(await run(AT(file)), file, "--data");
    expect(readFileSync(file, "utf8")).toBe("mine\n");
    const foreign = join(home, "foreign");
    mkdirSync(foreign, { mode: 0o500 });
    const prefix = process.getuid?.() === 0 ? ["setpriv", `--reuid=${NOBODY}`, "--clear-groups"] : [];
    expectRefusal(await run(AT(foreign), { prefix }), foreign, "--data");
    expect(readdirSync(foreign)).toEqual([]);
  });

  test("a data directory whose path is too long for a Unix socket", async () => {
    const data = join(newDirectory(), "d".repeat(120));
    const outcome = await run(AT(data));
    expectRefusal(outcome, "too long", "--data");
  });

  test("a configuration that is wrong, with the place of each mistake", async () => {
    const config = join(newDirectory(), "weft.yaml");
    writeFileSync(config, "ads: nowhere\nlogLevle: info\ntrustDomain: [a]\n");
    const outcome = await run(["run", "--config", config]);
    expectRefusal(outcome, `${config}:2:1`, `${config}:3:1`, "logLevel");
    expectRefusal(await run(["run", "--config", join(newDirectory(), "none.yaml")]), "none.yaml");
    expectRefusal(await run(["run", "--store", "mysql://u:secret@h"]), "sqlite", "memory:");
  });
});
