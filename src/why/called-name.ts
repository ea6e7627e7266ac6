/** The endpoint of a call whose name is resolved then (resolution DYNAMIC_DNS): what Envoy's dynamic forward proxy connects to. */

import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import type { Endpoint } from "../mesh/types.ts";
import { isIpAddress } from "../model/check.ts";
import type { Leaving } from "./destination.ts";

/** Or why there is none. */
export function calledEndpoint({ caller, request, ownSni }: Leaving, cluster: OutboundCluster): Endpoint | string {
  if (caller.type === "gateway") return "a gateway resolves no names that its clients call";
  const place = request ? placeOf(request.authority, cluster) : { host: ownSni, port: cluster.port.number };
  if (!place.host) return "the connection names no host that could be resolved";
  return {
    address: place.host,
    ports: new Map([[cluster.port.number, place.port]]),
    labels: {},
    weight: 1,
    locality: "",
    mtlsPorts: new Set(),
    source: cluster.service.source,
  };
}

/** Where the Host header names no port, 80, or 443 where the cluster speaks TLS. */
function placeOf(authority: string, { policy }: OutboundCluster) {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(authority) ?? [];
  const isTls = policy.tls !== undefined && (policy.tls.mode ?? "DISABLE") !== "DISABLE";
  return { host: bracketed ?? plain?.toLowerCase(), port: port === undefined ? (isTls ? 443 : 80) : Number(port) };
}

/** What stands in for the answer of a name server, which `weft why` does not ask. */
export function resolvedStep(endpoint: Endpoint, port: number): string {
  const name = `${endpoint.address}:${endpoint.ports.get(port) ?? port}`;
  return isIpAddress(endpoint.address) ? `the call goes to ${name}` : `${name} is resolved when it is called`;
}
