/** What a test needs to be a proxy of a running weft. */
import type { Target } from "../feature/ads-client.ts";
import type { Weft } from "./harness.ts";

export const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
export const LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener";
export const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/** Its ADS port. */
export function adsOf({ listening }: Weft): Target {
  const at = listening.ads.lastIndexOf(":");
  return { address: listening.ads.slice(0, at), port: Number(listening.ads.slice(at + 1)) };
}

/** A token by which a proxy proves that it is the workload's. */
export async function tokenOf(weft: Weft, workload: string): Promise<string> {
  const { status, text, json } = await weft.ask("POST", "/v1/tokens", JSON.stringify({ workload }));
  if (status !== 201) throw new Error(`token: ${status} ${text}`);
  return json.token;
}
