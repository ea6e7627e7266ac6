/** A Sidecar's egress listeners with a port: each is bound, and leads to its own services alone (Istio, listener.go buildSidecarOutboundListeners). */
import type { Provenance } from "../lib/provenance.ts";
import type { EgressBind } from "../model/sidecar-egress.ts";
import { internList, memoize } from "./memo.ts";
import { listenerTable, type RouteInputs, type RouteTable } from "./route-tables.ts";
import { isHttp, protocolOf } from "./services.ts";
import type { ListenerScope } from "./sidecars.ts";
import { firstClaims, type TcpInputs, type TcpRoute, tcpRoutes } from "./tcp-routes.ts";
import type { Service, ServicePort } from "./types.ts";

export interface EgressListener {
  readonly bind: EgressBind;
  /** Sorted by host; with the port that the listener leads to, or all of them. */
  readonly services: readonly Service[];
  /** The name of the route table: the port's number, or "unix:///PATH". Undefined for TCP. */
  readonly table?: string;
  /** Of TCP, at least one. */
  readonly tcp?: readonly TcpRoute[];
  readonly source: Provenance;
}

export interface BuiltListener {
  readonly listener: EgressListener;
  readonly table?: RouteTable;
}

type Inputs = RouteInputs & TcpInputs;

/** undefined for the listener that stands for all other calls, and for one that leads to no service: Istio opens none either. */
export function buildEgressListener({ bind, protocol = "TCP", source }: ListenerScope, inputs: Inputs): BuiltListener | undefined {
  if (!bind || inputs.services.length === 0) return undefined;
  const isProxy = protocol === "HTTP_PROXY";
  const services = internList(inputs.services);
  if (isProxy || isHttp(protocolOf(protocol) ?? "TCP")) {
    const name = bind.port === 0 ? `unix://${bind.address}` : String(bind.port);
    // A proxy and a Unix socket have no port of their own: the Host header names the service's (BuildSidecarOutboundVirtualHosts).
    const table = listenerTable(name, isProxy ? 0 : bind.port, inputs);
    return { listener: kept({ bind, services, table: name, source }), table };
  }
  const tcp = firstClaims(services.flatMap((service) => serviceRoutes(service, bind, protocolOf(protocol) ?? "TCP", inputs)));
  return tcp.length === 0 ? undefined : { listener: kept({ bind, services, tcp, source }) };
}

/** The same object for the same content: services are compared by identity, the rest is short. */
function kept(listener: EgressListener): EgressListener {
  const known = listenersOf(listener.services);
  const { services: _, ...rest } = listener;
  const key = JSON.stringify(rest);
  const found = known.get(key) ?? listener;
  known.set(key, found);
  return found;
}

const listenersOf = memoize((_services: readonly Service[]) => new Map<string, EgressListener>());

/** The listener's protocol decides, not the service's. A Unix socket leads to a service's only port (buildSidecarOutboundTCPFilterChainOpts). */
function serviceRoutes(service: Service, bind: EgressBind, protocol: ServicePort["protocol"], inputs: Inputs): readonly TcpRoute[] {
  const port =
    bind.port === 0 ? (service.ports.length === 1 ? service.ports[0] : undefined) : service.ports.find((one) => one.number === bind.port);
  if (!port) return [];
  return tcpRoutes(service, { ...port, protocol }, inputs.surroundings, bind.port === 0 ? { ...inputs, unix: true } : inputs);
}
