import { expect, test } from "bun:test";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { describeWhere } from "../skip.ts";
import { MTLS, newDirectory, run, startWeft, useBinary, WEFT, waitFor } from "./harness.ts";

useBinary();

test("a flag wins over its WEFT_* variable, that over the configuration file, that over the default", async () => {
  const config = join(newDirectory(), "weft.yaml");
  writeFileSync(config, "trustDomain: file.example\nlogLevel: debug\nadminHosts: [file.example]\n");
  const env = { ...cleanEnvironment(), WEFT_CONFIG: config };
  const domainOf = async (args: string[], more: Record<string, string>) => {
    await using weft = await startWeft({ env: { ...env, ...more }, args });
    return (await weft.ask("GET", "/v1/ca")).text;
  };
  expect(await domainOf([], {})).toContain("file.example");
  expect(await domainOf([], { WEFT_TRUST_DOMAIN: "variable.example" })).toContain("variable.example");
  expect(await domainOf(["--trust-domain", "flag.example"], { WEFT_TRUST_DOMAIN: "variable.example" })).toContain("flag.example");
});

test("WEFT_DATA names the data directory to weft run and to every other verb", async () => {
  const data = join(newDirectory(), "data");
  const env = { ...cleanEnvironment(), WEFT_DATA: data, WEFT_CONFIG: "/dev/null" };
  await using weft = await startWeft({ data, env });
  const applied = await run(["apply", "-f", "-"], { env, input: MTLS("STRICT") });
  expect(applied).toMatchObject({ code: 0, err: "" });
  expect((await weft.ask("GET", "/v1/resources")).json.revision).toBe(1);
});

test("with --store memory: nothing of the resources is on the disk, and the next start has none", async () => {
  const weft = await startWeft({ args: ["--store", "memory:"] });
  await weft.apply(MTLS("STRICT"));
  expect(existsSync(join(weft.data, "weft.db"))).toBe(false);
  expect((await weft.ask("GET", "/healthz")).status).toBe(200);
  expect(await weft.stop()).toBe(0);
  await using again = await startWeft({ data: weft.data, args: ["--store", "memory:"] });
  expect((await again.ask("GET", "/v1/resources")).json).toEqual({ revision: 0, items: [] });
});

test("with --store sqlite:PATH the database is there, and only its owner may read it", async () => {
  const path = join(newDirectory(), "elsewhere.db");
  const weft = await startWeft({ args: ["--store", `sqlite:${path}`] });
  await weft.apply(MTLS("STRICT"));
  expect(await weft.stop()).toBe(0);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(existsSync(join(weft.data, "weft.db"))).toBe(false);
});

test("of several wefts that start on one data directory at once, one runs and the others end with exit 2", async () => {
  const data = join(newDirectory(), "data");
  const children = Array.from({ length: 4 }, () =>
    Bun.spawn([WEFT, "run", "--data", data, "--ads", "127.0.0.1:0", "--admin", "127.0.0.1:0"], { stdout: "ignore", stderr: "pipe" }),
  );
  try {
    const ended = () => children.filter((child) => child.exitCode !== null);
    await waitFor("three to end", () => ended().length === 3);
    expect(ended().map((child) => child.exitCode)).toEqual([2, 2, 2]);
    for (const child of ended()) expect(await child.stderr.text()).toContain("another weft runs on");
    await waitFor("the fourth", async () => (await fetch("http://weft/readyz", { unix: join(data, "admin.sock") })).status === 200);
  } finally {
    for (const child of children) child.kill("SIGTERM");
  }
  expect((await Promise.all(children.map((child) => child.exited))).sort()).toEqual([0, 2, 2, 2]);
});

test("SIGINT ends weft as SIGTERM does, and SIGHUP without a configuration file ends nothing", async () => {
  const weft = await startWeft();
  weft.signal("SIGHUP");
  await waitFor("the reload", () => weft.stderr().includes("read again"));
  expect((await weft.ask("GET", "/readyz")).status).toBe(200);
  weft.signal("SIGINT");
  expect(await weft.exited).toBe(0);
  expect(existsSync(weft.listening.admin_socket)).toBe(false);
});

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
describeWhere(hasIpv6, "a loopback interface with IPv6", "on IPv6", () => {
  test("weft listens on [::1], and is healthy there", async () => {
    await using weft = await startWeft({ args: [], ads: "[::1]:0", admin: "[::1]:0" });
    expect(weft.listening.ads).toMatch(/^\[::1\]:\d+$/);
    expect(weft.listening.admin).toMatch(/^\[::1\]:\d+$/);
    expect((await weft.askTcp("GET", "/healthz")).status).toBe(200);
    const token = (await weft.cli(["token"])).out.trim();
    const listed = await weft.cli(["ca", "show", "--server", `http://${weft.listening.admin}`, "--token", token]);
    expect(listed).toMatchObject({ code: 0, err: "" });
  });
});
