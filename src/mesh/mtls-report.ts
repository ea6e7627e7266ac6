/** The mutual TLS mode in force at a service: at each of its workloads and ports, and as one word for all of them. */
import type { Provenance } from "../lib/provenance.ts";
import { type MtlsMode, mtlsModeAt } from "./peer-authentication.ts";
import type { Mesh, Service } from "./types.ts";

/** NONE: the workload has no identity (no service account), or the endpoint is no workload at all. MIXED: not the same everywhere. */
export type ServiceMtlsMode = MtlsMode | "MIXED" | "NONE";

export interface WorkloadPortMtls {
  /** "ns/name". */
  readonly workload: string;
  /** The service's port. */
  readonly port: number;
  /** The workload's port, which portLevelMtls counts by. */
  readonly workloadPort: number;
  readonly mode: MtlsMode | "NONE";
  /** The line that decided; absent for NONE, and where Istio's default did. */
  readonly source?: Provenance;
}

export interface ServiceMtls {
  readonly mode: ServiceMtlsMode;
  /** By the service's port, in its order. */
  readonly ports: readonly { readonly port: number; readonly name: string; readonly mode: ServiceMtlsMode }[];
  /** "ns/name", sorted. */
  readonly workloads: readonly string[];
  /** Sorted by workload, then port. */
  readonly details: readonly WorkloadPortMtls[];
}

/** What holds at `service`; NONE throughout where no endpoint is a workload. */
export function serviceMtls(mesh: Mesh, service: Service): ServiceMtls {
  const endpoints = mesh.endpoints.get(service.host) ?? [];
  const found = new Map<string, WorkloadPortMtls>();
  const modes = new Map<number, Set<MtlsMode | "NONE">>();
  for (const endpoint of endpoints) {
    for (const { number: port } of service.ports) {
      const workloadPort = endpoint.ports.get(port);
      if (workloadPort === undefined) continue;
      const at = modeAt(mesh, endpoint.workload, workloadPort);
      modes.set(port, (modes.get(port) ?? new Set()).add(at.mode));
      if (endpoint.workload === undefined) continue;
      found.set(`${endpoint.workload} ${port} ${workloadPort}`, { workload: endpoint.workload, port, workloadPort, ...at });
    }
  }
  const details = [...found.values()].sort((a, b) => compare(a.workload, b.workload) || a.port - b.port || a.workloadPort - b.workloadPort);
  return {
    mode: oneWord([...modes.values()].flatMap((set) => [...set])),
    ports: service.ports.map(({ number: port, name }) => ({ port, name, mode: oneWord([...(modes.get(port) ?? [])]) })),
    workloads: [...new Set(details.map(({ workload }) => workload))],
    details,
  };
}

function modeAt(mesh: Mesh, key: string | undefined, port: number): { readonly mode: MtlsMode | "NONE"; readonly source?: Provenance } {
  const workload = key === undefined ? undefined : mesh.workloads.get(key);
  // A Gateway says itself which TLS it takes.
  const mtls = workload?.spiffeId === undefined || workload.type === "gateway" ? undefined : mesh.mtls.get(workload.key);
  return mtls ? mtlsModeAt(mtls, port) : { mode: "NONE" };
}

function oneWord(modes: readonly (MtlsMode | "NONE")[]): ServiceMtlsMode {
  const [first = "NONE", ...rest] = new Set(modes);
  return rest.length > 0 ? "MIXED" : first;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
