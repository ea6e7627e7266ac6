/** The supervisor with a real Envoy under it. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { envoyBootstrap } from "../../src/proxy/bootstrap.ts";
import { type SuperviseOptions, superviseEnvoy } from "../../src/proxy/supervise.ts";
import { envoyFor } from "../skip.ts";
import { FakeSignals, isRunning, listenerPort, liveAdmin, waitFor } from "./harness.ts";

const realEnvoy = envoyFor("the supervisor with a real Envoy");

/** weft's bootstrap, but with a listener of its own instead of a weft to ask: it forwards to `upstreamPort`. */
function standalone(upstreamPort: number): Record<string, unknown> {
  const { dynamic_resources: _, ...rest } = envoyBootstrap({
    workload: { namespace: "default", name: "orders" },
    token: "secret",
    ads: { host: "127.0.0.1", port: 1 },
  });
  const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  const route = { match: { prefix: "/" }, route: { cluster: "app", timeout: "0s" } };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "inbound",
    route_config: { virtual_hosts: [{ name: "app", domains: ["*"], routes: [route] }] },
    http_filters: [{ name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
  };
  return {
    ...rest,
    static_resources: {
      listeners: [{ name: "inbound", address: address(0), filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }] }],
      clusters: [
        {
          name: "app",
          type: "STATIC",
          load_assignment: { cluster_name: "app", endpoints: [{ lb_endpoints: [{ endpoint: { address: address(upstreamPort) } }] }] },
        },
      ],
    },
  };
}

