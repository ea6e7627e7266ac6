/** Where mutual TLS is demanded of one who cannot speak it, or the client's TLS is not the server's. */
import type { Provenance } from "../../lib/provenance.ts";
import type { Resource } from "../../model/resource.ts";
import type { TrafficPolicy } from "../../model/traffic-policy.ts";
import { type MtlsMode, mtlsModeAt } from "../peer-authentication.ts";
import type { Service } from "../types.ts";
import { type Context, some } from "./context.ts";

export function findMtlsConflicts(context: Context): void {
  strictPolicies(context);
  for (const resource of context.of("DestinationRule")) {
    const service = context.service(resource.spec.host, resource.metadata.namespace);
    if (!service) continue;
    checkPolicy(context, resource, service, ["spec", "trafficPolicy"], resource.spec.trafficPolicy, {});
    for (const [index, { labels, trafficPolicy }] of (resource.spec.subsets ?? []).entries()) {
      checkPolicy(context, resource, service, ["spec", "subsets", index, "trafficPolicy"], trafficPolicy, labels ?? {});
    }
  }
}

/** A policy that makes some port STRICT shuts out every workload without an identity, and closes the ports of those that it holds for. */
function strictPolicies(context: Context): void {
  const { mesh } = context;
  const strict = new Map<string, { readonly source: Provenance; readonly closed: Set<string>; namespace: string | undefined }>();
  for (const [key, { mode, ports }] of mesh.mtls) {
    const workload = mesh.workloads.get(key);
    for (const effective of [mode, ...ports.values()]) {
      if (effective.mode !== "STRICT" || !effective.source) continue;
      const { source } = effective;
      const id = `${source.namespace}/${source.name}`;
      const known = strict.get(id) ?? { source, closed: new Set(), namespace: source.namespace };
      strict.set(id, known);
      if (workload && workload.spiffeId === undefined && workload.inbound.length > 0) known.closed.add(key);
    }
  }
  const anonymous = context
    .workloads("*")
    .filter(({ spiffeId }) => spiffeId === undefined)
    .map(({ key }) => key);
  for (const resource of context.of("PeerAuthentication")) {
    const found = strict.get(`${resource.metadata.namespace}/${resource.metadata.name}`);
    if (!found) continue;
    const path = pathOf(resource);
    if (found.closed.size > 0) {
      const message = `STRICT at workloads without a service account: they have no identity, so nothing can call ${some([...found.closed])}`;
      context.warn("strictWithoutIdentity", resource, path, message, "give them a serviceAccount");
    }
    const callers = anonymous.filter((key) => !found.closed.has(key));
    if (callers.length > 0) {
      const message = `STRICT refuses plaintext, and workloads without a service account speak nothing else: ${some(callers)}`;
      context.warn(
        "strictWithoutIdentity",
        resource,
        path,
        message,
        "give them a serviceAccount and a sidecar, or stay PERMISSIVE until they have one",
      );
    }
  }
  plaintextEndpoints(context);
}

/** The part that says STRICT. */
function pathOf({ spec }: Resource<"PeerAuthentication">): readonly string[] {
  if (spec.mtls?.mode === "STRICT") return ["spec", "mtls", "mode"];
  const port = Object.entries(spec.portLevelMtls ?? {}).find(([, { mode }]) => mode === "STRICT")?.[0];
  return port === undefined ? ["spec"] : ["spec", "portLevelMtls", port, "mode"];
}

/** Endpoints written in a ServiceEntry of the mesh without a service account: callers reach them in plaintext, whatever the namespace says. */
function plaintextEndpoints(context: Context): void {
  const strictNamespaces = new Set<string>();
  for (const { metadata, spec } of context.of("PeerAuthentication")) {
    const isWide = Object.keys(spec.selector?.matchLabels ?? {}).length === 0;
    if (isWide && spec.mtls?.mode === "STRICT")
      strictNamespaces.add(metadata.namespace === context.mesh.settings.rootNamespace ? "*" : metadata.namespace);
  }
  for (const resource of context.of("ServiceEntry")) {
    const { location, endpoints = [], workloadSelector } = resource.spec;
    if (location !== "MESH_INTERNAL" || workloadSelector) continue;
    if (!strictNamespaces.has("*") && !strictNamespaces.has(resource.metadata.namespace)) continue;
    for (const [index, { serviceAccount, labels, address }] of endpoints.entries()) {
      if (serviceAccount || labels?.["security.istio.io/tlsMode"] === "istio") continue;
      const message = `mutual TLS is STRICT here, but ${address ?? "the endpoint"} has no service account, so callers reach it in plaintext`;
      context.warn("strictWithoutIdentity", resource, ["spec", "endpoints", index], message, "give the endpoint a serviceAccount");
    }
  }
}

function checkPolicy(
  context: Context,
  resource: Resource<"DestinationRule">,
  service: Service,
  path: readonly (string | number)[],
  policy: TrafficPolicy | undefined,
  labels: Readonly<Record<string, string>>,
): void {
  const named = new Set((policy?.portLevelSettings ?? []).map(({ port }) => port.number));
  const others = service.ports.map(({ number }) => number).filter((number) => !named.has(number));
  const levels = [
    { tls: policy?.tls, at: path, ports: others },
    ...(policy?.portLevelSettings ?? []).map(({ port, tls }, index) => ({
      tls,
      at: [...path, "portLevelSettings", index],
      ports: [port.number],
    })),
  ];
  for (const { tls, at, ports } of levels) {
    if (!tls) continue;
    const mode = tls.mode ?? "DISABLE";
    const where = [...at, "tls", "mode"];
    const strict = workloadsWith(context, service, labels, ports, "STRICT");
    if (mode !== "ISTIO_MUTUAL" && strict.length > 0) {
      const message = `callers would speak ${mode === "DISABLE" ? "plaintext" : `TLS of mode ${mode}`} to ${service.host}, where mutual TLS is STRICT: ${some(strict)}`;
      context.warn("mtlsTurnedOff", resource, where, message, "leave tls out: callers then choose by themselves");
    }
    const plain = workloadsWith(context, service, labels, ports, "DISABLE");
    if (mode === "ISTIO_MUTUAL" && plain.length > 0) {
      const message = `callers would speak mutual TLS to ${service.host}, which ${some(plain)} cannot take`;
      context.warn("mtlsTurnedOff", resource, where, message, "leave tls out: callers then choose by themselves");
    }
  }
}

/** The service's workloads that have the mode at one of its ports; without an identity a workload takes plaintext only. */
function workloadsWith(
  context: Context,
  service: Service,
  labels: Readonly<Record<string, string>>,
  ports: readonly number[],
  wanted: MtlsMode,
): string[] {
  const { mesh } = context;
  const found = new Set<string>();
  for (const endpoint of mesh.endpoints.get(service.host) ?? []) {
    if (endpoint.workload === undefined || !Object.entries(labels).every(([key, value]) => endpoint.labels[key] === value)) continue;
    const mtls = mesh.mtls.get(endpoint.workload);
    for (const port of ports) {
      const number = endpoint.ports.get(port);
      if (!mtls || number === undefined) continue;
      const { mode } = mtlsModeAt(mtls, number);
      const effective = mode === "PERMISSIVE" && endpoint.spiffeId === undefined ? "DISABLE" : mode;
      if (effective === wanted) found.add(endpoint.workload);
    }
  }
  return [...found].sort();
}
