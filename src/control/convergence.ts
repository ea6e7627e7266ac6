/** Whether a revision is in force: what each connected proxy has said to it, here by the ledger of ADS, at other nodes by their cards. */
import type { ControlPlane, ProxyStatus } from "../admin/control-plane.ts";
import type { NodeConvergence } from "../admin/nodes.ts";
import type { ProxyRecord, TypeRecord } from "../ads/index.ts";
import { earlier, type MeshProxies, proxiesOf, type TypeElsewhere } from "./mesh-proxies.ts";
import type { NodeCard } from "./node-card.ts";
import { elsewhereStatus, otherNodesOf, proxyStatus } from "./proxy-status.ts";

type Convergence = ReturnType<ControlPlane["convergence"]>;
type Proxies = Pick<Convergence, "acked" | "nacked" | "pending" | "still_nacked">;
type Answer = "acked" | "pending" | "nacked" | "still nacked";
type Answered = Pick<TypeRecord, "status" | "ackedRevision" | "settledRevision"> & { readonly nack?: { readonly revision: number } };

interface Asked<Type> {
  readonly id: string;
  readonly types: readonly Type[];
  /** It, with these types only. */
  show(types: readonly Type[]): ProxyStatus;
}

/** `elsewhere`: the other nodes' proxies. */
export function convergenceOf(records: readonly ProxyRecord[], revision: number, elsewhere: MeshProxies): Convergence {
  const here = judge<TypeRecord>(
    records.map((record) => ({ id: record.id, types: record.types, show: (types) => proxyStatus({ ...record, types }) })),
    revision,
  );
  const isStale = elsewhere.stale() !== undefined;
  const others = elsewhere.cards().map((card) => atNode(card, revision, isStale));
  if (others.length === 0) return { ...here, ...otherNodesOf(elsewhere) };
  const pending = union([here, ...others].map((one) => one.pending));
  const lacking = new Set(pending);
  return {
    // One that has just moved is known to two nodes.
    acked: union([here, ...others].map((one) => one.acked)).filter((id) => !lacking.has(id)),
    nacked: [here, ...others].flatMap((one) => one.nacked),
    pending,
    still_nacked: [here, ...others].flatMap((one) => one.still_nacked),
    nodes: others.map(({ node }) => node),
    ...otherNodesOf(elsewhere),
  };
}

const union = (all: readonly (readonly string[])[]): readonly string[] => [...new Set(all.flat())];

/** A card counts for the revision that it tells of and for earlier ones, and for none where it may be out of date. */
function atNode(card: NodeCard, revision: number, isStale: boolean): Proxies & { readonly node: NodeConvergence } {
  const about = { name: card.node, revision: card.revision };
  // Where nobody is connected nothing is to be told.
  const isSilent = !card.inForce && card.proxies.length > 0;
  if (isStale || isSilent) {
    const reason = isStale ? {} : { reason: earlier(card) };
    const pending = card.proxies;
    return { acked: [], nacked: [], pending, still_nacked: [], node: { ...about, state: "unknown", pending, ...reason } };
  }
  const judged = judge<TypeElsewhere>(
    proxiesOf(card).map((proxy) => ({ id: proxy.id, types: proxy.types, show: (types) => elsewhereStatus({ ...proxy, types }) })),
    revision,
  );
  const { pending, nacked } = judged;
  const isBehind = card.revision < revision;
  const { more = 0 } = card.inForce ?? {};
  const reason = isBehind ? `it told of revision ${card.revision} last` : `${more} of them lack revision ${card.revision}`;
  const isPending = isBehind || pending.length > 0;
  const state = isPending ? "pending" : nacked.length > 0 ? "refused" : "in_force";
  return { ...judged, node: { ...about, state, pending, ...(isBehind || more > 0 ? { reason } : {}) } };
}

/**
 * A proxy may have several streams, and the worst counts. A refusal of an earlier revision that still stands is no answer to this one:
 * else one broken resource would make every later change look refused.
 */
function judge<Type extends Answered>(proxies: readonly Asked<Type>[], revision: number): Proxies {
  const ids = { acked: new Set<string>(), pending: new Set<string>() };
  const nacked: ProxyStatus[] = [];
  const still: ProxyStatus[] = [];
  for (const proxy of proxies) {
    const answers = new Map(proxy.types.map((type) => [type, answerOf(type, revision)]));
    const said = new Set(answers.values());
    const only = (wanted: Answer) => proxy.show(proxy.types.filter((type) => answers.get(type) === wanted));
    if (said.has("nacked")) nacked.push(only("nacked"));
    else ids[said.has("pending") || !(said.has("acked") || said.has("still nacked")) ? "pending" : "acked"].add(proxy.id);
    if (said.has("still nacked")) still.push(only("still nacked"));
  }
  for (const { id } of nacked) for (const set of Object.values(ids)) set.delete(id);
  for (const id of ids.pending) ids.acked.delete(id);
  return { acked: [...ids.acked], nacked, pending: [...ids.pending], still_nacked: still };
}

/** undefined where the proxy does not subscribe to the type. */
function answerOf({ status, nack, ackedRevision = -1, settledRevision = -1 }: Answered, revision: number): Answer | undefined {
  if (status === "NOT_SUBSCRIBED") return undefined;
  if (ackedRevision >= revision) return "acked";
  if (settledRevision < revision || !nack) return "pending";
  return nack.revision >= revision ? "nacked" : "still nacked";
}
