/**
 * TrustDomains: the other trust domains whose workloads are known here. Each is known by its own bundle and never by another's, so nothing
 * of them is merged; which bundles there are, the control plane fetches (src/control/federation.ts).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { compareText } from "./hosts.ts";
import { memoize } from "./memo.ts";

type TrustDomain = Resource<"TrustDomain">;

export interface FederatedDomain {
  readonly trustDomain: string;
  readonly url: string;
  /** The SPIFFE ID with which the endpoint serves (https_spiffe); absent: by web PKI (https_web). */
  readonly endpointSpiffeId?: string;
  /** The bundle that stands in the resource. */
  readonly bootstrap?: string;
  readonly source: Provenance;
}

/** In a principal it stands for the mesh's own trust domain; a TrustDomain of that name would be no other's. */
const OWN_ALIAS = "cluster.local";

/** Why a TrustDomain federates nothing; undefined where it does, or where only an older one for the same domain stands before it. */
export function whyIdle(
  one: Pick<TrustDomain, "metadata" | "spec">,
  { trustDomain, rootNamespace }: { readonly trustDomain: string; readonly rootNamespace: string },
): "own" | "namespace" | undefined {
  const name = nameOf(one);
  if (name === trustDomain || name === OWN_ALIAS) return "own";
  return one.metadata.namespace === rootNamespace ? undefined : "namespace";
}

export function nameOf({ metadata, spec }: Pick<TrustDomain, "metadata" | "spec">): string {
  return spec.trustDomain ?? metadata.name;
}

/** By trust domain, sorted; the oldest of several for one (`sorted` is by age) holds. */
export function buildFederation(
  sorted: readonly TrustDomain[],
  own: { readonly trustDomain: string; readonly rootNamespace: string },
  previous?: readonly FederatedDomain[],
): readonly FederatedDomain[] {
  const oldest = new Map<string, FederatedDomain>();
  for (const one of sorted) {
    if (whyIdle(one, own) === undefined && !oldest.has(nameOf(one))) oldest.set(nameOf(one), domainOf(one));
  }
  const built = [...oldest.values()].sort((a, b) => compareText(a.trustDomain, b.trustDomain));
  return previous?.length === built.length && built.every((one, index) => one === previous[index]) ? previous : built;
}

const domainOf = memoize((one: TrustDomain): FederatedDomain => {
  const { bundleEndpoint, bundle } = one.spec;
  return {
    trustDomain: nameOf(one),
    url: bundleEndpoint.url,
    endpointSpiffeId: bundleEndpoint.endpointSPIFFEID,
    bootstrap: bundle,
    source: provenanceOf(one, "spec"),
  };
});
