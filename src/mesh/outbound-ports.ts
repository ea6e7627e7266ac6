/** The ports of services that callers may reach, and where the routes of those that are not HTTP lead. */
import { isIpAddress } from "../model/check.ts";
import type { Surroundings } from "./http-routes.ts";
import { memoize, type Pool } from "./memo.ts";
import { isHttp } from "./services.ts";
import { type TcpInputs, type TcpRoute, tcpRoutes } from "./tcp-routes.ts";
import type { Service, ServicePort, Workload } from "./types.ts";

/** A port of a service that callers may reach. */
export interface OutboundPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** The service's addresses that are single ones, where a listener can be. */
  readonly addresses: readonly string[];
  /** Undefined for HTTP: its routes are in the tables. At least one. */
  readonly tcp?: readonly TcpRoute[];
}

export function portOf(
  service: Service,
  port: ServicePort,
  surroundings: Surroundings,
  inputs: TcpInputs & { readonly pool: Pool },
): OutboundPort {
  if (isHttp(port.protocol)) return httpPort(service, port);
  const tcp = tcpRoutes(service, port, surroundings, inputs);
  return inputs.pool.keep(`tcp ${service.host} ${JSON.stringify([tcp, service, port])}`, () => ({ ...httpPort(service, port), tcp }));
}

const httpPort = memoize(
  (service: Service, port: ServicePort): OutboundPort => ({ service, port, addresses: service.addresses.filter(isIpAddress) }),
);

/** HTTP ports for which a listener may exist outside the outbound listener. */
export function listenedPorts(services: readonly Service[], workloads: readonly Workload[]): ReadonlySet<number> {
  const asked = new Set(workloads.flatMap(({ listen }) => listen ?? []).map(({ host, port }) => `${host}:${port}`));
  const ports = services.flatMap((service) =>
    service.ports.filter(
      ({ number, protocol }) => isHttp(protocol) && (service.addresses.some(isIpAddress) || asked.has(`${service.host}:${number}`)),
    ),
  );
  return new Set(ports.map(({ number }) => number));
}
