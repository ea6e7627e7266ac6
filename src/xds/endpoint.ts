/** A cluster's endpoints (Istio, pilot/pkg/xds/endpoints/endpoint_builder.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { LbEndpointSchema, LocalityLbEndpointsSchema } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { compareText } from "../mesh/hosts.ts";
import { memoize } from "../mesh/memo.ts";
import type { LoadAssignment } from "../mesh/outbound.ts";
import type { Endpoint, ServicePort } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { encodeResource } from "./encode.ts";

export const endpointResource = memoize(({ cluster, port, endpoints, sources }: LoadAssignment): EncodedResource => {
  const assignment = create(ClusterLoadAssignmentSchema, { clusterName: cluster, endpoints: localityEndpoints(port, endpoints) });
  return encodeResource(ClusterLoadAssignmentSchema, cluster, assignment, sources);
});

/** One group for each locality, sorted by it; a group weighs as much as its endpoints. */
export function localityEndpoints(port: ServicePort, endpoints: readonly Endpoint[]): MessageInitShape<typeof LocalityLbEndpointsSchema>[] {
  const groups = Map.groupBy(endpoints, ({ locality }) => locality);
  return [...groups.keys()].sort(compareText).map((locality) => {
    const members = groups.get(locality) ?? [];
    const [region, zone, subZone] = locality.split("/");
    return {
      locality: locality ? { region, zone, subZone } : undefined,
      lbEndpoints: members.map((endpoint) => lbEndpoint(port, endpoint)),
      loadBalancingWeight: Math.min(
        members.reduce((sum, { weight }) => sum + weight, 0),
        2 ** 32 - 1,
      ),
    };
  });
}

function lbEndpoint(port: ServicePort, endpoint: Endpoint): MessageInitShape<typeof LbEndpointSchema> {
  const address = toAddress(endpoint.address, endpoint.ports.get(port.number) ?? port.targetPort);
  return {
    hostIdentifier: { case: "endpoint", value: { address } },
    loadBalancingWeight: endpoint.weight,
    // Chooses among the cluster's transport_socket_matches.
    metadata: endpoint.mtlsPorts.has(port.number)
      ? { filterMetadata: { "envoy.transport_socket_match": { tlsMode: "istio" } } }
      : undefined,
  };
}
