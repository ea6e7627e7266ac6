/** Meshes from YAML, for tests. */
import { formatProblem } from "../../src/lib/problem.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { OutboundView } from "../../src/mesh/outbound.ts";
import type { OutboundCluster } from "../../src/mesh/outbound-clusters.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import type { AnyResource } from "../../src/model/resource.ts";

export const OPTIONS = { revision: 1, trustDomain: "mesh.local" };

/** @throws Error with every problem of the text. */
export function resourcesOf(...yaml: string[]): AnyResource[] {
  const { resources, problems } = parseDocuments(yaml.join("\n---\n"), "test.yaml");
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join("\n"));
  return resources;
}

export function meshOf(...yaml: string[]): Mesh {
  return buildMesh(resourcesOf(...yaml), OPTIONS);
}

/** What callers of a namespace meet, or one of them ("ns/name"); the mesh must have a workload there. */
export function viewOf(mesh: Mesh, caller = "default"): OutboundView {
  const view = mesh.outbound.get(caller) ?? [...mesh.outbound].find(([key]) => key.startsWith(`${caller}/`))?.[1];
  if (!view) throw new Error(`no workload in namespace ${caller}`);
  return view;
}

export function clusterOf(view: OutboundView, name: string): OutboundCluster {
  const cluster = view.clusters.find((candidate) => candidate.name === name);
  if (!cluster) throw new Error(`no cluster ${name}, but ${view.clusters.map((known) => known.name).join(" ")}`);
  return cluster;
}

/** The clusters that a request to `domain` may go to, in the order of its routes; undefined where no virtual host answers to it. */
export function routedTo(view: OutboundView, domain: string, table = "http_proxy"): string[] | undefined {
  const host = view.routes.get(table)?.virtualHosts.find(({ domains }) => domains.includes(domain));
  return host?.routes.flatMap(({ targets }) => targets.map(({ cluster }) => cluster));
}

export function resource(kind: string, name: string, spec: string, metadata = ""): string {
  const isSecurity = ["PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"].includes(kind);
  const group = isSecurity ? "security.istio.io" : "networking.istio.io";
  const namespace = metadata.includes("namespace:") ? "" : "namespace: default, ";
  return `apiVersion: ${kind === "MeshConfig" ? "weft.dev/v1" : `${group}/v1`}\nkind: ${kind}\nmetadata: {name: ${name}, ${namespace}${metadata}}\nspec: ${spec}`;
}

/** A STATIC HTTP service in the mesh, for workloads with the label app=NAME. */
export function httpService(name: string, metadata = "", ports = "[{number: 80, name: http, protocol: HTTP}]"): string {
  return resource(
    "ServiceEntry",
    name,
    `{hosts: [${name}], location: MESH_INTERNAL, resolution: STATIC, ports: ${ports}, workloadSelector: {labels: {app: ${name}}}}`,
    metadata,
  );
}

/** A service with an address, where sidecars take its TCP connections. */
export const reachable = (service: string, address = "10.9.0.1"): string => service.replace("{hosts:", `{addresses: [${address}], hosts:`);

export function workload(name: string, app: string, address: string, metadata = "", more = ""): string {
  return resource(
    "WorkloadEntry",
    name,
    `{address: ${address}, labels: {app: ${app}}, serviceAccount: ${app}${more}}`,
    `annotations: {weft.dev/app: "http=127.0.0.1:9001"}, ${metadata}`,
  );
}
