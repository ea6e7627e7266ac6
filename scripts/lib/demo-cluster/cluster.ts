/** The demo's mesh: three nodes that share one store, with an orders beside each, a shop beside the first, and a stream of calls from one to the others. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import { type HttpApp, startHttpApp } from "../lab/apps.ts";
import { type Answer, call } from "../lab/call.ts";
import { oneRedis, type StoreEngine, threeEtcdMembers } from "../lab/engines.ts";
import { type Network, openNetwork } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { type Stream, startStream } from "../lab/stream.ts";
import { render } from "../lab/template.ts";
import { waitFor } from "../lab/wait.ts";
import type { CliResult, Weft } from "../lab/weft.ts";
import { choosePlace, type Place, type Sidecar, startSidecar, untilLive, workloadEntryYaml } from "../lab/workload.ts";
import { type Node, startNodes } from "./nodes.ts";

/** In the order of their nodes; the shop is on the first. */
const WORKLOADS = [
  { name: "shop-1", node: "node-1", service: "shop" },
  { name: "orders-1", node: "node-1", service: "orders" },
  { name: "orders-2", node: "node-2", service: "orders" },
  { name: "orders-3", node: "node-3", service: "orders" },
] as const;
export const SHOP = "spiffe://mesh.local/ns/default/sa/shop";

export interface Member {
  readonly name: string;
  readonly node: Node;
  readonly place: Place;
  readonly app: HttpApp;
  sidecar: Sidecar;
}

export interface Cluster {
  readonly engine: StoreEngine;
  /** node-1, the authority, node-2 and node-3. */
  readonly nodes: readonly [Node, Node, Node];
  readonly members: readonly Member[];
  readonly shop: Member;
  /** From the shop to all orders, from before the first claim to after the last. */
  readonly stream: Stream;
  readonly meshDirectory: string;
  /** `weft apply` at `node` of a release that no call before this one named. */
  release(node: Node): Promise<Release>;
  /** Ends its Envoy in order, and starts another one. */
  restart(member: Member): Promise<void>;
  /** Ends the stream and the applications. What runs as a process is its opener's to end. */
  stop(): Promise<void>;
}

export interface Release {
  readonly name: string;
  readonly applied: Pick<CliResult, "code" | "stdout" | "stderr">;
  /** When `weft apply` was called, and when it was done: on the monotonic clock, milliseconds. */
  readonly began: number;
  readonly done: number;
}

export interface ClusterOptions {
  /** The executable of each node, and of the proxies beside it. */
  readonly binaries: readonly [string, string, string];
  readonly envoy: string;
  readonly engine: { readonly kind: "etcd" | "redis"; readonly binary: string };
  readonly directory: string;
  readonly processes: Processes;
  readonly progress: (message: string) => void;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { binaries, envoy, directory, processes, progress } = options;
  const network = await openNetwork();
  const open = options.engine.kind === "etcd" ? threeEtcdMembers : oneRedis;
  const engine = await open({ binary: options.engine.binary, directory, network, processes });
  progress(`starting ${engine.name}`);
  await engine.start();
  progress("starting a node, and two that join it");
  const nodes = await startNodes({ binaries, directory, network, processes, store: engine.url });

  const meshDirectory = join(directory, "mesh");
  mkdirSync(meshDirectory);
  const places = await Promise.all(WORKLOADS.map((workload) => settle(network, workload)));
  writeFileSync(join(meshDirectory, "services.yaml"), template("services.yaml"));
  writeFileSync(join(meshDirectory, "workloads.yaml"), places.map(({ yaml }) => yaml).join("---\n"));
  progress("applying the mesh at node-1");
  for (const file of ["services.yaml", "workloads.yaml"]) await nodes[0].weft.apply("", join(meshDirectory, file));

  progress(`starting ${places.length} Envoys, each beside its node`);
  const start = (place: Place, { weft }: { readonly weft: Weft }) => startSidecar({ weft, processes, envoy }, place);
  const members: Member[] = [];
  for (const { name, node: on, place, app } of places) {
    const node = nodes.find(({ name }) => name === on);
    if (!node) throw new Error(`no node ${on}`);
    await waitFor(
      `${name} to arrive at ${on}`,
      () => node.weft.api("GET", `/v1/resources/WorkloadEntry/default/${name}`),
      ({ status }) => status === 200,
    );
    members.push({ name, node, place, app, sidecar: start(place, node) });
  }
  await Promise.all(members.map(({ sidecar }) => untilLive(sidecar)));

  let releases = 0;
  const [shop] = members;
  if (!shop) throw new Error("no shop");
  const release: Cluster["release"] = async ({ weft }) => {
    releases += 1;
    const name = `r${releases}`;
    const file = join(meshDirectory, "release.yaml");
    writeFileSync(file, render(template("release.yaml"), { RELEASE: name }));
    const began = systemClock.monotonic();
    const applied = await weft.cli(["apply", "-f", file]);
    return { name, applied, began, done: systemClock.monotonic() };
  };
  for (const member of members) {
    await waitFor(
      `${member.name} to be called`,
      () => callFrom(shop),
      ({ echo }) => member === shop || echo?.instance === member.name,
    );
  }
  const stream = startStream({ make: () => ({ to: shop.place.outbound, host: "orders" }), judge, width: 2, pauseMs: 15 });
  return {
    engine,
    nodes,
    members,
    shop,
    stream,
    meshDirectory,
    release,
    async restart(member) {
      await member.sidecar.process.stop();
      member.sidecar = start(member.place, member.node);
      await untilLive(member.sidecar);
    },
    async stop() {
      await stream.stop();
      await Promise.all(members.map(({ app }) => app.stop()));
    },
  };
}

/** A call of orders by the application of `member`, through its Envoy. */
export const callFrom = (member: Member): Promise<Answer> => call({ to: member.place.outbound, host: "orders" });

/** Why an answer is none that the shop may get. */
export function judge({ status, error, text, echo }: Answer): string | undefined {
  if (status !== 200) return `status ${status} ${error ?? text}`.trim();
  const peer = echo?.headers["x-forwarded-client-cert"] ?? "";
  return peer.includes(`URI=${SHOP}`) ? undefined : "without mutual TLS";
}

async function settle(network: Network, { name, node, service }: (typeof WORKLOADS)[number]) {
  const app = startHttpApp({ service, instance: name });
  const place = await choosePlace(network, { name, ports: ["http"] });
  const yaml = workloadEntryYaml({ place, node, labels: { app: service }, serviceAccount: service, apps: { http: app } });
  return { name, node, app, place, yaml };
}

function template(name: string): string {
  return readFileSync(join(import.meta.dir, "mesh", name), "utf8");
}
