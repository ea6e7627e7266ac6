/** Workloads, policies and settings for the tests of peer authentication and authorization. */
import type { Settings, Workload } from "../../src/mesh/types.ts";
import type { Resource, Specs } from "../../src/model/resource.ts";

export const settings: Settings = {
  trustDomain: "mesh.local",
  trustDomainAliases: [],
  domain: "mesh.local",
  rootNamespace: "weft-system",
  pathNormalization: "MERGE_SLASHES",
  connectTimeoutMs: 10_000,
  enableAutoMtls: true,
};

/** A workload with one HTTP port, 8080, and one TCP port, 9090; the service's ports are 80 and 90. */
export function workload(key: string, overrides: Partial<Workload> = {}): Workload {
  const [namespace = "", name = ""] = key.split("/");
  const service = `${name}.${namespace}.mesh.local`;
  return {
    key,
    namespace,
    name,
    address: "10.0.0.1",
    locality: "",
    labels: { app: name },
    serviceAccount: name,
    spiffeId: `spiffe://mesh.local/ns/${namespace}/sa/${name}`,
    inbound: [
      { number: 8080, protocol: "HTTP", app: { address: "127.0.0.1", port: 8080 }, service, servicePort: 80 },
      { number: 9090, protocol: "TCP", app: { address: "127.0.0.1", port: 9091 }, service, servicePort: 90 },
    ],
    outbound: { address: "127.0.0.1", port: 15001 },
    source: { kind: "WorkloadEntry", namespace, name, file: "workloads.yaml", line: 1 },
    ...overrides,
  };
}

export function workloads(...list: readonly Workload[]): ReadonlyMap<string, Workload> {
  return new Map(list.map((entry) => [entry.key, entry]));
}

type PolicyKind = "PeerAuthentication" | "AuthorizationPolicy" | "RequestAuthentication";

export interface PolicyOptions {
  readonly created?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly lines?: Readonly<Record<string, number>>;
}

export function policy<K extends PolicyKind>(kind: K, key: string, spec: Specs[K], options: PolicyOptions = {}): Resource<K> {
  const [namespace = "", name = ""] = key.split("/");
  return {
    apiVersion: "security.istio.io/v1",
    kind,
    metadata: { name, namespace, labels: {}, annotations: options.annotations ?? {}, creationTimestamp: options.created },
    spec,
    source: { file: `${name}.yaml`, lines: { "": 1, ...options.lines } },
  };
}
