/** A whole weft with a real Envoy beside it, and the eyes that watch both while somebody attacks. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../../../src/gen/weft/ads/v1/discovery_pb.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { startHttpApp } from "../lab/apps.ts";
import { call } from "../lab/call.ts";
import { openNetwork } from "../lab/network.ts";
import { openProcesses } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";
import { startWeft, type Weft } from "../lab/weft.ts";
import { choosePlace, startSidecar, untilLive, workloadEntryYaml } from "../lab/workload.ts";
import { ALL_DOORS, doorsOf, type Listening } from "./doors.ts";
import { exchange, request } from "./http1.ts";
import { envelope, FLAG, FRAME, frame, Http2Peer } from "./http2.ts";
import type { Door } from "./types.ts";

export const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
export const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/** How long weft may take over a legitimate call, with everything that goes on at the time. */
const SERVING_LIMIT_MS = 10_000;

export interface Siege {
  readonly weft: Weft;
  readonly doors: readonly Door[];
  readonly data: string;
  readonly adminToken: string;
  /** Of default/orders-1 and default/web-1. */
  readonly tokens: { readonly orders: string; readonly web: string };
  token(workload: string, ttl?: string): Promise<string>;
  /** MiB. */
  memory(): { readonly now: number; readonly peak: number };
  /** Forgets the peak until now. */
  forgetPeak(): void;
  /** What does not serve, in words; undefined where all do. */
  broken(): Promise<string | undefined>;
  /** Watches from now on, with a call a tenth of a second. */
  watch(): { stop(): Promise<{ readonly longestMs: number; readonly failed: number; readonly calls: number }> };
  close(): Promise<void>;
}

export function adsHeaders(token: string | undefined, path = DELTA): readonly (readonly [string, string])[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "weft"],
    [":path", path],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...(token === undefined ? [] : [["authorization", `Bearer ${token}`] as const]),
  ];
}

export function deltaRequest(typeUrl: string, names: readonly string[] = [], node = "", metadata: Record<string, string> = {}): Uint8Array {
  return toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: [...names], node: { id: node, metadata } }),
  );
}

/** Opens a stream and returns the DATA that came within `limitMs`; nothing where it was refused. */
export async function ask(
  door: Door,
  headers: readonly (readonly [string, string])[],
  message: Uint8Array,
  limitMs = 5_000,
): Promise<Buffer> {
  const socket = await door.open().catch(() => undefined);
  if (!socket) return Buffer.alloc(0);
  const peer = new Http2Peer(socket);
  try {
    await peer.write(peer.request(1, headers, envelope(message)));
    const until = systemClock.monotonic() + limitMs;
    const length = () => peer.data.get(1)?.length ?? 0;
    while (!peer.closed && !peer.ended.has(1) && length() < 5 && systemClock.monotonic() < until) await Bun.sleep(5);
    // The rest of a message that began.
    const whole = () => length() >= 5 + (peer.data.get(1)?.readUInt32BE(1) ?? 0);
    while (length() >= 5 && !whole() && !peer.closed && systemClock.monotonic() < until) await Bun.sleep(5);
    return peer.data.get(1) ?? Buffer.alloc(0);
  } finally {
    peer.socket.destroy();
  }
}

/** Whether a process without a registration is told so: nobody is registered here. */
async function refuses(door: Door): Promise<boolean> {
  const socket = await door.open().catch(() => undefined);
  if (!socket) return false;
  const peer = new Http2Peer(socket);
  const headers = [...adsHeaders(undefined, "/SpiffeWorkloadAPI/FetchX509SVID"), ["workload.spiffe.io", "true"] as const];
  await peer.write(Buffer.concat([peer.request(1, headers, envelope(new Uint8Array())), frame(FRAME.data, FLAG.endStream, 1)]));
  const until = systemClock.monotonic() + SERVING_LIMIT_MS;
  while (!peer.ended.has(1) && !peer.closed && systemClock.monotonic() < until) await Bun.sleep(5);
  socket.destroy();
  return peer.ended.has(1) && (peer.data.get(1)?.length ?? 0) === 0;
}

