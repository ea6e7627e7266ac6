/** Proxies whose Envoy cannot do what the mesh asks of it: they go without, and are not refused the rest. */
import type { ProxyRecord } from "../ads/index.ts";
import type { Mesh } from "../mesh/types.ts";
import { abilitiesOf } from "../xds/envoy-version.ts";

/** What the proxy goes without, in words; undefined where it can do all, or is not there. */
export function tooOldFor(record: ProxyRecord, mesh: Mesh | undefined): string | undefined {
  if (record.disconnectedAt !== undefined || !mesh?.metrics.has(record.id) || abilitiesOf(record.envoyVersion).statsAccessLog)
    return undefined;
  const version = record.envoyVersion || "of an unknown version";
  return `Envoy ${version} counts none of Istio's metrics: its stats access logger came with 1.37`;
}
