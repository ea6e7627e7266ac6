/** Hosts of VirtualServices that no server of their Gateways takes, and VirtualServices that the Gateways' proxies do not see. */

import { canonicalHost } from "../../model/host.ts";
import type { Resource } from "../../model/resource.ts";
import { isVisible } from "../../model/visibility.ts";
import { gatewayKey } from "../gateway-names.ts";
import { intersection } from "../gateway-routes.ts";
import { hostsFor, hostsOf } from "../gateway-servers.ts";
import { isGateway } from "../gateways.ts";
import { type Context, some } from "./context.ts";

export function findHostsWithoutServer(context: Context): void {
  const gateways = new Map(context.of("Gateway").map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]));
  if (gateways.size === 0) return;
  for (const resource of context.of("VirtualService")) {
    const named = (resource.spec.gateways ?? []).filter((name) => name !== "mesh");
    const bound = named.flatMap((name) => gateways.get(gatewayKey(name, resource.metadata.namespace)) ?? []);
    // One that is missing is told by itself, and might take the rest.
    if (bound.length === 0 || bound.length < named.length) continue;
    if (checkSight(context, resource, bound) && !resource.spec.gateways?.includes("mesh")) checkHosts(context, resource, bound);
  }
}

/** Whether some proxy of the Gateways may see it; without proxies that is not to be told. */
function checkSight(context: Context, resource: Resource<"VirtualService">, bound: readonly Resource<"Gateway">[]): boolean {
  const { metadata, spec } = resource;
  const proxies = bound.flatMap((gateway) => context.workloads("*", gateway.spec.selector).filter(isGateway));
  const namespaces = [...new Set(proxies.map(({ namespace }) => namespace))];
  if (namespaces.length === 0 || namespaces.some((namespace) => isVisible(spec.exportTo, metadata.namespace, namespace))) return true;
  const message = `the proxies of its Gateways are in namespace ${some(namespaces)}, which does not see it`;
  context.warn("noEffect", resource, ["spec", "exportTo"], message, `add ${some(namespaces)}, or leave exportTo out`);
  return false;
}

function checkHosts(context: Context, resource: Resource<"VirtualService">, bound: readonly Resource<"Gateway">[]): void {
  const { domain } = context.mesh.settings;
  const { namespace } = resource.metadata;
  const servers = bound.flatMap((gateway) =>
    gateway.spec.servers.map(({ hosts }) => hostsOf(hosts, gateway.metadata.namespace, context.mesh.settings)),
  );
  const taken = servers.flatMap((hosts) => hostsFor({ hosts }, namespace));
  for (const [index, host] of (resource.spec.hosts ?? []).entries()) {
    if (intersection(taken, [canonicalHost(host, namespace, domain)]).length > 0) continue;
    const message = `no server of ${bound.length > 1 ? "its Gateways" : "its Gateway"} takes it from a VirtualService of namespace ${namespace}`;
    context.warn("noEffect", resource, ["spec", "hosts", index], message, `they take: ${some([...new Set(taken)], 8) || "none"}`);
  }
}
