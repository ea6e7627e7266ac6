/** A cluster's endpoints (Istio, pilot/pkg/xds/endpoints/endpoint_builder.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { LbEndpointSchema, LocalityLbEndpointsSchema } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { LocalityGroup } from "../mesh/localities.ts";
import { memoize } from "../mesh/memo.ts";
import type { LoadAssignment } from "../mesh/outbound-clusters.ts";
import type { Endpoint, ServicePort, Settings } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { encodeResource } from "./encode.ts";
import { endpointMetadata } from "./peer-metadata.ts";

export const endpointResource = memoize((settings: Settings, { cluster, port, localities, sources }: LoadAssignment): EncodedResource => {
  const endpoints = localityEndpoints(settings, port, localities);
  const assignment = create(ClusterLoadAssignmentSchema, { clusterName: cluster, endpoints });
  return encodeResource(ClusterLoadAssignmentSchema, cluster, assignment, sources);
});

export function localityEndpoints(
  settings: Settings,
  port: ServicePort,
  localities: readonly LocalityGroup[],
): MessageInitShape<typeof LocalityLbEndpointsSchema>[] {
  return localities.map(({ locality, priority, weight, endpoints }) => {
    const [region, zone, subZone] = locality.split("/");
    return {
      locality: locality ? { region, zone, subZone } : undefined,
      lbEndpoints: endpoints.map((endpoint) => lbEndpoint(settings, port, endpoint)),
      loadBalancingWeight: Math.min(weight, 2 ** 32 - 1),
      priority,
    };
  });
}

function lbEndpoint(settings: Settings, port: ServicePort, endpoint: Endpoint): MessageInitShape<typeof LbEndpointSchema> {
  const address = toAddress(endpoint.address, endpoint.ports.get(port.number) ?? port.targetPort);
  return {
    hostIdentifier: { case: "endpoint", value: { address } },
    loadBalancingWeight: endpoint.weight,
    metadata: metadataOf(endpointMetadata(settings, endpoint), endpoint.mtlsPorts.has(port.number)),
  };
}

type FilterMetadata = ReturnType<typeof endpointMetadata>;

function metadataOf(peer: FilterMetadata, takesMtls: boolean): { readonly filterMetadata: FilterMetadata } | undefined {
  // Chooses among the cluster's transport_socket_matches.
  const filterMetadata = takesMtls ? { "envoy.transport_socket_match": { tlsMode: "istio" }, ...peer } : peer;
  return Object.keys(filterMetadata).length > 0 ? { filterMetadata } : undefined;
}
