/** A proxy's refusals, in Envoy's words and with the YAML that they come from. */
import type { ProxyStatus } from "../admin/control-plane.ts";
import { formatProvenance } from "../lib/provenance.ts";
import { clean } from "./output.ts";

/** Lines for people; none where the proxy refused nothing. */
export function nackLines(proxy: ProxyStatus): string[] {
  return proxy.types.flatMap(({ type, nack }) => {
    if (!nack) return [];
    const from = nack.resources.flatMap(({ name, sources }) =>
      sources.length > 0 ? sources.map((source) => `    ${name} from ${formatProvenance(source)}`) : [`    ${name} (weft's own)`],
    );
    return [
      `${proxy.id} refused ${type} of revision ${nack.revision} at ${nack.at}:`,
      `    ${nack.message.trimEnd()}`,
      ...new Set(from),
    ].map((line) => clean(line).replaceAll("\n", "\n    "));
  });
}
