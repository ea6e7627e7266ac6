/** Which SPIFFE IDs a workload, or the instances of a WorkloadGroup, may hold SVIDs of: to revoke it is to revoke these too. */
import { type TokenHolder, workloadSpiffeId, X509_SVID_BOUNDS } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { Document, Store } from "../store/store.ts";

/**
 * What it was before counts as well, and also where it is gone: a certificate outlives a change by its lifetime, and is revoked the more often
 * because something was changed.
 * @throws WeftError "unavailable"
 */
export async function spiffeIdsOf(
  { kind, namespace, name }: TokenHolder,
  { store, clock, trustDomain }: { readonly store: Pick<Store, "get" | "history">; readonly clock: Clock; readonly trustDomain: string },
): Promise<readonly string[]> {
  const isGroup = kind === "WorkloadGroup";
  const id = { kind: isGroup ? "WorkloadGroup" : "WorkloadEntry", namespace, name };
  const [now, history] = await Promise.all([store.get(id), store.history(id)]);
  const since = clock.now() - X509_SVID_BOUNDS.most;
  // Newest first, and cut at its limit: those since then, and the one that held when they began.
  const before = history.findIndex(({ at }) => Date.parse(at) < since);
  const held = [...(now ? [now] : []), ...(before === -1 ? history : history.slice(0, before + 1))];
  const accounts = new Set(held.flatMap(({ document }) => (isGroup ? accountOfGroup(document) : accountOfEntry(document))));
  return [...accounts].sort().map((account) => workloadSpiffeId(trustDomain, namespace, account));
}

/** Whether there is such a workload or WorkloadGroup, or was, as far back as the store's history goes. @throws WeftError "unavailable" */
export async function wasEverThere({ kind, namespace, name }: TokenHolder, store: Pick<Store, "get" | "history">): Promise<boolean> {
  const id = { kind: kind === "WorkloadGroup" ? kind : "WorkloadEntry", namespace, name };
  return (await store.get(id)) !== undefined || (await store.history({ ...id, limit: 1 })).length > 0;
}

function accountOfEntry(document: Document): readonly string[] {
  const account = part(document, "spec").serviceAccount;
  return typeof account === "string" && account !== "" ? [account] : [];
}

/** istio/api says that an empty one defaults to "default". */
function accountOfGroup(document: Document): readonly string[] {
  const account = part(part(document, "spec"), "template").serviceAccount;
  return [typeof account === "string" && account !== "" ? account : "default"];
}

function part(document: Document, name: string): Document {
  const value = document[name];
  return typeof value === "object" && value !== null ? (value as Document) : {};
}