/** An application whose answers the test gives by hand. */
async function withApplication(body: (port: number, waiting: readonly ServerResponse[]) => Promise<void>): Promise<void> {
  const waiting: ServerResponse[] = [];
  const server = createServer((_, response) => waiting.push(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as AddressInfo).port, waiting);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

interface Run {
  readonly runs: { readonly pid: number; readonly adminAddressFile: string }[];
  readonly lines: string[];
  readonly signals: FakeSignals;
  readonly done: Promise<void>;
}

async function withEnvoy(upstreamPort: number, change: Partial<SuperviseOptions>, body: (run: Run) => Promise<void>): Promise<void> {
  const runs: Run["runs"] = [];
  const lines: string[] = [];
  const signals = new FakeSignals();
  const done = superviseEnvoy({
    envoyPath: realEnvoy ?? "",
    bootstrap: async () => standalone(upstreamPort),
    args: ["-l", "warn", "--concurrency", "1"],
    clock: systemClock,
    signals,
    log: (level, message) => lines.push(`${level}: ${message}`),
    onStart: (run) => runs.push(run),
    ...change,
  });
  try {
    await body({ runs, lines, signals, done });
  } finally {
    signals.send("SIGTERM");
    signals.send("SIGTERM");
    await done;
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly connection: string | undefined;
}

function get(port: number, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path: "/", agent }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, connection: response.headers.connection }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

test.skipIf(!realEnvoy)("SIGTERM lets a request in flight end, tells its client to leave, and then ends Envoy.", () =>
  withApplication((appPort, waiting) =>
    withEnvoy(appPort, {}, async ({ runs, lines, signals, done }) => {
      const run = await waitFor("Envoy runs", () => runs[0]);
      const port = await listenerPort(await liveAdmin(run.adminAddressFile));
      const agent = new Agent({ keepAlive: true });
      const answer = get(port, agent);
      const response = await waitFor("the request reaches the application", () => waiting[0]);
      signals.send("SIGTERM");
      await waitFor("draining begins", () => lines.some((line) => line.includes("draining Envoy")));
      // While it drains, calls that are already on their way here are still served.
      const late = get(port);
      (await waitFor("a late request reaches the application", () => waiting[1])).end("late");
      expect(await late).toMatchObject({ status: 200, text: "late" });
      expect(isRunning(run.pid)).toBe(true);
      response.end("in time");
      expect(await answer).toEqual({ status: 200, text: "in time", connection: "close" });
      await done;
      agent.destroy();
      expect(isRunning(run.pid)).toBe(false);
      expect(runs.length).toBe(1);
      expect(lines.filter((line) => line.startsWith("warn"))).toEqual([]);
    }),
  ),
);

test.skipIf(!realEnvoy)("An idle keep-alive connection does not hold the end up.", () =>
  withApplication((appPort, waiting) =>
    withEnvoy(appPort, {}, async ({ runs, signals, done }) => {
      const run = await waitFor("Envoy runs", () => runs[0]);
      const port = await listenerPort(await liveAdmin(run.adminAddressFile));
      const agent = new Agent({ keepAlive: true });
      const answer = get(port, agent);
      (await waitFor("the request reaches the application", () => waiting[0])).end("done");
      expect((await answer).status).toBe(200);
      const asked = performance.now();
      signals.send("SIGTERM");
      await done;
      expect(performance.now() - asked).toBeLessThan(10_000);
      agent.destroy();
    }),
  ),
);

test.skipIf(!realEnvoy)("A request that outlasts the limit is cut off, and the log says so.", () =>
  withApplication((appPort, waiting) =>
    withEnvoy(appPort, { drainLimitMs: 300 }, async ({ runs, lines, signals, done }) => {
      const run = await waitFor("Envoy runs", () => runs[0]);
      const port = await listenerPort(await liveAdmin(run.adminAddressFile));
      const outcome = get(port).then(
        (answer) => answer.status,
        () => "cut off",
      );
      await waitFor("the request reaches the application", () => waiting[0]);
      signals.send("SIGTERM");
      await done;
      expect(await outcome).toBe("cut off");
      expect(lines.at(-1)).toBe("warn: 1 requests or connections were still open after 0.3 s, and are cut off");
    }),
  ),
);

test.skipIf(!realEnvoy)("A second signal ends Envoy at once.", () =>
  withApplication((appPort, waiting) =>
    withEnvoy(appPort, { drainLimitMs: 60_000 }, async ({ runs, lines, signals, done }) => {
      const run = await waitFor("Envoy runs", () => runs[0]);
      const outcome = get(await listenerPort(await liveAdmin(run.adminAddressFile))).catch(() => "cut off");
      await waitFor("the request reaches the application", () => waiting[0]);
      signals.send("SIGINT");
      await waitFor("draining begins", () => lines.some((line) => line.includes("draining Envoy")));
      signals.send("SIGINT");
      await done;
      expect(await outcome).toBe("cut off");
    }),
  ),
);

test.skipIf(!realEnvoy)("An Envoy that was killed is back, and serves, without anybody's help.", () =>
  withApplication((appPort, waiting) =>
    withEnvoy(appPort, {}, async ({ runs, lines }) => {
      const first = await waitFor("Envoy runs", () => runs[0]);
      await liveAdmin(first.adminAddressFile);
      process.kill(first.pid, "SIGKILL");
      const second = await waitFor("Envoy runs again", () => runs[1]);
      expect(second.pid).not.toBe(first.pid);
      const answer = get(await listenerPort(await liveAdmin(second.adminAddressFile)));
      (await waitFor("the request reaches the application", () => waiting[0])).end("back");
      expect(await answer).toMatchObject({ status: 200, text: "back" });
      expect(lines).toEqual(["warn: Envoy was ended by SIGKILL; starting it again in 0.25 s"]);
    }),
  ),
);

test.skipIf(!realEnvoy)("Several Envoys run side by side.", () =>
  withEnvoy(1, {}, (one) =>
    withEnvoy(1, {}, async (two) => {
      const addresses = await Promise.all(
        [one, two].map(async ({ runs }) => await liveAdmin((await waitFor("Envoy runs", () => runs[0])).adminAddressFile)),
      );
      expect(new Set(addresses).size).toBe(2);
    }),
  ),
);

test.skipIf(!realEnvoy)("Envoy does not outlive a supervisor that is killed; its log goes to the supervisor's stderr.", async () => {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    await writeFile(join(dir, "bootstrap.json"), JSON.stringify(standalone(1)));
    const script = join(import.meta.dir, "supervised.ts");
    const log = join(dir, "stderr");
    const supervisor = Bun.spawn([process.execPath, script, realEnvoy ?? "", join(dir, "bootstrap.json")], {
      stdio: ["ignore", Bun.file(join(dir, "stdout")), Bun.file(log)],
    });
    const runs = async () => (await readFile(join(dir, "stdout"), "utf8").catch(() => "")).trim().split("\n").filter(Boolean);
    const first = JSON.parse(await waitFor("Envoy runs", async () => (await runs())[0]));
    await liveAdmin(first.adminAddressFile);
    // After a crash too: the second watcher must not keep the first one's, or its own, pipe open.
    process.kill(first.pid, "SIGKILL");
    const second = JSON.parse(await waitFor("Envoy runs again", async () => (await runs())[1]));
    await liveAdmin(second.adminAddressFile);
    expect(isRunning(second.pid)).toBe(true);
    supervisor.kill("SIGKILL");
    await supervisor.exited;
    await waitFor("Envoy ends too", () => !isRunning(second.pid));
    expect(await readFile(log, "utf8")).toContain("starting main dispatch loop");
    await waitFor("the bootstrap, with its token, is gone", () => !existsSync(join(second.adminAddressFile, "..")));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
