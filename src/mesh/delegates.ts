/**
 * A root VirtualService's http rules with those of its delegates in their place (Istio, pilot/pkg/model/virtualservice.go
 * MergeHTTPRoutes). A delegate that is missing or not exported to the root's namespace, and a rule of it whose matches go beyond the
 * root's, are left out; the root's other rules stay.
 */
import { canonicalHost } from "../model/host.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import type { HttpMatch, StringMatch } from "../model/virtual-service-match.ts";
import { isVisible } from "../model/visibility.ts";
import { gatewayKey } from "./gateway-names.ts";
import type { Settings } from "./types.ts";
import type { HttpRule, RuleMatch } from "./virtual-services.ts";

type VirtualServiceResource = Resource<"VirtualService">;

/** The delegate at `index` of the root's http rules, where there is one that the root may use. */
export type FindDelegate = (index: number) => VirtualServiceResource | undefined;

/** The VirtualServices without hosts, by "namespace/name", as a root of `namespace` finds them. */
export function delegateOf(
  delegates: ReadonlyMap<string, VirtualServiceResource>,
  route: HttpRoute,
  namespace: string,
): VirtualServiceResource | undefined {
  if (!route.delegate) return undefined;
  const found = delegates.get(`${route.delegate.namespace || namespace}/${route.delegate.name}`);
  return found && isVisible(found.spec.exportTo, found.metadata.namespace, namespace) ? found : undefined;
}

export function httpRulesOf(root: VirtualServiceResource, find: FindDelegate, settings: Settings): readonly HttpRule[] {
  const { namespace } = root.metadata;
  return (root.spec.http ?? []).flatMap((route, index) => {
    const own = ruleOf(root, route, index);
    if (!route.delegate) return [own];
    const delegate = find(index);
    const inherited = withFullMirrors(route, namespace, settings);
    return (delegate?.spec.http ?? []).flatMap((leaf, at) => (delegate ? merge(own, inherited, ruleOf(delegate, leaf, at)) : []));
  });
}

function ruleOf(resource: VirtualServiceResource, spec: HttpRoute, index: number): HttpRule {
  const source = provenanceOf(resource, "spec", "http", index);
  const matches: readonly RuleMatch[] = spec.match?.length
    ? spec.match.map((match, at) => ({
        match: withFullGateways(match, resource),
        source: provenanceOf(resource, "spec", "http", index, "match", at),
      }))
    : [{ source }];
  const targets = (spec.route ?? []).map((_, at) => provenanceOf(resource, "spec", "http", index, "route", at));
  return { spec, matches, namespace: resource.metadata.namespace, source, targets };
}

/** "front" in a delegate means a gateway of the delegate's namespace. */
function withFullGateways(match: HttpMatch, { metadata }: VirtualServiceResource): HttpMatch {
  if (!match.gateways?.length) return match;
  return { ...match, gateways: match.gateways.map((name) => gatewayKey(name, metadata.namespace)) };
}

/** A short name in the root means a service of the root's namespace, wherever the delegate is. */
function withFullMirrors(route: HttpRoute, namespace: string, { domain }: Settings): HttpRoute {
  const full = <D extends { host: string }>(destination: D): D => ({
    ...destination,
    host: canonicalHost(destination.host, namespace, domain),
  });
  return {
    ...route,
    mirror: route.mirror && full(route.mirror),
    mirrors: route.mirrors?.map((mirror) => ({ ...mirror, destination: full(mirror.destination) })),
  };
}

const INHERITED = [
  "rewrite",
  "directResponse",
  "timeout",
  "retries",
  "fault",
  "mirror",
  "mirrorPercent",
  "mirrorPercentage",
  "corsPolicy",
  "mirrors",
  "headers",
] as const;

function merge(root: HttpRule, inherited: HttpRoute, leaf: HttpRule): HttpRule[] {
  const matches = mergeMatches(root.matches, leaf.matches);
  if (!matches) return [];
  const missing = INHERITED.filter((name) => leaf.spec[name] === undefined && inherited[name] !== undefined);
  const spec: HttpRoute = {
    ...leaf.spec,
    ...Object.fromEntries(missing.map((name) => [name, inherited[name]])),
    name: joined(root.spec.name, leaf.spec.name),
  };
  return [{ ...leaf, spec, matches }];
}

