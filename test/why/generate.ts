/** A generated mesh on the arena's workloads, and generated requests to it. */
import { MISBEHAVE } from "../../scripts/lib/lab/apps.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { destinationRule } from "./generate-destination-rules.ts";
import { boundVirtualService, gateway, generateEntry, policyThere, tokensThere } from "./generate-gateways.ts";
import { authorizationPolicy, peerAuthentication, requestAuthentication, type Spec } from "./generate-policies.ts";
import { LEAVES, leaf, virtualService } from "./generate-routes.ts";
import type { Random } from "./random.ts";
import { EXTERNAL_HOST, HEADERS, HOSTS, METHODS, ODD_PATHS, PATHS, SLOW_MS, TOKENS } from "./vocabulary.ts";

export interface Generated {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** As JSON, which is YAML. */
  readonly text: string;
}

/** What is there besides the workloads. */
export interface Grounds {
  /** An HTTP application outside the mesh. */
  readonly external: { readonly address: string; readonly port: number };
}

const GROUPS: Readonly<Record<string, string>> = {
  VirtualService: "networking.istio.io/v1",
  ServiceEntry: "networking.istio.io/v1",
  DestinationRule: "networking.istio.io/v1",
  Gateway: "networking.istio.io/v1",
  Sidecar: "networking.istio.io/v1",
  PeerAuthentication: "security.istio.io/v1",
  AuthorizationPolicy: "security.istio.io/v1",
  RequestAuthentication: "security.istio.io/v1",
  MeshConfig: "weft.dev/v1",
};

