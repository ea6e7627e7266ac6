/** Who is there in every generated mesh: workloads, their services, and an application outside. */
import type { SocketAddress } from "../../scripts/lib/lab/network.ts";
import { type Place, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";

export interface Actor {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly locality: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly type?: "gateway";
}

/** The workload at which requests from outside come in. */
export const GATEWAY = "front-1";

/** Policies name ports, so these stay; each run has addresses of its own. */
const ORDERS_PORTS = { http: 8080, "http-admin": 8081, "tcp-db": 9090, "tls-vault": 9443 };
const orders = { namespace: "default", serviceAccount: "orders", ports: ORDERS_PORTS };
export const ACTORS: readonly Actor[] = [
  { name: "web-1", namespace: "default", labels: { app: "web" }, serviceAccount: "web", ports: {}, locality: "eu/north/a" },
  { name: "orders-v1", ...orders, labels: { app: "orders", version: "v1" }, locality: "eu/north/a" },
  { name: "orders-v2", ...orders, labels: { app: "orders", version: "v2" }, locality: "us/east/a" },
  { name: "batch-1", namespace: "ops", labels: { app: "batch" }, serviceAccount: "batch", ports: { http: 8080 }, locality: "us/east/b" },
  { name: "legacy-1", namespace: "default", labels: { app: "legacy" }, ports: { http: 8080 }, locality: "" },
  {
    name: GATEWAY,
    namespace: "default",
    labels: { istio: "ingressgateway" },
    serviceAccount: "front",
    ports: {},
    locality: "eu/north/b",
    type: "gateway",
  },
];

/** "ns/name" by name. */
export const KEYS: ReadonlyMap<string, string> = new Map(ACTORS.map(({ name, namespace }) => [name, `${namespace}/${name}`]));

const SERVICES = [
  { name: "orders", namespace: "default", ports: Object.entries(ORDERS_PORTS) },
  { name: "batch", namespace: "ops", ports: [["http", 8080] as const] },
  { name: "legacy", namespace: "default", ports: [["http", 8080] as const] },
];

/** Ports of orders whose connections are routed, each with a local port at every sidecar. */
export const CONNECTED: Readonly<Record<number, string>> = { 9090: "db", 9443: "vault" };
export const LISTEN_FOR = Object.fromEntries(Object.entries(CONNECTED).map(([port, name]) => [name, `orders.default.mesh.local:${port}`]));
/** The application outside the mesh. */
export const EXTERNAL = "api-1";

/** Of a port by its name, as Kubernetes has it. */
export function protocolOf(port: string): "TCP" | "TLS" | "HTTP" {
  return port.startsWith("tcp") ? "TCP" : port.startsWith("tls") ? "TLS" : "HTTP";
}

function serviceYaml({ name, namespace, ports }: (typeof SERVICES)[number]): string {
  const list = ports.map(([port, number]) => ({ number, name: port, protocol: protocolOf(port) }));
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

/** The WorkloadEntry of an actor; a gateway has no applications, and takes no calls out. */
export function actorYaml(
  { labels, serviceAccount, locality, type }: Actor,
  place: Place,
  apps: Readonly<Record<string, SocketAddress>>,
): string {
  if (type === undefined) return workloadEntryYaml({ place, labels, serviceAccount, locality, apps, listenFor: LISTEN_FOR });
  const entry = workloadEntryYaml({ place, labels, serviceAccount, locality, apps: {} });
  return entry.replace('"annotations":{', `"annotations":{"weft.dev/type":"${type}",`);
}

/** ServiceEntries of all, YAML. */
export const SERVICES_YAML = SERVICES.map(serviceYaml).join("---\n");