function joined(root = "", leaf = ""): string {
  return root && leaf ? `${root}-${leaf}` : root || leaf;
}

/** Undefined where they conflict: each of the delegate's matches must lie within one of the root's. */
function mergeMatches(root: readonly RuleMatch[], leaf: readonly RuleMatch[]): readonly RuleMatch[] | undefined {
  if (root.every(({ match }) => !match)) return leaf;
  if (leaf.every(({ match }) => !match)) return root;
  const merged: RuleMatch[] = [];
  for (const { match: own = {}, source } of leaf) {
    const within = root.flatMap(({ match }) => (match && !conflicts(match, own) ? [match] : []));
    if (within.length === 0) return undefined;
    merged.push(...within.map((match) => ({ match: mergeMatch(match, own), source })));
  }
  return merged;
}

/** The delegate's ignoreUriCase counts; they are equal, or there is a conflict. */
function mergeMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  return {
    ...leaf,
    name: joined(root.name, leaf.name),
    uri: leaf.uri ?? root.uri,
    scheme: leaf.scheme ?? root.scheme,
    method: leaf.method ?? root.method,
    authority: leaf.authority ?? root.authority,
    headers: { ...root.headers, ...leaf.headers },
    withoutHeaders: { ...root.withoutHeaders, ...leaf.withoutHeaders },
    queryParams: { ...root.queryParams, ...leaf.queryParams },
    port: leaf.port ?? root.port,
    sourceLabels: { ...root.sourceLabels, ...leaf.sourceLabels },
    sourceNamespace: leaf.sourceNamespace || root.sourceNamespace,
    gateways: leaf.gateways?.length ? leaf.gateways : root.gateways,
    statPrefix: leaf.statPrefix || root.statPrefix,
  };
}

function conflicts(root: HttpMatch, leaf: HttpMatch): boolean {
  const singles = ["uri", "scheme", "method", "authority"] as const;
  if (singles.some((name) => stringsConflict(root[name], leaf[name]))) return true;
  const maps = ["headers", "withoutHeaders", "queryParams"] as const;
  if (maps.some((name) => Object.entries(leaf[name] ?? {}).some(([key, match]) => stringsConflict(root[name]?.[key], match)))) return true;
  if ((root.ignoreUriCase ?? false) !== (leaf.ignoreUriCase ?? false)) return true;
  if (root.port && leaf.port && root.port !== leaf.port) return true;
  // A leaf that names no namespace goes beyond a root that does.
  if (root.sourceNamespace && leaf.sourceNamespace !== root.sourceNamespace) return true;
  const labels = Object.entries(leaf.sourceLabels ?? {});
  if (labels.some(([key, value]) => Object.hasOwn(root.sourceLabels ?? {}, key) && root.sourceLabels?.[key] !== value)) return true;
  return gatewaysConflict(root.gateways ?? [], leaf.gateways ?? []);
}

function gatewaysConflict(root: readonly string[], leaf: readonly string[]): boolean {
  if (root.length === 0 || leaf.length === 0) return false;
  return root.length < leaf.length || leaf.some((name) => !root.includes(name));
}

/** Whether the delegate's condition is not within the root's; with a regex on either side that cannot be told. */
function stringsConflict(root: StringMatch | undefined, leaf: StringMatch | undefined): boolean {
  if (!root || !leaf) return false;
  const says = ({ exact, prefix, regex }: StringMatch) => Boolean(exact || prefix || regex);
  if (root.regex && says(leaf)) return true;
  if (leaf.regex && says(root)) return true;
  if (root.exact) return Boolean(leaf.prefix) || leaf.exact !== root.exact;
  if (root.prefix && leaf.prefix) return !leaf.prefix.startsWith(root.prefix);
  if (root.prefix && leaf.exact) return !leaf.exact.startsWith(root.prefix);
  return true;
}
