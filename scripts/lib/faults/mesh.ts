/** What faults are made in: three nodes on one store, the first an authority, and beside each an orders with a real Envoy, which calls the others' all the time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startHttpApp } from "../lab/apps.ts";
import { type Answer, call } from "../lab/call.ts";
import { joinMesh } from "../lab/join.ts";
import { formatAddress } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { type Stream, startStream } from "../lab/stream.ts";
import { waitFor } from "../lab/wait.ts";
import { startWeft, type Weft } from "../lab/weft.ts";
import { type Place, type Sidecar, sidecarOf, untilLive, workloadEntryYaml } from "../lab/workload.ts";
import type { Host, Hosts } from "./hosts.ts";
import { releaseOf, type Sighting } from "./record.ts";
import { type FaultStore, type StoreKind, startEtcd, startRedis } from "./store.ts";

export interface FaultNode {
  readonly name: string;
  readonly host: Host;
  readonly weft: Weft;
  readonly sidecar: Sidecar;
  /** Starts it again after it has ended, with this in its environment from now on. */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
}

export interface FaultMesh {
  readonly store: FaultStore;
  /** The first is the authority. */
  readonly nodes: readonly FaultNode[];
  readonly calls: Stream;
  /** What callers and Envoys were seen to have in force. */
  readonly sightings: Sighting[];
  stop(): Promise<void>;
}

export interface MeshOptions {
  readonly kind: StoreKind;
  readonly binary: string;
  readonly envoy: string;
  readonly engine: string;
  readonly hosts: Hosts;
  readonly processes: Processes;
}

const NODE_DISK_MB = 192;
/** A call that is not answered by then has failed: longer than any pause that a mesh at rest makes. */
const CALL_LIMIT_MS = 5_000;
const CALL_PAUSE_MS = 30;
const SERVICES = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: orders, namespace: default }
spec:
  hosts: [orders.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: orders } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";

export async function startMesh(options: MeshOptions): Promise<FaultMesh> {
  const { kind, hosts, processes, binary, envoy } = options;
  const store = await (kind === "etcd" ? startEtcd : startRedis)({ binary: options.engine, hosts, processes });
  await store.ready();
  const started: { host: Host; weft: Weft; env: Record<string, string> }[] = [];
  for (const name of ["node-1", "node-2", "node-3"]) {
    const host = await hosts.add(`${kind}-${name}`, NODE_DISK_MB);
    const data = join(host.directory, "data");
    const rpc = { address: host.address, port: await host.port(host.address) };
    const [authority] = started;
    if (authority) await joinMesh(authority.weft, { binary, data, node: name });
    const env: Record<string, string> = {};
    const weft = await startWeft({
      binary,
      data,
      processes,
      env,
      runCommand: host.on([binary, "run"]),
      ads: { address: host.loopback, port: await host.port(host.loopback) },
      name: `${kind}-${name}`,
      flags: ["--node", name, "--store", store.url, ...(authority ? [] : ["--cluster", formatAddress(rpc)])],
    });
    started.push({ host, weft, env });
  }
  const [first] = started;
  if (!first) throw new Error("no node");

  const workloads = await Promise.all(
    started.map(async ({ host }, index) => {
      const name = `orders-${index + 1}`;
      const app = startHttpApp({ service: "orders", instance: name, address: hosts.here });
      const place = await placeOn(host, name);
      const yaml = workloadEntryYaml({
        place,
        node: `node-${index + 1}`,
        labels: { app: "orders" },
        serviceAccount: "orders",
        apps: { http: app },
      });
      return { app, place, yaml };
    }),
  );
  const file = join(first.host.directory, "mesh.yaml");
  writeFileSync(file, [SERVICES, ...workloads.map(({ yaml }) => yaml)].join("---\n"));
  await first.weft.apply("", file);

  const nodes: FaultNode[] = [];
  for (const [index, { host, weft, env }] of started.entries()) {
    const workload = workloads[index];
    if (!workload) throw new Error("a node without a workload");
    const { place } = workload;
    await waitFor(
      `${place.name} to arrive at its node`,
      () => weft.api("GET", `/v1/resources/WorkloadEntry/default/${place.name}`),
      ({ status }) => status === 200,
    );
    const command = [binary, "proxy", "run", `default/${place.name}`, "--data", weft.data, "--", "--concurrency", "1"];
    const sidecar = sidecarOf(place, processes.start(`${kind}-${place.name}`, host.on(command), { env: { WEFT_ENVOY: envoy } }));
    const restart = async (more: Readonly<Record<string, string>> = {}) => {
      Object.assign(env, more);
      await weft.start();
    };
    nodes.push({ name: `node-${index + 1}`, host, weft, sidecar, restart });
  }
  await Promise.all(nodes.map(({ sidecar }) => untilLive(sidecar, 40_000)));
  for (const { sidecar } of nodes)
    for (const { place } of workloads)
      await waitFor(
        `${sidecar.place.name} to reach ${place.name}`,
        () => callFrom(sidecar.place),
        ({ echo }) => echo?.instance === place.name,
      );

  const sightings: Sighting[] = [];
  const callers = nodes.map(({ sidecar: { place } }) =>
    startStream({
      make: () => ({ to: place.outbound, host: "orders", limitMs: CALL_LIMIT_MS }),
      judge: (answer) => {
        const release = answer.headers["x-release"];
        if (release !== undefined) sightings.push({ who: `a call from ${place.name}`, release });
        return judge(place.name, answer);
      },
      width: 1,
      pauseMs: CALL_PAUSE_MS,
    }),
  );
  return {
    store,
    nodes,
    sightings,
    calls: together(callers),
    async stop() {
      await Promise.all(callers.map((caller) => caller.stop()));
      await Promise.all(workloads.map(({ app }) => app.stop()));
    },
  };
}

