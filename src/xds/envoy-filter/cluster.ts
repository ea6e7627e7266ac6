/** Patches of clusters (Istio, pilot/pkg/networking/core/envoyfilter/cluster_patch.go). */
import type { Cluster } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { mergeAny } from "./merge.ts";
import { isMerge, mergeValue, type Patches, patchValue } from "./patch.ts";

/** Changes `cluster`; false where it is removed. `services` are the hosts behind an inbound cluster. */
export function patchCluster(patches: Patches, cluster: Cluster, services: readonly string[]): boolean {
  for (const patch of patches.of("CLUSTER")) {
    if (!matches(cluster, patch, services)) continue;
    if (patch.operation === "REMOVE") {
      patches.touch(patch);
      return false;
    }
    if (!isMerge(patch)) continue;
    if (mergeTransportSocket(cluster, patch) || mergeValue(patch, cluster)) patches.touch(patch);
  }
  return true;
}

/**
 * A patch with a transport socket is merged into the one of its name, and nothing else of it is, as in Istio. Where the cluster chooses among
 * several, none of which has the name, it has no effect: Envoy would refuse a socket beside them. True where the patch was dealt with.
 */
function mergeTransportSocket(cluster: Cluster, patch: EnvoyPatch): boolean {
  const socket = patchValue<Cluster>(patch)?.transportSocket;
  if (!socket) return false;
  const candidates =
    cluster.transportSocketMatches.length > 0
      ? cluster.transportSocketMatches.map(({ transportSocket }) => transportSocket)
      : [cluster.transportSocket];
  const target = candidates.find((candidate) => candidate?.name === socket.name);
  if (!target) {
    if (cluster.transportSocketMatches.length === 0) cluster.transportSocket = socket;
    return true;
  }
  if (target.configType.case !== "typedConfig" || socket.configType.case !== "typedConfig") return true;
  const merged = mergeAny(target.configType.value, socket.configType.value);
  if (merged) target.configType = { case: "typedConfig", value: merged };
  return true;
}

function matches({ name }: Cluster, { match }: EnvoyPatch, services: readonly string[]): boolean {
  const asked = match.cluster;
  if (!asked) return true;
  if (asked.name) return asked.name === name;
  const [direction = "", port = "", subset = "", host = ""] = name.split("|");
  const hosts = direction === "inbound" && services.length > 0 ? services : [host];
  if (asked.subset && asked.subset !== subset) return false;
  if (asked.service && !hosts.includes(asked.service)) return false;
  return !asked.portNumber || asked.portNumber === Number(port);
}
