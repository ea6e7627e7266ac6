/** What metrics tell of a workload (Istio, pkg/kube/labels/labels.go). */
import type { Endpoint, Workload } from "./types.ts";

/** "unknown" where nothing is known, as in Istio's stats filter. */
export interface PeerLabels {
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
}

export const UNKNOWN = "unknown";

export function peerLabels({ name, namespace, labels }: Workload): PeerLabels {
  return labelsOf(name, namespace, labels);
}

/** An endpoint that is no WorkloadEntry goes by the name of its ServiceEntry (Istio, serviceentry/conversion.go). */
export function endpointPeer({ source, labels }: Endpoint): PeerLabels {
  return labelsOf(source.name, source.namespace, labels);
}

function labelsOf(name: string, namespace: string, labels: Readonly<Record<string, string>>): PeerLabels {
  const first = (...keys: string[]) => keys.map((key) => labels[key]).find((value) => value !== undefined && value !== "");
  const workload = first("service.istio.io/workload-name") ?? name;
  return {
    workload,
    namespace,
    app: first("app") ?? UNKNOWN,
    version: first("version") ?? UNKNOWN,
    canonicalService: first("service.istio.io/canonical-name", "app.kubernetes.io/name", "app") ?? workload,
    canonicalRevision: first("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version") ?? "latest",
  };
}
