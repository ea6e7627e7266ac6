/**
 * VirtualServices that hold for sidecars, with their hosts resolved and their delegates in place; what each caller sees of them; and
 * which of them stand for a host.
 *
 * Of several for one host the first with a route for the caller and the port wins whole; they are not merged. First come those exported to
 * the own namespace alone, then those that other namespaces export to it by name, then those for all; oldest first (Istio, virtualservice.go
 * SelectVirtualServices). A host that some VirtualService names exactly is none of a wildcard's; of wildcards the longest wins (sidecar.go
 * computeWildcardHostVirtualServiceIndex, route.go separateVSHostsAndServices).
 */
import type { Provenance } from "../lib/provenance.ts";
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { type HttpRoute as HttpRouteSpec, isForMesh, type TcpRoute, type TlsRoute } from "../model/virtual-service.ts";
import type { HttpMatch, L4Match, TlsMatch } from "../model/virtual-service-match.ts";
import { isVisible } from "../model/visibility.ts";
import { type Caller, hasLabels } from "./callers.ts";
import { delegateOf, httpRulesOf } from "./delegates.ts";
import { isWildcard, mostSpecific } from "./hosts.ts";
import { memoize } from "./memo.ts";
import type { Settings } from "./types.ts";

export interface RuleMatch {
  /** Undefined takes everything. */
  readonly match?: HttpMatch;
  readonly source: Provenance;
}

/** An http rule, a delegate's with what it inherits from its root. */
export interface HttpRule {
  readonly spec: HttpRouteSpec;
  /** At least one. */
  readonly matches: readonly RuleMatch[];
  /** A short name in a destination means a service of this namespace. */
  readonly namespace: string;
  readonly source: Provenance;
  /** Of each destination. */
  readonly targets: readonly Provenance[];
}

/** A tls or tcp rule. */
export interface L4Rule<Spec, Match> {
  readonly spec: Spec;
  /** Empty takes everything (tcp only). */
  readonly matches: readonly Match[];
  readonly source: Provenance;
}

export interface VirtualService {
  readonly resource: Resource<"VirtualService">;
  /** Canonical, in the user's order. */
  readonly hosts: readonly string[];
  /** A short name in a destination of a tls or tcp rule means a service of this namespace. */
  readonly namespace: string;
  readonly http: readonly HttpRule[];
  readonly tls: readonly L4Rule<TlsRoute, TlsMatch>[];
  readonly tcp: readonly L4Rule<TcpRoute, L4Match>[];
  /** Its own, then its delegates'. */
  readonly sources: readonly Provenance[];
}

/** What a caller sees. */
export interface VirtualServiceIndex {
  /** In the order in which they are asked. */
  readonly all: readonly VirtualService[];
  /** By host or wildcard, in the same order. */
  readonly byHost: ReadonlyMap<string, readonly VirtualService[]>;
}

/** Those that hold for sidecars, or whichever `holds` says. `resources`: oldest first. */
export function buildVirtualServices(
  resources: readonly Resource<"VirtualService">[],
  settings: Settings,
  holds: (resource: Resource<"VirtualService">) => boolean = ({ spec }) => isForMesh(spec),
): readonly VirtualService[] {
  const isRoot = ({ spec }: Resource<"VirtualService">) => (spec.hosts?.length ?? 0) > 0;
  const delegates = new Map(
    resources.filter((one) => !isRoot(one)).map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one] as const),
  );
  return resources
    .filter((resource) => isRoot(resource) && holds(resource))
    .map((resource) => {
      const routes = resource.spec.http ?? [];
      if (!routes.some(({ delegate }) => delegate)) return virtualServiceOf(settings, resource);
      return virtualServiceOf(
        settings,
        resource,
        ...routes.map((route) => delegateOf(delegates, route, resource.metadata.namespace) ?? NONE),
      );
    });
}

/** Where a rule delegates nothing, or to what is not there. */
const NONE = {};

