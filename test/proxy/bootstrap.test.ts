import { describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BootstrapOptions, envoyBootstrap } from "../../src/proxy/bootstrap.ts";
import { envoyFor } from "../skip.ts";
import { waitFor } from "./harness.ts";

const realEnvoy = envoyFor("bootstraps in a real Envoy");

const OPTIONS: BootstrapOptions = {
  workload: { namespace: "default", name: "orders" },
  token: "secret",
  ads: { host: "127.0.0.1", port: 15010 },
};

describe("A bootstrap", () => {
  test("carries the token once, and only as ADS' authorization.", () => {
    const text = JSON.stringify(envoyBootstrap(OPTIONS));
    expect(text.split("secret").length).toBe(2);
    expect(text).toContain('"initial_metadata":[{"key":"authorization","value":"Bearer secret"}]');
  });

  test("is the same, byte for byte, for the same options.", () => {
    expect(JSON.stringify(envoyBootstrap(OPTIONS))).toBe(JSON.stringify(envoyBootstrap(structuredClone(OPTIONS))));
  });

  test("opens Envoy's admin port on loopback only, at a port that the system chooses.", () => {
    expect(envoyBootstrap(OPTIONS)).toMatchObject({ admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } } });
    const envoyAdmin = { address: "127.0.0.2", port: 9901 };
    expect(envoyBootstrap({ ...OPTIONS, envoyAdmin })).toMatchObject({
      admin: { address: { socket_address: { address: "127.0.0.2", port_value: 9901 } } },
    });
  });

  test.each([
    ["127.0.0.1", "STATIC"],
    ["::1", "STATIC"],
    ["weft.example", "STRICT_DNS"],
    ["localhost", "STRICT_DNS"],
  ])("reaches a weft at %s by a cluster of type %s.", (host, type) => {
    const bootstrap = envoyBootstrap({ ...OPTIONS, ads: { host, port: 15010 } });
    expect(bootstrap).toMatchObject({ static_resources: { clusters: [{ name: "xds_cluster", type }] } });
  });

  const variants: [what: string, change: Partial<BootstrapOptions>][] = [
    ["delta over TCP", {}],
    ["state of the world over TCP", { protocol: "sotw" }],
    ["a Unix socket", { ads: { path: "/run/weft/ads.sock" } }],
    ["a DNS name", { ads: { host: "weft.example", port: 15010 } }],
  ];
  test.skipIf(!realEnvoy).each(variants)("for %s is accepted by Envoy without a warning.", async (_, change) => {
    await withBootstrap({ ...OPTIONS, ...change }, (file) => {
      const run = Bun.spawnSync([realEnvoy ?? "", "--mode", "validate", "-l", "warn", "--disable-hot-restart", "-c", file]);
      expect({ exit: run.exitCode, stderr: run.stderr.toString() }).toEqual({ exit: 0, stderr: "" });
    });
  });

  test.skipIf(!realEnvoy).each([
    ["delta", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"],
    ["sotw", "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"],
  ] as const)("makes Envoy open a %s stream to weft with its token, by TCP and by Unix socket.", async (protocol, path) => {
    for (const transport of ["tcp", "unix"] as const) {
      await withAds(transport, async (ads, seen) => {
        await withBootstrap({ ...OPTIONS, protocol, ads }, async (file) => {
          const envoy = Bun.spawn([realEnvoy ?? "", "-l", "off", "--disable-hot-restart", "-c", file], {
            stdio: ["ignore", "ignore", "ignore"],
          });
          try {
            const headers = await waitFor("Envoy opens a stream", () => seen[0]);
            expect([headers[":path"], headers.authorization]).toEqual([path, "Bearer secret"]);
          } finally {
            envoy.kill("SIGKILL");
            await envoy.exited;
          }
        });
      });
    }
  });
});

async function withBootstrap(options: BootstrapOptions, body: (file: string) => void | Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    const file = join(dir, "bootstrap.json");
    await writeFile(file, JSON.stringify(envoyBootstrap(options)), { mode: 0o600 });
    expect(await readFile(file, "utf8")).toStartWith("{");
    await body(file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A server that keeps the headers of the streams that reach it, and answers none. */
async function withAds(
  transport: "tcp" | "unix",
  body: (ads: BootstrapOptions["ads"], seen: readonly IncomingHttpHeaders[]) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    seen.push(headers);
  });
  const path = join(dir, "ads.sock");
  try {
    await new Promise<void>((resolve) => (transport === "unix" ? server.listen(path, resolve) : server.listen(0, "127.0.0.1", resolve)));
    await body(transport === "unix" ? { path } : { host: "127.0.0.1", port: (server.address() as AddressInfo).port }, seen);
  } finally {
    server.close();
    await rm(dir, { recursive: true, force: true });
  }
}