/** What the Envoy of `node` has in its routes now. */
export async function seenIn({ sidecar }: FaultNode): Promise<Sighting> {
  return {
    who: `the Envoy of ${sidecar.place.name}`,
    release: releaseOf(await sidecar.admin("/config_dump?resource=dynamic_route_configs")),
  };
}

const callFrom = (place: Place): Promise<Answer> => call({ to: place.outbound, host: "orders", limitMs: CALL_LIMIT_MS });

function judge(caller: string, { status, error, text, echo }: Answer): string | undefined {
  if (status !== 200) return `${caller}: status ${status} ${error ?? text}`.trim();
  const peer = echo?.headers["x-forwarded-client-cert"] ?? "";
  return peer.includes(`URI=${ORDERS}`) ? undefined : `${caller}: without mutual TLS`;
}

async function placeOn(host: Host, name: string): Promise<Place> {
  const at = async (address: string) => ({ address, port: await host.port(address) });
  return {
    name,
    namespace: "default",
    address: host.data,
    ports: { http: await host.port(host.data) },
    outbound: await at(host.data),
    envoyAdmin: await at(host.data),
    listen: {},
  };
}

/** Several streams as one. */
function together(streams: readonly Stream[]): Stream {
  const marks: (readonly number[])[] = [];
  return {
    mark: () => marks.push(streams.map((stream) => stream.mark())) - 1,
    since(mark) {
      const at = mark === undefined ? [] : (marks[mark] ?? []);
      const stretches = streams.map((stream, index) => stream.since(at[index]));
      const instances: Record<string, number> = {};
      for (const stretch of stretches)
        for (const [name, count] of Object.entries(stretch.instances)) instances[name] = (instances[name] ?? 0) + count;
      return {
        calls: stretches.reduce((sum, { calls }) => sum + calls, 0),
        failures: stretches.flatMap(({ failures }) => failures),
        instances,
        slowestMs: Math.max(...stretches.map(({ slowestMs }) => slowestMs)),
      };
    },
    async stop() {
      await Promise.all(streams.map((stream) => stream.stop()));
    },
  };
}
