/** One weft and five Envoys, on which generated meshes are played one after the other. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpApp, startHttpApp, startTcpEcho, type TcpApp } from "../../scripts/lib/lab/apps.ts";
import { openNetwork, type SocketAddress } from "../../scripts/lib/lab/network.ts";
import { openProcesses } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { startWeft, type Weft } from "../../scripts/lib/lab/weft.ts";
import { type Place, type Sidecar, sidecarOf, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import type { WhyAnswer, WhyRequest } from "../../src/why/index.ts";
import type { Generated } from "./generate.ts";

interface Actor {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly ports: Readonly<Record<string, number>>;
}

/** Policies name ports, so these stay; each run has addresses of its own. */
const ORDERS_PORTS = { http: 8080, "http-admin": 8081, "tcp-db": 9090 };
const ACTORS: readonly Actor[] = [
  { name: "web-1", namespace: "default", labels: { app: "web" }, serviceAccount: "web", ports: {} },
  { name: "orders-v1", namespace: "default", labels: { app: "orders", version: "v1" }, serviceAccount: "orders", ports: ORDERS_PORTS },
  { name: "orders-v2", namespace: "default", labels: { app: "orders", version: "v2" }, serviceAccount: "orders", ports: ORDERS_PORTS },
  { name: "batch-1", namespace: "ops", labels: { app: "batch" }, serviceAccount: "batch", ports: { http: 8080 } },
  { name: "legacy-1", namespace: "default", labels: { app: "legacy" }, ports: { http: 8080 } },
];

const SERVICES = [
  { name: "orders", namespace: "default", ports: Object.entries(ORDERS_PORTS) },
  { name: "batch", namespace: "ops", ports: [["http", 8080] as const] },
  { name: "legacy", namespace: "default", ports: [["http", 8080] as const] },
];

const TCP_TARGET = "orders.default.mesh.local:9090";
const SETTLE = { limitMs: 20_000, everyMs: 4 };
/** What Envoy has accepted and does not use yet, or has replaced and still uses; Envoy filters, for it has thousands. */
const UNSETTLED = "listener_manager.total_(listeners_warming|listeners_draining|filter_chains_draining)|cluster_manager.warming_clusters";

export interface Arena {
  /** The resources that are always there, YAML. */
  readonly base: string;
  /** "ns/name" by name. */
  readonly keys: ReadonlyMap<string, string>;
  outbound(workload: string): SocketAddress;
  tcpOutbound(workload: string): SocketAddress;
  inbound(workload: string, port: number): SocketAddress;
  /** In place of the mesh before; resolves when every Envoy uses it. @throws Error with weft's words */
  play(mesh: readonly Generated[]): Promise<void>;
  /** What the running weft answers (POST /v1/why). */
  why(request: WhyRequest): Promise<WhyAnswer>;
  close(): Promise<void>;
}

