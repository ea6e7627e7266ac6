/** A proxy's refusals, in Envoy's words and with the YAML that they come from. */
import type { ProxyStatus } from "../admin/control-plane.ts";
import { formatProvenance } from "../lib/provenance.ts";
import { clean } from "./output.ts";

/** Enough for the reason; what follows is the refused message as Envoy prints it for debugging. */
const MOST_LINES = 10;
const LONGEST_LINE = 400;
const REASON = "Proto constraint validation failed";

/** Lines for people; none where the proxy refused nothing. Envoy's words are shortened unless `whole`: `-o json` has all of them. */
export function nackLines(proxy: ProxyStatus, { whole = false } = {}): string[] {
  return proxy.types.flatMap(({ type, nack }) => {
    if (!nack) return [];
    const node = proxy.on_node;
    const from = nack.resources.flatMap(({ name, sources }) =>
      sources.length > 0 ? sources.map((source) => `    ${name} from ${formatProvenance(source)}`) : [`    ${name} (weft's own)`],
    );
    return [
      `${proxy.id}${node === undefined ? "" : ` (node ${node})`} refused ${type} of revision ${nack.revision} at ${nack.at}:`,
      `    ${whole ? nack.message.trimEnd() : shortened(nack.message.trimEnd(), `weft proxies ${proxy.id} -o json`)}`,
      ...new Set(from),
      ...(node === undefined ? [] : [`    from which YAML, and all of Envoy's words: weft proxies ${proxy.id}, at node ${node}`]),
    ].map((line) => clean(line).replaceAll("\n", "\n    "));
  });
}

function shortened(message: string, whole: string): string {
  const all = message.split("\n");
  // The line with the reason, wherever it is: it begins with the resource's name.
  const from = Math.max(
    0,
    all.findIndex((line) => line.includes(REASON)),
  );
  const shown = all.slice(from, from + MOST_LINES).map((line) => {
    const more = line.length - LONGEST_LINE;
    return more > 0 ? `${line.slice(0, LONGEST_LINE)}... ${more} more characters: ${whole}` : line;
  });
  const more = all.length - shown.length;
  return more > 0 ? [...shown, `... ${more} more lines: ${whole}`].join("\n") : shown.join("\n");
}
