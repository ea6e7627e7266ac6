/**
 * How long a change takes from the store's revision to the encoded bytes of every proxy, by the size of the mesh: the reconciler's build, and the
 * snapshots of the connected proxies. No network, no disk. Run: bun scripts/lib/bench-rebuild.ts [--services 100,1000,10000] [--proxies 1000]
 * [--rounds 7] [--change "one address"]; prints a table of milliseconds of processor time, medians.
 */
import { parseArgs } from "node:util";
import { changedNames } from "../../src/ads/diff.ts";
import { ProxyFeeds } from "../../src/control/feeds.ts";
import { Reconciler } from "../../src/control/reconciler.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { EncodedResource, ProxySnapshot } from "../../src/lib/encoded.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { openMemoryStore, type Put } from "../../src/store/index.ts";

const NAMESPACES = 10;
const INSTANCES = 5;

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "100,1000,10000" },
    proxies: { type: "string", default: "1000" },
    rounds: { type: "string", default: "7" },
    change: { type: "string", default: "" },
  },
});

const group = (kind: string) =>
  ["PeerAuthentication", "AuthorizationPolicy"].includes(kind) ? "security.istio.io/v1" : "networking.istio.io/v1";

function put(kind: string, namespace: string, name: string, spec: object): Put {
  const document = { apiVersion: group(kind), kind, metadata: { name, namespace }, spec };
  return { kind, namespace, name, document, source: { file: "bench.yaml", lines: { "": 1 } } };
}

const namespaceOf = (service: number) => `ns-${service % NAMESPACES}`;

function workloadEntry(service: number, instance: number, last = instance): Put {
  const app = `svc-${service}`;
  return put("WorkloadEntry", namespaceOf(service), `${app}-${instance}`, {
    address: `10.${(service >> 8) & 255}.${service & 255}.${last + 1}`,
    labels: { app, version: instance % 2 === 0 ? "v1" : "v2" },
    serviceAccount: app,
  });
}

function virtualService(service: number, timeout = "5s"): Put {
  const app = `svc-${service}`;
  return put("VirtualService", namespaceOf(service), app, {
    hosts: [app],
    http: [
      { match: [{ uri: { prefix: "/v2" } }], route: [{ destination: { host: app, subset: "v2" } }], timeout },
      { route: [{ destination: { host: app, subset: "v1" } }], retries: { attempts: 3 } },
    ],
  });
}

function authorizationPolicy(service: number, method = "GET"): Put {
  const app = `svc-${service}`;
  return put("AuthorizationPolicy", namespaceOf(service), app, {
    selector: { matchLabels: { app } },
    action: "ALLOW",
    rules: [{ from: [{ source: { namespaces: [namespaceOf(service)] } }], to: [{ operation: { methods: [method] } }] }],
  });
}

function destinationRule(service: number, connections = 100): Put {
  const app = `svc-${service}`;
  const subsets = ["v1", "v2"].map((name) => ({ name, labels: { version: name } }));
  return put("DestinationRule", namespaceOf(service), app, {
    host: app,
    trafficPolicy: { connectionPool: { tcp: { maxConnections: connections } } },
    subsets,
  });
}

function serviceEntry(service: number): Put {
  const app = `svc-${service}`;
  return put("ServiceEntry", namespaceOf(service), app, {
    hosts: [app],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
    workloadSelector: { labels: { app } },
  });
}

const peerAuthentication = (mode: string) => put("PeerAuthentication", "weft-system", "default", { mtls: { mode } });

function all(services: number): Put[] {
  const made = Array.from({ length: services }, (_, service) => [
    serviceEntry(service),
    destinationRule(service),
    virtualService(service),
    authorizationPolicy(service),
    ...Array.from({ length: INSTANCES }, (_, instance) => workloadEntry(service, instance)),
  ]);
  return [peerAuthentication("STRICT"), ...made.flat()];
}

type Change = (round: number, services: number) => Put;