export async function openArena(options: { readonly binary: string; readonly envoy: string }): Promise<Arena> {
  const directory = mkdtempSync(join(tmpdir(), "weft-why-"));
  mkdirSync(join(directory, "logs"));
  const processes = openProcesses(join(directory, "logs"));
  const network = await openNetwork();
  const apps: (HttpApp | TcpApp)[] = [];
  const close = async () => {
    await processes.stopAll(0);
    await Promise.all(apps.map((app) => app.stop()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const weft = await startWeft({ binary: options.binary, data: join(directory, "data"), processes });
    const members = await Promise.all(ACTORS.map(async (actor) => ({ actor, ...(await prepare(actor)) })));
    const base = [...SERVICES.map(serviceYaml), ...members.map(({ yaml }) => yaml)].join("---\n");
    await apply(weft, base);
    const sidecars = await Promise.all(members.map(({ place }) => startEnvoy(weft, place)));
    await Promise.all(sidecars.map((sidecar) => untilLive(sidecar)));
    const placeOf = (name: string): Place => {
      const found = members.find(({ actor }) => actor.name === name)?.place;
      if (!found) throw new Error(`no workload ${name}`);
      return found;
    };
    let before: readonly Generated[] = [];
    return {
      base,
      keys: new Map(ACTORS.map(({ name, namespace }) => [name, `${namespace}/${name}`])),
      outbound: (name) => placeOf(name).outbound,
      tcpOutbound: (name) => ({ address: placeOf(name).address, port: placeOf(name).listen.db ?? 0 }),
      inbound: (name, port) => ({ address: placeOf(name).address, port }),
      async play(mesh) {
        const kept = new Set(mesh.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`));
        for (const { kind, namespace, name } of before) {
          if (!kept.has(`${kind}/${namespace}/${name}`)) await weft.api("DELETE", `/v1/resources/${kind}/${namespace}/${name}`);
        }
        before = mesh;
        await settled(weft, sidecars, await apply(weft, mesh.map(({ text }) => text).join("\n---\n")));
      },
      async why(request) {
        const answer = await weft.api("POST", "/v1/why", { text: JSON.stringify(request), type: "application/json" });
        if (answer.status !== 200) throw new Error(`POST /v1/why answered ${answer.status}: ${answer.text}`);
        return answer.json as WhyAnswer;
      },
      close,
    };

    async function prepare({ name, namespace, labels, serviceAccount, ports }: Actor) {
      const address = network.nextAddress();
      const free = async () => network.freePort(address);
      const place: Place = {
        name,
        namespace,
        address,
        ports,
        outbound: { address, port: await free() },
        envoyAdmin: { address, port: await free() },
        listen: { db: await free() },
      };
      const http = startHttpApp({ service: labels.app ?? "", version: labels.version, instance: name });
      const tcp = startTcpEcho(name);
      apps.push(http, tcp);
      const listens = Object.fromEntries(Object.keys(ports).map((port) => [port, port.startsWith("tcp") ? tcp : http]));
      return { place, yaml: workloadEntryYaml({ place, labels, serviceAccount, apps: listens, listenFor: { db: TCP_TARGET } }) };
    }

    /** Without a time to drain, so that no pooled connection carries one mesh's verdict into the next. */
    async function startEnvoy(weft: Weft, place: Place): Promise<Sidecar> {
      const text = JSON.stringify({ workload: `${place.namespace}/${place.name}` });
      const answer = await weft.api("POST", "/v1/bootstrap", { text, type: "application/json" });
      const file = join(directory, `${place.name}.json`);
      writeFileSync(file, answer.text, { mode: 0o600 });
      const command = [options.envoy, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"];
      return sidecarOf(place, processes.start(`envoy-${place.name}`, [...command, "--drain-time-s", "0", "--drain-strategy", "immediate"]));
    }
  } catch (reason) {
    await close();
    throw reason;
  }
}

async function apply(weft: Weft, text: string): Promise<number> {
  const answer = await weft.api("POST", "/v1/apply", { text, type: "application/yaml" });
  const applied = answer.json as { readonly revision?: number } | undefined;
  if (answer.status !== 200 || applied?.revision === undefined) throw new Error(`weft refused the mesh (${answer.status}): ${answer.text}`);
  return applied.revision;
}

interface Convergence {
  readonly acked: readonly string[];
  readonly nacked: readonly unknown[];
  readonly pending: readonly string[];
}

async function settled(weft: Weft, sidecars: readonly Sidecar[], revision: number): Promise<void> {
  const { nacked } = await waitFor(
    `every proxy to have revision ${revision}`,
    async () => (await weft.api("GET", `/v1/convergence?revision=${revision}`)).json as Convergence,
    (state) => state.nacked.length > 0 || (state.pending.length === 0 && state.acked.length >= sidecars.length),
    SETTLE,
  );
  if (nacked.length > 0) throw new Error(`Envoy refused the mesh: ${JSON.stringify(nacked)}`);
  for (const sidecar of sidecars) {
    const isQuiet = (text: string) => text.split("\n").every((line) => line === "" || line.endsWith(": 0"));
    const gauges = () => sidecar.admin(`/stats?filter=${encodeURIComponent(`^(${UNSETTLED})$`)}`);
    await waitFor(`the Envoy of ${sidecar.place.name} to settle`, gauges, isQuiet, SETTLE);
  }
}

function serviceYaml({ name, namespace, ports }: (typeof SERVICES)[number]): string {
  const list = ports.map(([port, number]) => ({ number, name: port, protocol: port.startsWith("tcp") ? "TCP" : "HTTP" }));
  const spec = {
    hosts: [`${name}.${namespace}.mesh.local`],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: list,
    workloadSelector: { labels: { app: name } },
  };
  const metadata = { name, namespace, creationTimestamp: "2026-01-01T00:00:00Z" };
  return `${JSON.stringify({ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry", metadata, spec })}\n`;
}
