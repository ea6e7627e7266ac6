/**
 * What the metrics of a client tell of the destination: with the cluster which service it is, with the endpoint which workload. Only where
 * someone counts: it is a part of every cluster and endpoint otherwise for nothing.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { MetadataSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { lasting, memoize } from "../mesh/memo.ts";
import { endpointPeer, type PeerLabels } from "../mesh/peer-labels.ts";
import type { Endpoint, Mesh, Service, Settings } from "../mesh/types.ts";

type Metadata = MessageInitShape<typeof MetadataSchema>;

/** Istio's own metadata of clusters and endpoints stand under the same name, in another form. */
const NAMESPACE = "istio";

/** Envoy's format of what is known of the endpoint that answered. */
export function endpointTag(label: keyof PeerLabels): string {
  return `%METADATA(UPSTREAM_HOST:${NAMESPACE}:${label})%`;
}

/** Envoy's format of what is known of the service that was called. */
export function clusterTag(field: "host" | "name" | "namespace"): string {
  return `%METADATA(CLUSTER:${NAMESPACE}:${field})%`;
}

/** The settings by which clusters and endpoints are made: the mesh's own where nobody counts. */
export function destinationSettings(mesh: Mesh): Settings {
  return mesh.metrics.size > 0 ? withDestinations(mesh.settings) : mesh.settings;
}

const withDestinations = memoize((settings: Settings): Settings => lasting({ ...settings, tellDestinations: true }));

export function clusterMetadata({ tellDestinations }: Settings, { host, name, namespace }: Service): Metadata | undefined {
  return tellDestinations ? { filterMetadata: { [NAMESPACE]: { host, name, namespace } } } : undefined;
}

export function endpointMetadata({ tellDestinations }: Settings, endpoint: Endpoint): NonNullable<Metadata["filterMetadata"]> {
  return tellDestinations ? { [NAMESPACE]: { ...endpointPeer(endpoint) } } : {};
}