export async function openSiege({
  binary,
  envoy,
  root,
}: {
  readonly binary: string | undefined;
  readonly envoy: string;
  readonly root: string;
}): Promise<Siege> {
  const directory = mkdtempSync(join(tmpdir(), "weft-abuse-"));
  mkdirSync(join(directory, "logs"));
  const processes = openProcesses(join(directory, "logs"));
  const network = await openNetwork();
  const data = join(directory, "data");
  const app = startHttpApp({ service: "orders", instance: "orders-1" });
  const close = async () => {
    await processes.stopAll(0);
    await app.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const program = binary ?? fromSource(directory, root);
    const weft = await startWeft({ binary: program, data, processes, runCommand: [program, "run", ...ALL_DOORS] });
    const place = await choosePlace(network, { name: "orders-1", ports: ["http"] });
    const web = await choosePlace(network, { name: "web-1", ports: ["http"] });
    const entries = [
      workloadEntryYaml({ place, labels: { app: "orders" }, serviceAccount: "orders", apps: { http: app } }),
      workloadEntryYaml({ place: web, labels: { app: "web" }, serviceAccount: "web", apps: {} }),
    ];
    await weft.apply([SERVICE, ...entries].join("---\n"));
    const sidecar = startSidecar({ weft, processes, envoy }, place);
    await untilLive(sidecar);
    const listening: Listening = JSON.parse(readFileSync(join(data, "listening.json"), "utf8"));
    const doors = doorsOf(listening);
    const { pid } = weft.process();
    const adminToken = (await weft.cli(["token"])).stdout.trim();
    const token = async (workload: string) => {
      const answer = await weft.api("POST", "/v1/tokens", { text: JSON.stringify({ workload }), type: "application/json" });
      if (answer.status !== 201) throw new Error(`no token for ${workload}: ${answer.status} ${answer.text}`);
      return (answer.json as { token: string }).token;
    };
    const tokens = { orders: await token("orders-1"), web: await token("web-1") };
    const mesh = () => call({ to: place.outbound, host: "orders", limitMs: SERVING_LIMIT_MS });
    await waitFor("the first call", mesh, ({ status }) => status === 200);

    const wrongOf = async (door: Door): Promise<string | undefined> => {
      if (door.speaks === "ads") {
        const data = await ask(door, adsHeaders(tokens.orders), deltaRequest(CLUSTER), SERVING_LIMIT_MS);
        return data.length < 100 ? "gave its workload nothing" : undefined;
      }
      if (door.speaks === "workload") return (await refuses(door)) ? undefined : "does not answer";
      const authorization = `Bearer ${adminToken}`;
      const { status } = await exchange(door, request("GET", "/v1/services", { authorization }), SERVING_LIMIT_MS);
      return status === 200 ? undefined : `answered ${status}`;
    };
    const broken = async (): Promise<string | undefined> => {
      if (!weft.process().running()) return `weft ended:\n${weft.process().tail()}`;
      for (const door of doors) {
        const wrong = await wrongOf(door);
        if (wrong) return `${door.name} ${wrong}`;
      }
      const { status } = await mesh();
      return status === 200 ? undefined : `a call through Envoy got ${status}`;
    };

    return {
      weft,
      doors,
      data,
      adminToken,
      tokens,
      token,
      memory: () => ({ now: field(pid, "VmRSS"), peak: field(pid, "VmHWM") }),
      forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, "5"),
      broken,
      watch() {
        let stopped = false;
        const seen = { longestMs: 0, failed: 0, calls: 0 };
        const loop = async (probe: () => Promise<boolean>, everyMs: number, timed: boolean) => {
          while (!stopped) {
            const began = systemClock.monotonic();
            const ok = await probe().catch(() => false);
            if (timed) seen.longestMs = Math.max(seen.longestMs, systemClock.monotonic() - began);
            seen.calls += 1;
            if (!ok) seen.failed += 1;
            await Bun.sleep(everyMs);
          }
        };
        const alive = async () => (await weft.api("GET", "/livez")).status === 200;
        const loops = [loop(alive, 50, true), loop(async () => (await mesh()).status === 200, 100, false)];
        return {
          async stop() {
            stopped = true;
            await Promise.all(loops);
            return seen;
          },
        };
      },
      close,
    };
  } catch (reason) {
    await close();
    throw reason;
  }
}

const SERVICE = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: orders}}
`;

/** Where there is no build: a command that runs the sources. */
function fromSource(directory: string, root: string): string {
  const path = join(directory, "weft");
  writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${join(root, "src/main.ts")}" "$@"\n`, { mode: 0o700 });
  return path;
}

/** A line of /proc/PID/status, in MiB. */
function field(pid: number, name: string): number {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) return Number.NaN;
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(path, "utf8"))?.[1]) / 1024;
}
