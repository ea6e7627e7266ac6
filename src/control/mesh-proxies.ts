/** The proxies of the other nodes, as those tell of them on their cards, and how far that can be relied on. */

import type { ProxyStatus } from "../admin/control-plane.ts";
import type { Stale } from "../admin/nodes.ts";
import type { TypeRecord } from "../ads/index.ts";
import type { InForce, ProxyBehind } from "./in-force.ts";
import type { NodeCard } from "./node-card.ts";

/** A TypeRecord in the words of a card; of the types that a card does not name it is one for all of them, without a name. */
export interface TypeElsewhere extends Pick<TypeRecord, "status" | "ackedRevision" | "settledRevision"> {
  /** "LDS". */
  readonly type?: string;
  /** `at`: RFC 3339. */
  readonly nack?: { readonly revision: number; readonly at: string; readonly message: string };
}

export interface ProxyElsewhere {
  /** "ns/name" of the workload. */
  readonly id: string;
  readonly card: NodeCard;
  readonly status: ProxyStatus["status"];
  /** Why its status is not known. */
  readonly unknownBecause?: string;
  readonly types: readonly TypeElsewhere[];
}

/** Where the proxy of a workload is to be, seen from its node. */
export interface NodeState {
  readonly state: "here" | "connected" | "away" | "removed" | "nobody";
  /** Of one that is away, where it is known: milliseconds since the epoch. */
  readonly since?: number;
}

export interface MeshProxiesOptions {
  /** This node's name. */
  readonly node: string;
  /** By node; this node's own may be among them. */
  readonly cards: () => ReadonlyMap<string, NodeCard>;
  /** NodeCards.stale. */
  readonly stale: () => Stale | undefined;
  /** When a node's card was seen last, milliseconds since the epoch. */
  readonly lastSeen: (node: string) => number | undefined;
  /** Who is, and was, of the mesh; undefined where weft is alone with its store. */
  readonly members: () => { readonly nodes: ReadonlyMap<string, unknown>; readonly removed: ReadonlyMap<string, unknown> } | undefined;
}

export class MeshProxies {
  readonly #options: MeshProxiesOptions;
  #read: { readonly cards: ReadonlyMap<string, NodeCard>; readonly byId: ReadonlyMap<string, readonly ProxyElsewhere[]> } | undefined;

  constructor(options: MeshProxiesOptions) {
    this.#options = options;
  }

  /** As of when, and why only then, the cards are known; undefined where they are up to date. */
  stale(): Stale | undefined {
    return this.#options.stale();
  }

  /** Of the other nodes, sorted by name. */
  cards(): readonly NodeCard[] {
    const { node, cards, members } = this.#options;
    const removed = members()?.removed;
    return [...cards().values()]
      .filter((card) => card.node !== node && !removed?.has(card.node))
      .sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** Nodes of the mesh that have no card, sorted by name. */
  away(): readonly { readonly name: string; readonly since?: number }[] {
    const { node, cards, members, lastSeen } = this.#options;
    const away = [...(members()?.nodes.keys() ?? [])].filter((name) => name !== node && !cards().has(name));
    return away.sort().map((name) => ({ name, since: lastSeen(name) }));
  }

  stateOf(name: string): NodeState {
    const { node, cards, members, lastSeen } = this.#options;
    if (name === node) return { state: "here" };
    if (members()?.removed.has(name)) return { state: "removed" };
    if (cards().has(name)) return { state: "connected" };
    return members()?.nodes.has(name) ? { state: "away", since: lastSeen(name) } : { state: "nobody" };
  }

  /** Sorted by id; a proxy that two nodes tell of, as one that has just moved, is there twice. */
  all(): readonly ProxyElsewhere[] {
    return [...this.#byId()].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, all]) => all);
  }

  /** One for each node that has it. */
  of(id: string): readonly ProxyElsewhere[] {
    return this.#byId().get(id) ?? [];
  }

  #byId(): ReadonlyMap<string, readonly ProxyElsewhere[]> {
    const cards = this.#options.cards();
    // Another node's removal changes no cards, but makes its own go a moment later.
    if (this.#read?.cards === cards) return this.#read.byId;
    const byId = new Map<string, ProxyElsewhere[]>();
    for (const proxy of this.cards().flatMap(proxiesOf)) byId.set(proxy.id, [...(byId.get(proxy.id) ?? []), proxy]);
    this.#read = { cards, byId };
    return byId;
  }
}

/** What a card says of each proxy of its node. */
export function proxiesOf(card: NodeCard): readonly ProxyElsewhere[] {
  const { inForce } = card;
  if (!inForce) return card.proxies.map((id) => ({ id, card, status: "UNKNOWN", unknownBecause: earlier(card), types: [] }));
  const named = new Map((inForce.behind ?? []).map((one) => [one.id, one]));
  const ids = new Set([...card.proxies, ...named.keys()]);
  const rest = statusOfRest(card, inForce, ids.size - named.size);
  return [...ids].map((id) => {
    const behind = named.get(id);
    return behind ? { id, card, ...namedState(behind, card) } : { id, card, ...rest };
  });
}

export const earlier = ({ node }: Pick<NodeCard, "node">): string =>
  `node ${node} runs an earlier weft, which does not tell what its proxies have`;

function statusOfRest(
  { node, revision }: NodeCard,
  inForce: InForce,
  count: number,
): Pick<ProxyElsewhere, "status" | "unknownBecause" | "types"> {
  const { revision: has, more = 0 } = inForce;
  const isBehind = more > 0;
  const types = [{ status: isBehind ? "PENDING" : "SYNCED", ackedRevision: has, settledRevision: has } as const];
  if (!isBehind) return { status: "SYNCED", types };
  if (more >= count) return { status: "PENDING", types };
  return { status: "UNKNOWN", unknownBecause: `it is one of ${count} of node ${node}, of which ${more} lack revision ${revision}`, types };
}

function namedState({ acked, refused = [] }: ProxyBehind, { revision }: NodeCard): Pick<ProxyElsewhere, "status" | "types"> {
  const isPending = acked === undefined || acked < revision;
  const others: TypeElsewhere = { status: isPending ? "PENDING" : "SYNCED", ackedRevision: acked, settledRevision: acked };
  const refusing = refused.map(
    ({ type, acked: ackedRevision, settled: settledRevision, reason: message, revision: of, at }): TypeElsewhere => ({
      type,
      status: "NACKED",
      ackedRevision,
      settledRevision,
      nack: { revision: of, at, message },
    }),
  );
  return { status: refusing.length > 0 ? "NACKED" : isPending ? "PENDING" : "SYNCED", types: [others, ...refusing] };
}