const virtualServiceOf = memoize(
  (
    settings: Settings,
    resource: Resource<"VirtualService">,
    ...found: readonly (Resource<"VirtualService"> | typeof NONE)[]
  ): VirtualService => {
    const { namespace } = resource.metadata;
    const delegateAt = (index: number) => {
      const delegate = found[index];
      return delegate && "spec" in delegate ? delegate : undefined;
    };
    const delegates = new Set(found.flatMap((_, index) => delegateAt(index) ?? []));
    // Read when the first caller sees it: until then its hosts are enough.
    let [http, tls, tcp, sources]: [VirtualService["http"]?, VirtualService["tls"]?, VirtualService["tcp"]?, VirtualService["sources"]?] =
      [];
    return {
      resource,
      namespace,
      hosts: (resource.spec.hosts ?? []).map((host) => canonicalHost(host, namespace, settings.domain)),
      get http() {
        http ??= httpRulesOf(resource, delegateAt, settings);
        return http;
      },
      get tls() {
        tls ??= (resource.spec.tls ?? []).map((spec, index) => l4Rule(resource, "tls", spec, spec.match ?? [], index));
        return tls;
      },
      get tcp() {
        tcp ??= (resource.spec.tcp ?? []).map((spec, index) => l4Rule(resource, "tcp", spec, spec.match ?? [], index));
        return tcp;
      },
      get sources() {
        sources ??= [resource, ...delegates].map((one) => provenanceOf(one, "spec"));
        return sources;
      },
    };
  },
);

function l4Rule<Spec, Match>(
  resource: Resource<"VirtualService">,
  field: "tls" | "tcp",
  spec: Spec,
  matches: readonly Match[],
  index: number,
): L4Rule<Spec, Match> {
  return { spec, matches, source: provenanceOf(resource, "spec", field, index) };
}

/** Those that a namespace sees, in the order in which its callers ask them. */
export function visibleFrom(all: readonly VirtualService[], namespace: string): readonly VirtualService[] {
  const isPublic = ({ resource }: VirtualService) => !resource.spec.exportTo?.length || resource.spec.exportTo.includes("*");
  const seen = all.filter(({ resource, namespace: own }) => isVisible(resource.spec.exportTo, own, namespace));
  const named = seen.filter((one) => !isPublic(one));
  return [
    ...named.filter((one) => one.namespace === namespace),
    ...named.filter((one) => one.namespace !== namespace),
    ...seen.filter(isPublic),
  ];
}

/** Whether it can look at labels of its callers: it does not without this. */
export function mayLookAtLabels({ resource: { spec } }: VirtualService): boolean {
  const matches = [...(spec.http ?? []), ...(spec.tls ?? []), ...(spec.tcp ?? [])].flatMap(({ match }): readonly Labelled[] => match ?? []);
  return matches.some(({ sourceLabels }) => sourceLabels) || (spec.http ?? []).some(({ delegate }) => delegate);
}

interface Labelled {
  readonly sourceLabels?: Readonly<Record<string, string>>;
}

/** The labels of callers that the VirtualServices look at. */
export function labelsLookedAt(all: readonly VirtualService[]): ReadonlySet<string> {
  const keys = new Set<string>();
  const add = (labels: Readonly<Record<string, string>> | undefined) => {
    for (const key of Object.keys(labels ?? {})) keys.add(key);
  };
  for (const { http, tls, tcp } of all) {
    for (const { match } of http.flatMap(({ matches }) => matches)) if (!match?.gateways?.length) add(match?.sourceLabels);
    for (const match of [...tls, ...tcp].flatMap(({ matches }): readonly (TlsMatch | L4Match)[] => matches)) add(match.sourceLabels);
  }
  return keys;
}

/** What of the `visible` ones holds for a caller: the same object (===) for all callers whom their matches do not tell apart. */
export function seenBy(visible: readonly VirtualService[], caller: Caller): VirtualServiceIndex {
  const all = visible.map((virtualService) => narrowed(virtualService, caller));
  const byHost = new Map<string, VirtualService[]>();
  for (const virtualService of all) {
    for (const host of new Set(virtualService.hosts)) {
      const known = byHost.get(host);
      if (known) known.push(virtualService);
      else byHost.set(host, [virtualService]);
    }
  }
  return { all, byHost };
}