const CHANGES: Readonly<Record<string, Change>> = {
  "one address": (round) => workloadEntry(7, 1, 100 + (round % 100)),
  "one new workload": (round) => workloadEntry(7, 10 + round, 100),
  "one VirtualService": (round) => virtualService(7, `${round + 10}s`),
  "one AuthorizationPolicy": (round) => authorizationPolicy(7, round % 2 === 0 ? "POST" : "PUT"),
  "one DestinationRule": (round) => destinationRule(7, 200 + round),
  "mesh-wide PeerAuthentication": (round) => peerAuthentication(round % 2 === 0 ? "PERMISSIVE" : "STRICT"),
};

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
/** Processor time: what else runs on the machine does not count. */
const clock: Clock = { ...systemClock, monotonic: () => (process.cpuUsage().user + process.cpuUsage().system) / 1000 };

interface Timed {
  readonly build: number[];
  readonly snapshots: number[];
  readonly diffs: number[];
  changed: number;
}

async function measure(services: number, proxies: number, rounds: number): Promise<void> {
  const store = openMemoryStore({ clock });
  const puts = all(services);
  for (let at = 0; at < puts.length; at += 500) await store.apply({ puts: puts.slice(at, at + 500), deletes: [], who: "bench" });
  const secrets: EncodedResource[] = [];
  const feeds = new ProxyFeeds({
    clock,
    secretsOf: (_id, _tokens, onSecrets) => {
      onSecrets(secrets);
      return () => {};
    },
    onTrouble: (_proxy, reason) => {
      throw reason;
    },
  });
  let built = 0;
  let fed = 0;
  const reconciler = new Reconciler({
    store,
    clock,
    trustDomain: "mesh.local",
    onTrouble: (message) => process.stderr.write(`${message}\n`),
    onMesh(mesh: Mesh, milliseconds) {
      built = milliseconds;
      const began = clock.monotonic();
      feeds.update(mesh);
      fed = clock.monotonic() - began;
    },
  });
  await reconciler.start();
  const first = built;
  const latest = new Map<string, ProxySnapshot>();
  const before = new Map<string, ProxySnapshot>();
  const connecting = clock.monotonic();
  const connected = Math.min(proxies, services * INSTANCES);
  for (let at = 0; at < connected; at++) {
    const service = at % services;
    const id = `${namespaceOf(service)}/svc-${service}-${Math.floor(at / services)}`;
    const proxy = { id } as Parameters<typeof feeds.subscribe>[0];
    feeds.subscribe(proxy, (snapshot) => latest.set(id, snapshot), { envoyVersion: "1.40.0", protocol: "delta" });
  }
  const connect = clock.monotonic() - connecting;
  const row = (name: string, ...numbers: readonly number[]) =>
    process.stdout.write(`| ${services} | ${name} | ${numbers.map((one) => one.toFixed(1)).join(" | ")} |\n`);
  row(`first build, then ${connected} proxies connect`, first, connect, 0, 0);
  for (const [name, change] of Object.entries(CHANGES)) {
    if (!name.includes(values.change)) continue;
    const timed: Timed = { build: [], snapshots: [], diffs: [], changed: 0 };
    for (let round = 0; round < rounds + 2; round++) {
      for (const [id, snapshot] of latest) before.set(id, snapshot);
      const { revision } = await store.apply({ puts: [change(round, services)], deletes: [], who: "bench" });
      await reconciler.reached(revision);
      const began = clock.monotonic();
      let changed = 0;
      for (const [id, snapshot] of latest) {
        for (const [type, map] of snapshot.resources) {
          changed += changedNames(before.get(id)?.resources.get(type) ?? new Map(), map).length;
        }
      }
      if (round < 2) continue;
      timed.changed = changed;
      timed.diffs.push(clock.monotonic() - began);
      timed.build.push(built);
      timed.snapshots.push(fed);
    }
    row(name, median(timed.build), median(timed.snapshots), median(timed.diffs), timed.changed);
  }
  await reconciler.stop();
  await store.close();
}

process.stdout.write(
  "| services | change | build | snapshots of all | what changed for all | resources changed |\n|---|---|---|---|---|---|\n",
);
for (const services of values.services.split(",")) await measure(Number(services), Number(values.proxies), Number(values.rounds));
