/** Whether a revision is in force: what each connected proxy has said to it, by the ledger of ADS. */
import type { ControlPlane } from "../admin/control-plane.ts";
import type { ProxyRecord, TypeRecord } from "../ads/index.ts";
import { proxyStatus } from "./proxy-status.ts";

type Answer = "acked" | "pending" | "nacked" | "still nacked";

/**
 * A proxy may have several streams, and the worst counts. A refusal of an earlier revision that still stands is no answer to this one:
 * else one broken resource would make every later change look refused.
 */
export function convergenceOf(records: readonly ProxyRecord[], revision: number): ReturnType<ControlPlane["convergence"]> {
  const ids = { acked: new Set<string>(), pending: new Set<string>() };
  const nacked: ProxyRecord[] = [];
  const still: ProxyRecord[] = [];
  for (const record of records) {
    const answers = new Map(record.types.map((type) => [type, answerOf(type, revision)]));
    const said = new Set(answers.values());
    const only = (wanted: Answer) => ({ ...record, types: record.types.filter((type) => answers.get(type) === wanted) });
    if (said.has("nacked")) nacked.push(only("nacked"));
    else ids[said.has("pending") || !(said.has("acked") || said.has("still nacked")) ? "pending" : "acked"].add(record.id);
    if (said.has("still nacked")) still.push(only("still nacked"));
  }
  for (const { id } of nacked) for (const set of Object.values(ids)) set.delete(id);
  for (const id of ids.pending) ids.acked.delete(id);
  return {
    acked: [...ids.acked],
    nacked: nacked.map((record) => proxyStatus(record)),
    pending: [...ids.pending],
    still_nacked: still.map((record) => proxyStatus(record)),
  };
}

/** undefined where the proxy does not subscribe to the type. */
function answerOf({ status, nack, ackedRevision = -1, settledRevision = -1 }: TypeRecord, revision: number): Answer | undefined {
  if (status === "NOT_SUBSCRIBED") return undefined;
  if (ackedRevision >= revision) return "acked";
  if (settledRevision < revision || !nack) return "pending";
  return nack.revision >= revision ? "nacked" : "still nacked";
}
