/** Whether an Envoy has a stream to weft, by its own word. */
import { ADMIN_TIMEOUT_MS } from "./constants.ts";

/** @param admin HOST:PORT. @throws where Envoy does not answer, or does not say */
export async function isConnectedToWeft(admin: string): Promise<boolean> {
  const query = "filter=^control_plane\\.connected_state$&format=json";
  const response = await fetch(`http://${admin}/stats?${query}`, { signal: AbortSignal.timeout(ADMIN_TIMEOUT_MS), proxy: false });
  const { stats } = (await response.json()) as { stats: readonly { readonly name?: string; readonly value?: number }[] };
  const state = stats.find(({ name }) => name === "control_plane.connected_state")?.value;
  if (state === undefined) throw new Error("Envoy does not say whether it is connected");
  return state === 1;
}
