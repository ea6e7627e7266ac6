/**
 * VirtualServices that hold for sidecars, with their hosts resolved, and which of them stand for a host.
 *
 * Of several for one host the oldest with a route for the port wins whole; they are not merged. A host that some VirtualService names exactly
 * is none of a wildcard's; of wildcards the longest wins (Istio, sidecar.go computeWildcardHostVirtualServiceIndex, route.go separateVSHostsAndServices).
 */
import { canonicalHost } from "../model/host.ts";
import type { Resource } from "../model/resource.ts";
import { isWildcard, mostSpecific } from "./hosts.ts";
import { memoize } from "./memo.ts";
import type { Settings } from "./types.ts";

export interface VirtualService {
  readonly resource: Resource<"VirtualService">;
  /** Canonical, in the user's order. */
  readonly hosts: readonly string[];
  /** A short name in a destination means a service of this namespace. */
  readonly namespace: string;
}

export interface VirtualServiceIndex {
  /** Oldest first. */
  readonly all: readonly VirtualService[];
  /** By host or wildcard, oldest first. */
  readonly byHost: ReadonlyMap<string, readonly VirtualService[]>;
}

/** `resources`: oldest first. */
export function buildVirtualServices(resources: readonly Resource<"VirtualService">[], settings: Settings): VirtualServiceIndex {
  const all = resources.filter(holdsForSidecars).map((resource) => virtualServiceOf(settings, resource));
  const byHost = new Map<string, VirtualService[]>();
  for (const virtualService of all) {
    for (const host of new Set(virtualService.hosts)) byHost.set(host, [...(byHost.get(host) ?? []), virtualService]);
  }
  return { all, byHost };
}

const virtualServiceOf = memoize((settings: Settings, resource: Resource<"VirtualService">): VirtualService => {
  const { namespace } = resource.metadata;
  return { resource, namespace, hosts: (resource.spec.hosts ?? []).map((host) => canonicalHost(host, namespace, settings.domain)) };
});

function holdsForSidecars({ spec }: Resource<"VirtualService">): boolean {
  return !spec.gateways?.length || spec.gateways.includes("mesh");
}

/** The VirtualServices that may route HTTP for a service's host, in the order in which they are asked. */
export function httpCandidates(index: VirtualServiceIndex, host: string): readonly VirtualService[] {
  const found = mostSpecific(host, index.byHost) ?? [];
  const isExact = index.byHost.get(host) === found;
  // Of the VirtualServices with the same wildcard only the oldest stands for a host that it covers.
  return isExact && !isWildcard(host) ? found : found.slice(0, 1);
}

/** The VirtualServices whose hosts overlap with a service's, oldest first: their tcp routes are asked in turn (getConfigsForHost). */
export function tcpCandidates(index: VirtualServiceIndex, host: string): readonly VirtualService[] {
  return index.all.filter(({ hosts }) => hosts.some((pattern) => overlaps(pattern, host)));
}

function overlaps(a: string, b: string): boolean {
  const [suffixA, suffixB] = [a, b].map((host) => (isWildcard(host) ? host.slice(1) : host)) as [string, string];
  if (isWildcard(a) && suffixB.endsWith(suffixA)) return true;
  if (isWildcard(b) && suffixA.endsWith(suffixB)) return true;
  return a === b;
}
