import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { DEFAULT_LIFETIMES } from "../../src/ca/lifetimes.ts";
import { caOf } from "../../src/cli/ca-settings.ts";
import { parseHostPort } from "../../src/cli/config.ts";
import type { RunSettings } from "../../src/cli/index.ts";
import { files, type RunOptions, useFiles, weft } from "./harness.ts";

useFiles();

async function settings(argv: readonly string[], options: RunOptions = {}): Promise<RunSettings | undefined> {
  let seen: RunSettings | undefined;
  const startServer = async (given: RunSettings) => {
    seen = given;
    return 0;
  };
  const { code, err } = await weft(["run", ...argv], { ...options, startServer });
  expect([code, err]).toEqual([0, ""]);
  return seen;
}

describe("The settings of weft run", () => {
  test("have defaults on loopback, and a data directory that suits the user", async () => {
    expect(await settings([])).toEqual({
      data: "./weft-data",
      ads: { host: "127.0.0.1", port: 15010 },
      adsTls: null,
      adminTls: null,
      adsSocket: "",
      adminPrincipals: [],
      admin: { host: "127.0.0.1", port: 15014 },
      trustDomain: "mesh.local",
      store: "sqlite",
      logLevel: "info",
      adminHosts: [],
      jwksAllow: [],
      bundleEndpoint: null,
      bundleEndpointCertificate: "",
      bundleEndpointKey: "",
      bundleRefreshHint: 300_000,
      inMesh: null,
      node: "",
      cluster: null,
      clusterAddress: "",
      takeOver: false,
      presenceGrace: 10_000,
      nodeGrace: 30_000,
      carryOver: false,
      workloadApi: "",
      svidLifetime: 3_600_000,
      jwtSvidLifetime: 300_000,
      caLifetime: 86_400_000,
      upstreamCertificate: "",
      upstreamKey: "",
      upstreamRoots: "",
      keyEncryptionFile: "",
    });
    expect((await settings([], { uid: 0 }))?.data).toBe("/var/lib/weft");
  });

  test("put weft into its mesh at an address that is given, or at that of its other doors", async () => {
    const inMesh = async (...argv: string[]) => (await settings(argv))?.inMesh;
    expect(await inMesh("--in-mesh", "10.0.0.5")).toEqual({ host: "10.0.0.5", port: 15014 });
    expect(await inMesh("--in-mesh", "10.0.0.5:8443")).toEqual({ host: "10.0.0.5", port: 8443 });
    expect(await inMesh("--in-mesh", "--admin-tls", "0.0.0.0:15015", "--ads-tls", "10.0.0.6:15012")).toEqual({
      host: "10.0.0.6",
      port: 15014,
    });
    for (const wrong of ["0.0.0.0", "weft.example", "10.0.0.5:0"]) {
      const { code, err } = await weft(["run", "--in-mesh", wrong], { startServer: async () => 0 });
      expect([code, err]).toEqual([2, expect.stringContaining("--in-mesh must be an IP address of this machine")]);
    }
  });

  test("come from a flag before a variable before the file before the default", async () => {
    const config = join(
      files({ "weft.yaml": "trustDomain: from-file\nstore: 'memory:'\nlogLevel: warn\nadminHosts: [a.example, b.example]\n" }),
      "weft.yaml",
    );
    const env = { WEFT_CONFIG: config, WEFT_TRUST_DOMAIN: "from-env", WEFT_LOG: "debug" };
    expect(await settings(["--trust-domain", "from-flag"], { env })).toMatchObject({
      trustDomain: "from-flag",
      logLevel: "debug",
      store: "memory:",
      adminHosts: ["a.example", "b.example"],
    });
    expect((await settings(["--config", config]))?.logLevel).toBe("warning");
  });

  test("say what keys may be fetched from besides public addresses, in one notation", async () => {
    const config = join(files({ "weft.yaml": "jwksAllow: [10.0.0.0/8, keys.internal]\n" }), "weft.yaml");
    expect((await settings(["--config", config]))?.jwksAllow).toEqual(["10.0.0.0/8", "keys.internal"]);
    expect((await settings(["--jwks-allow", "127.0.0.1, fd00::/8"]))?.jwksAllow).toEqual(["127.0.0.1", "fd00::/8"]);
    const { code, err } = await weft(["run", "--jwks-allow", "10.0.0.0/33"], { startServer: async () => 0 });
    expect([code, err]).toEqual([2, expect.stringContaining("--jwks-allow must be addresses")]);
  });

  test("say how long what the CA signs lives, and where an operator's files are: a path, or a credential of systemd's", async () => {
    const env = { CREDENTIALS_DIRECTORY: "/run/credentials/weft", WEFT_UPSTREAM_KEY: "credential:ca.key" };
    const unset = await settings([]);
    expect(unset && caOf(unset)).toEqual({ lifetimes: DEFAULT_LIFETIMES });
    const flags = ["--svid-lifetime", "30m", "--ca-lifetime", "168h", "--upstream-certificate", "/etc/ca.pem"];
    expect(await settings(flags, { env })).toMatchObject({
      svidLifetime: 1_800_000,
      caLifetime: 604_800_000,
      upstreamCertificate: "/etc/ca.pem",
      upstreamKey: "/run/credentials/weft/ca.key",
    });
    const refused = async (argv: readonly string[], given = {}) => {
      const { code, err } = await weft(["run", ...argv], { env: given, startServer: async () => 0 });
      return [code, err] as const;
    };
    expect(await refused(["--ca-lifetime", "soon"])).toEqual([2, expect.stringContaining("--ca-lifetime must be a duration")]);
    expect(await refused(["--upstream-key", "k.pem"])).toEqual([
      2,
      expect.stringContaining("upstreamCertificate and upstreamKey go together"),
    ]);
    expect(await refused(["--key-encryption-file", "credential:x"])).toEqual([2, expect.stringContaining("credential:NAME")]);
    expect(await refused(["--key-encryption-file", "credential:../x"], env)).toEqual([2, expect.stringContaining("credential:NAME")]);
  });

  test("of the file are read again by reload", async () => {
    const directory = files({ "weft.yaml": "logLevel: info\n" });
    const config = join(directory, "weft.yaml");
    const levels: string[] = [];
    await weft(["run", "--config", config], {
      startServer: async (first, reload) => {
        await Bun.write(config, "logLevel: debug\n");
        levels.push(first.logLevel, (await reload()).logLevel);
        return 0;
      },
    });
    expect(levels).toEqual(["info", "debug"]);
  });

  test("that are unknown are refused with their place and a suggestion, all at once", async () => {
    const config = join(files({ "weft.yaml": "ads: 127.0.0.1:0\ntrustdomian: x\nads_port: 1\nstore: {a: 1}\n" }), "weft.yaml");
    const { code, err } = await weft(["run", "--config", config]);
    expect(code).toBe(2);
    expect(err).toContain(`${config}:2:1: error WF0101: "trustdomian" is no setting: did you mean "trustDomain"?`);
    expect(err).toContain(`${config}:3:1:`);
    expect(err).toContain(`${config}:4:1:`);
  });

  test("that are wrong name the flag, the variable or the line of the file", async () => {
    expect(await weft(["run", "--ads", "nowhere"])).toMatchObject({ code: 2, err: expect.stringContaining("--ads must be ADDRESS:PORT") });
    expect((await weft(["run"], { env: { WEFT_LOG: "loud" } })).err).toContain("WEFT_LOG must be one of trace, debug");
    const config = join(files({ "weft.yaml": "\nadmin: 127.0.0.1\nlogLevel: loud\n" }), "weft.yaml");
    const { err } = await weft(["run", "--config", config]);
    expect(err).toContain(`${config}:2:8:`);
    expect(err).toContain(`${config}:3:11:`);
  });

  test("need the file that was asked for", async () => {
    expect(await weft(["run", "--config", "/nowhere/weft.yaml"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("/nowhere/weft.yaml cannot be read"),
    });
  });

  test("take addresses with IPv6, with a name, and without a host", () => {
    expect(parseHostPort("[::1]:0")).toEqual({ host: "::1", port: 0 });
    expect(parseHostPort("weft.example:15012")).toEqual({ host: "weft.example", port: 15012 });
    expect(parseHostPort(":15010")).toEqual({ host: "127.0.0.1", port: 15010 });
    for (const wrong of ["15010", "a:b", "a:70000", "::1:80", ""]) expect(parseHostPort(wrong)).toBeUndefined();
  });
});