/** Of the resources that weft takes: what its validation refuses, and there are odd ones, is left out. */
export function generateMesh(random: Random, tag: string, grounds: Grounds): readonly Generated[] {
  const made: Generated[] = [];
  const add = (
    kind: string,
    count: number,
    make: (index: number) => { readonly namespace: string; readonly spec: Spec; readonly annotations?: Spec },
    label = kind.replace(/[a-z]/g, "").toLowerCase(),
  ) => {
    for (let index = 0; index < count; index++) {
      const { namespace, spec, annotations = {} } = make(index);
      // Few times, so that names decide too.
      const creationTimestamp = `2026-01-0${1 + random.below(3)}T00:00:00Z`;
      const name = `${label}${index}-${tag}`;
      const metadata = { name, namespace, creationTimestamp, annotations };
      const text = JSON.stringify({ apiVersion: GROUPS[kind], kind, metadata, spec });
      const refused = parseDocuments(text, "generated").problems.some(({ severity }) => severity === "error");
      if (!refused) made.push({ kind, namespace, name, text });
    }
  };
  add("VirtualService", random.below(4), () => virtualService(random, tag));
  add("VirtualService", random.below(LEAVES.length + 1), (index) => leaf(random, index), "leaf");
  add("ServiceEntry", random.chance(0.5) ? 1 + random.below(2) : 0, () => externalService(random, grounds));
  add("DestinationRule", random.below(4), () => destinationRule(random));
  add("PeerAuthentication", random.below(4), () => peerAuthentication(random));
  add("AuthorizationPolicy", random.below(5), () => authorizationPolicy(random));
  add("RequestAuthentication", random.chance(0.4) ? 1 + random.below(2) : 0, () => requestAuthentication(random));
  const gateways = random.chance(0.8) ? 1 + random.below(2) : 0;
  add("Gateway", gateways, () => gateway(random), "g");
  if (gateways > 0) {
    add("VirtualService", 1 + random.below(3), () => boundVirtualService(random, tag), "bound");
    add("AuthorizationPolicy", random.chance(0.4) ? 1 : 0, () => policyThere(random), "there");
    add("RequestAuthentication", random.chance(0.6) ? 1 : 0, () => tokensThere(random), "there");
  }
  add("Sidecar", random.chance(0.3) ? 1 + random.below(2) : 0, () => sidecar(random));
  const config = {
    ...(random.chance(0.5)
      ? { pathNormalization: { normalization: random.pick(["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]) } }
      : {}),
    ...(random.chance(0.1) ? { enableAutoMtls: false } : {}),
    ...(random.chance(0.1) ? { trustDomainAliases: ["other.example"] } : {}),
  };
  const metadata = { name: "mesh", namespace: "weft-system" };
  made.push({
    kind: "MeshConfig",
    ...metadata,
    text: JSON.stringify({ apiVersion: GROUPS.MeshConfig, kind: "MeshConfig", metadata, spec: config }),
  });
  return made;
}

const EGRESS = [
  ["./*"],
  ["*/*", "~ops/*"],
  ["ops/*"],
  ["*/*.default.svc.cluster.local"],
  ["*/orders.default.mesh.local"],
  ["*/*", "~*/orders.default.mesh.local"],
  ["~/*"],
];

function sidecar(random: Random): { readonly namespace: string; readonly spec: Spec } {
  const labels = random.pick<Spec>([{ app: "web" }, { app: "batch" }, { app: "orders" }, { app: "orders", version: "v1" }]);
  const spec = {
    ...(random.chance(0.8) ? { egress: [{ hosts: random.pick(EGRESS) }] } : {}),
    ...(random.chance(0.6) ? { workloadSelector: { labels }, ...(random.chance(0.6) ? { ingress: ingress(random) } : {}) } : {}),
  };
  return { namespace: random.pick(["default", "default", "ops", "weft-system"]), spec };
}

const INGRESS = [
  { port: { number: 8080, protocol: "HTTP", name: "http" } },
  { port: { number: 8081, protocol: "HTTP", name: "admin" } },
  { port: { number: 9090, protocol: "TCP", name: "db" } },
  { port: { number: 9443, protocol: "TLS", name: "vault" } },
];

function ingress(random: Random): readonly Spec[] {
  // Sometimes requests are connections to the workload alone.
  if (random.chance(0.1)) return [{ port: { number: 8080, protocol: "TCP", name: "tcp" } }];
  return random.some<Spec>(INGRESS, 1, 4);
}

/** One host outside the mesh; several of them differ in who sees them. */
function externalService(random: Random, { external }: Grounds): { readonly namespace: string; readonly spec: Spec } {
  const spec = {
    hosts: [EXTERNAL_HOST],
    location: random.chance(0.8) ? "MESH_EXTERNAL" : "MESH_INTERNAL",
    resolution: random.pick(["STATIC", "STATIC", "DNS"]),
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    endpoints: [{ address: external.address, ports: { http: external.port } }],
    ...(random.chance(0.5) ? { exportTo: random.pick([["*"], ["."], ["default"], ["ops"]]) } : {}),
  };
  return { namespace: random.pick(["default", "ops"]), spec };
}

export interface Asked {
  /** A workload's name, or "plaintext". */
  readonly from: string;
  /** HOST[:PORT]; from plaintext a port of the workload `at`. */
  readonly to: string;
  /** From plaintext: the workload that is called. */
  readonly at?: string;
  readonly tcp: boolean;
  /** A connection whose first bytes are a TLS client's that asks for the host. */
  readonly tls?: boolean;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const CALLERS = ["web-1", "web-1", "web-1", "batch-1", "batch-1", "legacy-1", "orders-v1", "plaintext"];
/** By workload: its service and that one's ports. */
const SERVERS: readonly (readonly [string, string, readonly number[]])[] = [
  ["orders-v1", "orders.default.mesh.local", [8080, 8081, 9090, 9443]],
  ["orders-v2", "orders.default.mesh.local", [8080, 8081, 9090, 9443]],
  ["batch-1", "batch.ops.mesh.local", [8080]],
  ["legacy-1", "legacy.default.mesh.local", [8080]],
];

export function generateRequest(random: Random): Asked {
  const from = random.pick(CALLERS);
  const headers: Record<string, string> = {};
  for (const [name, values] of Object.entries(HEADERS)) if (random.chance(0.3)) headers[name] = random.pick(values);
  const [path, withToken] = tokenized(random, random.chance(0.25) ? random.pick(ODD_PATHS) : random.pick(PATHS));
  const entry = random.chance(0.3) ? generateEntry(random) : undefined;
  const common = { from, method: random.pick(METHODS), path, headers: { ...headers, ...withToken, ...misbehaving(random) } };
  if (entry) return { ...common, ...entry };
  if (from === "plaintext") {
    const [at, host, ports] = random.pick(SERVERS);
    const port = random.pick(ports);
    return { ...common, at, to: `${host}:${port}`, tcp: port === 9090 || port === 9443, tls: port === 9443 };
  }
  if (random.chance(0.15)) {
    const tls = random.chance(0.5);
    return { ...common, to: `orders.default.mesh.local:${tls ? 9443 : 9090}`, tcp: true, tls };
  }
  return { ...common, to: random.chance(0.5) ? "orders.default.mesh.local:8080" : random.pick(HOSTS), tcp: false };
}

/** What the application is asked to do: to fail, or to take its time. */
function misbehaving(random: Random): Readonly<Record<string, string>> {
  if (random.chance(0.9)) return {};
  return random.chance(0.7) ? { [MISBEHAVE.status]: random.pick(["500", "503"]) } : { [MISBEHAVE.delayMs]: String(SLOW_MS) };
}

function tokenized(random: Random, path: string): readonly [string, Readonly<Record<string, string>>] {
  if (random.chance(0.6)) return [path, {}];
  const text = random.pick(TOKENS);
  const join = path.includes("?") ? "&" : "?";
  switch (random.below(6)) {
    case 0:
      return [`${path}${join}access_token=${text}`, {}];
    case 1:
      return [`${path}${join}token=${text}`, {}];
    case 2:
      return [path, { "x-jwt": `Value ${text}` }];
    case 3:
      return [path, { cookie: `a=b; session=${text}` }];
    default:
      return [path, { authorization: `Bearer ${text}` }];
  }
}