/** Whether no match of it looks at who calls: then it is the same for all. */
const isForAnybody = memoize(({ http, tls, tcp }: VirtualService): boolean => {
  const matches = [
    ...http.flatMap((rule) => rule.matches.flatMap(({ match }) => match ?? [])),
    ...[...tls, ...tcp].flatMap((rule) => rule.matches),
  ];
  return matches.every(({ gateways, sourceLabels, sourceNamespace }) => !gateways?.length && !sourceLabels && !sourceNamespace);
});

function narrowed(virtualService: VirtualService, caller: Caller): VirtualService {
  if (isForAnybody(virtualService)) return virtualService;
  const { http, tls, tcp } = virtualService;
  const holds: boolean[] = [];
  const judge = (held: boolean) => {
    holds.push(held);
    return held;
  };
  const narrow = {
    http: keepRules(http, ({ match }: RuleMatch) => judge(httpHolds(match, caller))),
    tls: keepRules(tls, (match: TlsMatch) => judge(l4Holds(match, caller))),
    tcp: keepRules(tcp, (match: L4Match) => judge(l4Holds(match, caller))),
  };
  if (holds.every(Boolean)) return virtualService;
  const known = narrowings(virtualService);
  const key = holds.map(Number).join("");
  const found = known.get(key) ?? { ...virtualService, ...narrow };
  known.set(key, found);
  return found;
}

const narrowings = memoize((_virtualService: VirtualService) => new Map<string, VirtualService>());

/** Rules with those of their matches that hold, and without those that had matches of which none does. */
function keepRules<Match, Rule extends { readonly matches: readonly Match[] }>(
  rules: readonly (Rule & { readonly matches: readonly Match[] })[],
  holds: (match: Match) => boolean,
): readonly Rule[] {
  return rules.flatMap((rule) => {
    const matches = rule.matches.filter(holds);
    return rule.matches.length > 0 && matches.length === 0 ? [] : [{ ...rule, matches }];
  });
}

/** Where gateways are named, labels and namespace are not looked at (route.go, sourceMatchHTTP). */
function httpHolds(match: HttpMatch | undefined, { namespace, labels }: Caller): boolean {
  if (!match) return true;
  if (match.gateways?.length) return match.gateways.includes("mesh");
  return hasLabels(labels, match.sourceLabels) && (!match.sourceNamespace || match.sourceNamespace === namespace);
}

/** Here all conditions count (tls.go, matchTLS and matchTCP). */
function l4Holds(match: L4Match | TlsMatch, { namespace, labels }: Caller): boolean {
  const isHere = !match.gateways?.length || match.gateways.includes("mesh");
  return isHere && hasLabels(labels, match.sourceLabels) && (!match.sourceNamespace || match.sourceNamespace === namespace);
}

/** The VirtualServices that may route HTTP for a service's host, in the order in which they are asked. */
export function httpCandidates(index: VirtualServiceIndex, host: string): readonly VirtualService[] {
  const found = mostSpecific(host, index.byHost) ?? [];
  const isExact = index.byHost.get(host) === found;
  // Of the VirtualServices with the same wildcard only the first stands for a host that it covers.
  return isExact && !isWildcard(host) ? found : found.slice(0, 1);
}

/** The VirtualServices whose hosts overlap with a service's: their tls and tcp routes are asked in turn (getConfigsForHost). */
export function l4Candidates(index: VirtualServiceIndex, host: string): readonly VirtualService[] {
  return index.all.filter(({ hosts }) => hosts.some((pattern) => overlaps(pattern, host)));
}

/** Whether one of them is the other, or a wildcard that covers it. */
export function overlaps(a: string, b: string): boolean {
  const [suffixA, suffixB] = [a, b].map((host) => (isWildcard(host) ? host.slice(1) : host)) as [string, string];
  if (isWildcard(a) && suffixB.endsWith(suffixA)) return true;
  if (isWildcard(b) && suffixA.endsWith(suffixB)) return true;
  return a === b;
}
