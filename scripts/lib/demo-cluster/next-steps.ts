/** What the demo prints when it is up. */
import { join } from "node:path";
import { formatAddress } from "../lab/network.ts";
import { quote } from "../lab/show.ts";
import type { Cluster } from "./cluster.ts";

/** Commands that work as they stand, while the demo is up. */
export function formatNextSteps({ nodes: [first, second, third], shop, engine, meshDirectory }: Cluster): string {
  const { binary } = first.weft;
  const at = ({ weft }: typeof first, rest: string) => `${quote(binary)} ${rest} --data ${quote(weft.data)}`;
  return `
The mesh is up, on three nodes and ${engine.name} (${engine.url}). In another terminal:

  # as the shop, through its Envoy on node-1: each answer comes from another node
  curl -sSi -H 'Host: orders' http://${formatAddress(shop.place.outbound)}/

  # change what sidecars do, at any node: edit the release in the file first
  ${at(second, `apply -f ${quote(join(meshDirectory, "release.yaml"))}`)}

  # see what is in force, at any node
  ${at(third, "get VirtualService orders -o yaml")}
  ${at(first, "nodes")}
  ${at(second, "proxies")}

Files: ${meshDirectory} (policies), ${join(first.weft.data, "..", "logs")} (logs). Ctrl-C ends everything.`;
}
