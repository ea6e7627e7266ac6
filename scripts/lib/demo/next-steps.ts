/** What the demo prints when it is up. */
import { join } from "node:path";
import { formatAddress } from "../lab/network.ts";
import { quote } from "../lab/show.ts";
import { inboundOf } from "../lab/workload.ts";
import type { Town } from "./town.ts";

/** Commands that work as they stand, while the demo is up. */
export function formatNextSteps(town: Town): string {
  const { weft, meshDirectory } = town;
  const shop = formatAddress(town.place("shop-1").outbound);
  const stock = formatAddress(town.place("stock-1").outbound);
  const file = (name: string) => quote(join(meshDirectory, name));
  const cli = (rest: string) => `${quote(weft.binary)} ${rest} --data ${quote(weft.data)}`;
  const socket = quote(join(weft.data, "admin.sock"));
  return `
The mesh is up. In another terminal:

  # as the shop, through its Envoy; as stock, which may not; as the legacy client, in plaintext
  curl -sSi -H 'Host: orders' http://${shop}/
  curl -sSi -H 'Host: orders' http://${stock}/
  curl -sSi http://${formatAddress(inboundOf(town.place("orders-v1")))}/

  # change a policy: edit the file first if you like
  ${cli(`apply -f ${file("permissive.yaml")}`)}
  ${cli(`apply -f ${file("split.yaml")}`)}
  ${cli("delete AuthorizationPolicy orders")}

  # see what is in force
  ${cli("services")}
  ${cli("mtls orders")}
  ${cli("proxies")}
  ${cli("get VirtualService orders -o yaml")}
  curl -s --unix-socket ${socket} http://weft/v1/services/orders/mtls

Files: ${meshDirectory} (policies), ${join(weft.data, "..", "logs")} (logs). Ctrl-C ends everything.`;
}
