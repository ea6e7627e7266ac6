/** Which virtual host takes a Host header (envoy, source/common/router/config_impl.cc findVirtualHost). */
import type { RouteTable, VirtualHost } from "../mesh/route-tables.ts";

/** An exact domain, else the longest wildcard that leaves at least one character to its star, else "*". Without case. */
export function findVirtualHost({ virtualHosts, ignorePort }: RouteTable, authority: string): VirtualHost | undefined {
  const lower = authority.toLowerCase();
  const host = ignorePort ? lower.replace(/:\d+$/, "") : lower;
  let best: { readonly virtualHost: VirtualHost; readonly rank: number } | undefined;
  for (const virtualHost of virtualHosts) {
    for (const domain of virtualHost.domains) {
      const rank = rankOf(domain.toLowerCase(), host);
      if (rank > (best?.rank ?? 0)) best = { virtualHost, rank };
    }
  }
  return best?.virtualHost;
}

const EXACT = 1e9;

/** 0 does not match. */
function rankOf(domain: string, host: string): number {
  if (domain === host) return EXACT;
  if (domain === "*") return 1;
  const covers = domain.startsWith("*") && host.length >= domain.length && host.endsWith(domain.slice(1));
  return covers ? domain.length : 0;
}
