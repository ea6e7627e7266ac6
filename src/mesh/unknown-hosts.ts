/**
 * Calls out to hosts that the mesh does not know: refused, unless an outboundTrafficPolicy lets them out. Istio passes them on to where the
 * intercepted connection meant to go. Nothing is intercepted here, so the Host header says it: its name is resolved when it is called, as with
 * Istio's ALLOW_ANY_DYNAMIC_DNS (pilot/pkg/networking/core/httproute.go buildCatchAllVirtualHost, cluster_builder.go buildAllowAnyDFPCluster).
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { clusterName, type RouteTarget } from "./http-routes.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import type { OutboundCluster } from "./outbound-clusters.ts";
import type { VirtualHost } from "./route-tables.ts";
import type { Service, ServicePort, Settings } from "./types.ts";

/** They are let out. */
export interface UnknownHosts {
  /** To this service, all of them; undefined: to what their names resolve to. */
  readonly egressProxy?: RouteTarget;
  readonly source: Provenance;
}

/** Istio's name. */
const CLUSTER = "AllowAnyDynamicDNSCluster";
/** The port that a Host header without one means. */
const PORT = 80;

/** What MeshConfig says: for callers whose Sidecar says nothing. */
export function meshUnknownHosts(config: Resource<"MeshConfig"> | undefined): UnknownHosts | undefined {
  const { mode = "REGISTRY_ONLY" } = config?.spec.outboundTrafficPolicy ?? {};
  return config && mode !== "REGISTRY_ONLY" ? { source: provenanceOf(config, "spec", "outboundTrafficPolicy") } : undefined;
}

/** A Sidecar's policy goes before the mesh's, as a whole (pilot/pkg/model/sidecar.go). */
export function unknownHosts(sidecar: Resource<"Sidecar"> | undefined, settings: Settings, pool: Pool): UnknownHosts | undefined {
  const policy = sidecar?.spec.outboundTrafficPolicy;
  if (!sidecar || !policy) return settings.defaults?.unknownHosts;
  if (policy.mode !== "ALLOW_ANY") return undefined;
  const made = { egressProxy: proxyOf(sidecar, settings), source: provenanceOf(sidecar, "spec", "outboundTrafficPolicy") };
  return pool.keep(`unknown hosts ${JSON.stringify(made)}`, () => made);
}

function proxyOf({ spec, metadata }: Resource<"Sidecar">, { domain }: Settings): RouteTarget | undefined {
  const { egressProxy } = spec.outboundTrafficPolicy ?? {};
  if (!egressProxy) return undefined;
  const { port, subset } = egressProxy;
  const host = canonicalHost(egressProxy.host, metadata.namespace, domain);
  return { cluster: clusterName(host, port.number, subset), host, port: port.number, subset: subset || undefined };
}

/** The last virtual host of a table in which the Host header names host and port; for CONNECT too, by which clients of a proxy call https. */
export const unknownVirtualHost = memoize((unknown: UnknownHosts): VirtualHost => {
  const { egressProxy, source } = unknown;
  const target = { ...(egressProxy ?? { cluster: CLUSTER, host: "*", port: PORT, byName: true }), weight: 0, source };
  const route = { name: "allow_any", targets: [target], mirrors: [], port: PORT, source };
  return {
    name: "allow_any",
    domains: ["*"],
    // A proxy that is asked in the caller's place ends the tunnel; else it ends here.
    routes: internList([{ ...route, name: "allow_any_connect", connect: egressProxy ? "passes" : "ends" }, route]),
    sources: internList([source]),
  };
});

const PROTOCOL: ServicePort = { number: PORT, name: "http", protocol: "HTTP", targetPort: PORT };

/** Plaintext, in the HTTP that the caller speaks; none where a proxy is asked. */
export const unknownCluster = memoize((unknown: UnknownHosts): OutboundCluster => {
  const { source } = unknown;
  const service: Service = {
    host: "*",
    name: "*",
    namespace: source.namespace,
    ports: [PROTOCOL],
    resolution: "DYNAMIC_DNS",
    location: "MESH_EXTERNAL",
    addresses: [],
    subjectAltNames: [],
    exportTo: [],
    source,
    otherSources: [],
  };
  return {
    name: CLUSTER,
    service,
    port: PROTOCOL,
    policy: { connectionPool: { http: { useClientProtocol: true } } },
    automaticTls: { endpoints: "none" },
    subjectAltNames: [],
    selected: false,
    localityWeighted: false,
    sources: [source],
  };
});
