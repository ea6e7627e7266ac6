/** Which WorkloadEntries each ServiceEntry selects: same namespace, all labels (Istio, conversion.go, services). */
import { isIpAddress } from "../model/check.ts";
import type { Resource } from "../model/resource.ts";
import { isPassthrough } from "../model/service-entry.ts";

export type ServiceEntry = Resource<"ServiceEntry">;
export type WorkloadEntry = Resource<"WorkloadEntry">;

export interface Selection {
  /** In the order of the workloads given. */
  readonly workloads: ReadonlyMap<ServiceEntry, readonly WorkloadEntry[]>;
  /** In the order of the entries given. */
  readonly entries: ReadonlyMap<WorkloadEntry, readonly ServiceEntry[]>;
}

export function buildSelection(entries: readonly ServiceEntry[], workloads: readonly WorkloadEntry[]): Selection {
  const candidates = indexByLabel(workloads);
  const selected = new Map<ServiceEntry, WorkloadEntry[]>();
  const selecting = new Map<WorkloadEntry, ServiceEntry[]>(workloads.map((workload) => [workload, []]));
  for (const entry of entries) {
    const selector = entry.spec.workloadSelector;
    if (!selector) continue;
    const [first] = Object.entries(selector.labels ?? {});
    const key = first ? labelKey(entry.metadata.namespace, ...first) : entry.metadata.namespace;
    const matching = (candidates.get(key) ?? []).filter((workload) => selects(entry, workload));
    selected.set(entry, matching);
    for (const workload of matching) selecting.get(workload)?.push(entry);
  }
  return { workloads: selected, entries: selecting };
}

/** Labels of metadata win over those of spec (ConvertWorkloadEntry). */
export function labelsOf({ metadata, spec }: WorkloadEntry): Readonly<Record<string, string>> {
  return withNetwork({ ...spec.labels, ...metadata.labels }, spec.network);
}

const NETWORK = "topology.istio.io/network";

/** Without gateways between networks, an instance's network is a label of it (AugmentLabels), which subsets and failoverPriority may name. */
export function withNetwork(labels: Readonly<Record<string, string>>, network: string | undefined): Readonly<Record<string, string>> {
  return network && !labels[NETWORK] ? { ...labels, [NETWORK]: network } : labels;
}

/** "region/zone/subzone" or "". A label cannot hold "/", so "." stands for it there (SanitizeLocalityLabel). */
export function localityOf(locality: string | undefined, labels: Readonly<Record<string, string>>): string {
  const label = labels["istio-locality"];
  return locality || (label?.includes("/") ? label : label?.replaceAll(".", "/")) || "";
}

function selects({ spec }: ServiceEntry, workload: WorkloadEntry): boolean {
  if (isPassthrough(spec) || spec.resolution === "DYNAMIC_DNS") return false;
  // An instance known by name or by a Unix socket serves DNS services only (DNSServiceEntryOnly).
  if (!isIpAddress(workload.spec.address ?? "") && spec.resolution === "STATIC") return false;
  const labels = labelsOf(workload);
  return Object.entries(spec.workloadSelector?.labels ?? {}).every(([key, value]) => labels[key] === value);
}

/** Without it every entry would look at every workload. */
function indexByLabel(workloads: readonly WorkloadEntry[]): ReadonlyMap<string, readonly WorkloadEntry[]> {
  const index = new Map<string, WorkloadEntry[]>();
  for (const workload of workloads) {
    const { namespace } = workload.metadata;
    const keys = Object.entries(labelsOf(workload)).map(([key, value]) => labelKey(namespace, key, value));
    for (const key of [namespace, ...keys]) {
      const list = index.get(key);
      if (list) list.push(workload);
      else index.set(key, [workload]);
    }
  }
  return index;
}

function labelKey(namespace: string, key: string, value: string): string {
  return `${namespace} ${key}=${value}`;
}
