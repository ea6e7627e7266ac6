/** Gateways that no proxy serves, and servers that stand back behind others. */
import { ANNOTATION } from "../../model/annotations.ts";
import { type GatewayServer, mergedServers } from "../gateway-servers.ts";
import { isGateway } from "../gateways.ts";
import { type Context, nameOf } from "./context.ts";

export function findGatewayTrouble(context: Context): void {
  const resources = context.of("Gateway");
  const byName = new Map(resources.map((resource) => [`${resource.metadata.namespace}/${resource.metadata.name}`, resource]));
  const proxies = context.workloads("*").filter(isGateway);
  for (const resource of resources) {
    const selected = context.workloads("*", resource.spec.selector);
    if (selected.length === 0 || selected.some(isGateway)) continue;
    const message = `none of the ${selected.length} workloads with these labels is a gateway`;
    const help = `annotate the WorkloadEntry of the gateway's proxy: ${ANNOTATION.type}: gateway`;
    context.warn("selectsNothing", resource, ["spec", "selector"], message, help);
  }
  const told = new Set<string>();
  for (const proxy of proxies) {
    for (const { server, by } of mergedServers(resources, proxy, context.mesh.settings).skipped) {
      const resource = byName.get(server.gateway);
      const first = byName.get(by.gateway);
      const at = `${server.gateway} ${server.index}`;
      if (!resource || !first || told.has(at)) continue;
      told.add(at);
      const path = ["spec", "servers", server.index];
      const place = `${nameOf(first)} servers[${by.index}]`;
      if (isTls(server) && isTls(by)) {
        context.warn("conflictingHost", resource, [...path, "hosts"], `${place} has one of these hosts at port ${server.port} too`);
      } else {
        const message = `${place} has ${by.spec.port.protocol} at port ${server.port} of the same proxy`;
        context.warn("protocolConflict", resource, [...path, "port", "protocol"], message);
      }
    }
  }
}

function isTls({ kind }: GatewayServer): boolean {
  return kind === "https" || kind === "tls" || kind === "passthrough";
}
