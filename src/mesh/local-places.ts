/** Where a workload's sidecar takes connections to a service's port, since nothing intercepts them. */
import type { OutboundPort } from "./outbound-ports.ts";
import type { Workload } from "./types.ts";

export interface LocalPlace {
  readonly address: string;
  readonly port: number;
}

/** The annotation weft.dev/listen where there is one, else the addresses of the ServiceEntry that are single ones; none where there are none. */
export function localPlaces({ listen }: Workload, { service, port, addresses }: OutboundPort): LocalPlace[] {
  if (!listen) return addresses.map((address) => ({ address, port: port.number }));
  const asked = listen.filter((entry) => entry.host === service.host && entry.port === port.number);
  return asked.map(({ address, localPort }) => ({ address, port: localPort }));
}
