/**
 * Annotations and labels that mean something to Istio (istio/api, annotation/annotations.yaml and label/labels.yaml) on kinds that weft has,
 * and nothing to weft: each is told, lest its author count on it.
 */
import type { AnyResource, Kind } from "./resource.ts";
import type { Path, Report } from "./schema.ts";

export interface Unhonoured {
  /** All that begin so, where it ends with "/" or "-". */
  readonly key: string;
  readonly kinds: readonly Kind[];
  /** Of `kinds`, what the key would do in Istio, and why it does not here. */
  readonly why: string;
  readonly help?: string;
}

const WORKLOADS = ["WorkloadEntry", "WorkloadGroup"] as const;
const WAYPOINTS = ["WorkloadEntry", "WorkloadGroup", "ServiceEntry"] as const;
const NO_WAYPOINT = "weft has no waypoints: every workload has its own Envoy";
const NO_INJECTION = "it is for sidecars that Istio injects; weft injects nothing";

export const UNHONOURED: readonly Unhonoured[] = [
  {
    key: "proxy.istio.io/config",
    kinds: WORKLOADS,
    why: "weft reads no ProxyConfig from an annotation",
    help: "write a ProxyConfig, which selects the workload; tracing and access logs are a Telemetry's",
  },
  {
    key: "sidecar.istio.io/",
    kinds: WORKLOADS,
    why: NO_INJECTION,
    help: "weft.dev/... annotations and `weft proxy run` say how Envoy is run",
  },
  { key: "inject.istio.io/", kinds: WORKLOADS, why: NO_INJECTION },
  {
    key: "traffic.sidecar.istio.io/",
    kinds: WORKLOADS,
    why: "it says which connections are intercepted; weft intercepts none",
    help: "a Sidecar says what a workload takes in and may call",
  },
  {
    key: "readiness.status.sidecar.istio.io/",
    kinds: WORKLOADS,
    why: "it is for Istio's agent beside the proxy",
    help: "a WorkloadGroup's probe asks whether an instance is ready",
  },
  { key: "status.sidecar.istio.io/", kinds: WORKLOADS, why: "it is for Istio's agent beside the proxy" },
  {
    key: "prometheus.istio.io/",
    kinds: WORKLOADS,
    why: "it is for Istio's agent, which merges the application's metrics with Envoy's",
    help: "annotation weft.dev/prometheus opens Envoy's own to Prometheus",
  },
  { key: "ambient.istio.io/", kinds: WORKLOADS, why: "weft has no ambient mode: every workload has its own Envoy" },
  { key: "istio.io/dataplane-mode", kinds: WORKLOADS, why: "weft has no ambient mode: every workload has its own Envoy" },
  { key: "istio.io/use-waypoint", kinds: WAYPOINTS, why: NO_WAYPOINT },
  { key: "istio.io/use-waypoint-", kinds: WAYPOINTS, why: NO_WAYPOINT },
  { key: "istio.io/ingress-use-waypoint", kinds: ["ServiceEntry"], why: NO_WAYPOINT },
  {
    key: "networking.istio.io/traffic-distribution",
    kinds: ["ServiceEntry"],
    why: "calls are spread over all instances",
    help: "a DestinationRule with outlierDetection keeps calls near, and its localityLbSetting says how",
  },
  {
    key: "networking.istio.io/exportTo",
    kinds: ["ServiceEntry"],
    why: "Istio reads it on Kubernetes' Services only",
    help: "write spec.exportTo",
  },
  {
    key: "networking.istio.io/enable-autoallocate-ip",
    kinds: ["ServiceEntry"],
    why: "addresses are given to names by Istio's DNS proxy, which weft does not have",
    help: "write spec.addresses, or annotation weft.dev/listen on the callers' WorkloadEntries",
  },
];

/** Istio gives a resource with it to the control plane of that revision only (pkg/config/model.go, ObjectInRevision). */
export const REVISION = "istio.io/rev";

/** Warns of each that stands in `resource`'s metadata, or in what it gives to instances. */
export function checkIstioMetadata(resource: AnyResource, report: Report): void {
  const { kind, metadata } = resource;
  const tell = (path: Path, written: Readonly<Record<string, string>> | undefined) => {
    for (const key of Object.keys(written ?? {})) {
      const found = UNHONOURED.find((one) => one.kinds.includes(kind) && matches(one.key, key));
      if (found) report("noEffect", found.why, { path: [...path, key], atKey: true, severity: "warning", help: found.help });
    }
  };
  tell(["metadata", "labels"], metadata.labels);
  tell(["metadata", "annotations"], metadata.annotations);
  const revision = metadata.labels[REVISION];
  if (revision !== undefined && revision !== "" && revision !== "default") {
    report("surprising", "weft takes the resource whatever revision it is for: there is one control plane", {
      path: ["metadata", "labels", REVISION],
      severity: "warning",
      help: "remove the label, or apply only what this mesh is meant to have",
    });
  }
  if (resource.kind === "WorkloadEntry") tell(["spec", "labels"], resource.spec.labels);
  if (resource.kind === "WorkloadGroup") {
    tell(["spec", "metadata", "labels"], resource.spec.metadata?.labels);
    tell(["spec", "metadata", "annotations"], resource.spec.metadata?.annotations);
    tell(["spec", "template", "labels"], resource.spec.template.labels);
  }
}

const matches = (pattern: string, key: string) => key === pattern || (/[/-]$/.test(pattern) && key.startsWith(pattern));
