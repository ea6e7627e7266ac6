/** A cluster's endpoints (Istio, pilot/pkg/xds/endpoints/endpoint_builder.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { LbEndpointSchema, LocalityLbEndpointsSchema } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { LocalityGroup } from "../mesh/localities.ts";
import { memoize } from "../mesh/memo.ts";
import type { LoadAssignment } from "../mesh/outbound.ts";
import type { Endpoint, ServicePort } from "../mesh/types.ts";
import { toAddress } from "./address.ts";
import { encodeResource } from "./encode.ts";

export const endpointResource = memoize(({ cluster, port, localities, sources }: LoadAssignment): EncodedResource => {
  const assignment = create(ClusterLoadAssignmentSchema, { clusterName: cluster, endpoints: localityEndpoints(port, localities) });
  return encodeResource(ClusterLoadAssignmentSchema, cluster, assignment, sources);
});

export function localityEndpoints(
  port: ServicePort,
  localities: readonly LocalityGroup[],
): MessageInitShape<typeof LocalityLbEndpointsSchema>[] {
  return localities.map(({ locality, priority, weight, endpoints }) => {
    const [region, zone, subZone] = locality.split("/");
    return {
      locality: locality ? { region, zone, subZone } : undefined,
      lbEndpoints: endpoints.map((endpoint) => lbEndpoint(port, endpoint)),
      loadBalancingWeight: Math.min(weight, 2 ** 32 - 1),
      priority,
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
