/** Routes that ask for claims at gateways where nobody looks at tokens (Istio's analyzer virtualservice.JWTClaimRouteAnalyzer). */
import { routingClaim } from "../../lib/routing-claim.ts";
import { hasLabels } from "../callers.ts";
import { gatewayKey } from "../gateway-names.ts";
import { isGateway } from "../gateways.ts";
import type { Context } from "./context.ts";

export function findClaimsNobodyReads(context: Context): void {
  const { mesh } = context;
  const gateways = new Map(context.of("Gateway").map((gateway) => [`${gateway.metadata.namespace}/${gateway.metadata.name}`, gateway]));
  const blind = context.workloads("*").filter((one) => isGateway(one) && !mesh.authentication.get(one.key)?.rules.length);
  for (const resource of blind.length > 0 ? context.of("VirtualService") : []) {
    const bound = (resource.spec.gateways ?? []).flatMap((name) => gateways.get(gatewayKey(name, resource.metadata.namespace)) ?? []);
    const proxy = blind.find(({ labels }) => bound.some(({ spec }) => hasLabels(labels, spec.selector)));
    if (!proxy) continue;
    for (const [at, { match = [] }] of (resource.spec.http ?? []).entries()) {
      for (const [part, { headers = {} }] of match.entries()) {
        const name = Object.keys(headers).find(routingClaim);
        if (name === undefined) continue;
        const message = `no RequestAuthentication selects the gateway ${proxy.key}, so no request has claims there`;
        const help = "add a RequestAuthentication whose selector fits the gateway's labels";
        context.warn("neverMatches", resource, ["spec", "http", at, "match", part, "headers", name], message, help);
      }
    }
  }
}
