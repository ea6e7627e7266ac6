/**
 * Who does not trust an authority yet, over all nodes: a root signs nothing before it is published in the shared store and every node whose card is on the
 * board says that its proxies have it. A node without a card is away, and waited for as proxies that are away are (ca/propagation.ts): until an SVID's life
 * after the publication, when nothing that it holds is good any more. What is not known: proxies of other nodes that are away, and came back elsewhere.
 */
import type { SvidType, TrustBundle, TrustPropagation } from "../ca/index.ts";
import { contentVersion } from "../lib/hash.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import type { MeshTrust } from "./cluster-trust.ts";
import type { NodeCard } from "./node-card.ts";

export interface ClusterPropagationOptions {
  readonly node: string;
  readonly records: Pick<ClusterRecords, "nodes" | "authorities">;
  readonly trust: Pick<MeshTrust, "bundle">;
  readonly cards: () => ReadonlyMap<string, Pick<NodeCard, "trusts">>;
}

const NOT_PUBLISHED = "the shared store, where it is not published yet";

/** `inner`: what this node's own proxies say. */
export function clusterPropagation(inner: TrustPropagation, { node, records, trust, cards }: ClusterPropagationOptions): TrustPropagation {
  return {
    missing(bundle, type) {
      const own = inner.missing(trust.bundle(), type);
      const wanted = trustIds(bundle, type);
      const published = records.authorities.get(node);
      const isPublished = published !== undefined && includesAll(trustIds({ x509: published.x509, jwt: published.jwt }, type), wanted);
      const connected = [...own.connected, ...(isPublished ? [] : [NOT_PUBLISHED])];
      const away = [...own.away];
      for (const other of records.nodes.keys()) {
        if (other === node) continue;
        const card = cards().get(other);
        if (!card) away.push(`node ${other}`);
        else if (!includesAll(card.trusts, wanted)) connected.push(`node ${other}`);
      }
      return { connected, away };
    },
  };
}

/** What of the bundle every proxy that is connected here has: for this node's card. */
export function trustedHere(inner: TrustPropagation, bundle: TrustBundle): readonly string[] {
  return (["x509", "jwt"] as const).flatMap((type) => (inner.missing(bundle, type).connected.length === 0 ? trustIds(bundle, type) : []));
}

/** Short names of what is to be trusted. */
function trustIds(
  { x509, jwt }: Pick<TrustBundle, "x509"> & { readonly jwt: readonly { readonly kid?: string }[] },
  type: SvidType,
): readonly string[] {
  return type === "x509" ? x509.map((pem) => contentVersion(new TextEncoder().encode(pem))) : jwt.flatMap(({ kid }) => kid ?? []);
}

const includesAll = (all: readonly string[], wanted: readonly string[]): boolean => wanted.every((one) => all.includes(one));
