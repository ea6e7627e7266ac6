/** What becomes of a request that matched (Istio, route.go applyHTTPRouteDestination and ApplyRedirect). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  type DirectResponseActionSchema,
  type RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RouteAction_HashPolicySchema,
  type RouteActionSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { authorityOf, routeAuthority } from "../mesh/authority-rewrite.ts";
import type { HttpRoute, WeightedTarget } from "../mesh/http-routes.ts";
import { redirectPort } from "../mesh/redirect-port.ts";
import type { Settings } from "../mesh/types.ts";
import { durationOf } from "./duration.ts";
import { NAMED_FILTER, namedAs } from "./filters/dynamic-forward-proxy.ts";
import { fractionalPercent } from "./percent.ts";
import { headerOperations } from "./route-headers.ts";
import { retryPolicy } from "./route-retry.ts";

type RouteAction = MessageInitShape<typeof RouteActionSchema>;
type Rule = NonNullable<HttpRoute["rule"]>;

/** Istio limits no request that no VirtualService limits. */
const NO_TIMEOUT = { seconds: 0n, nanos: 0 };

/** What a request's host becomes at a route with one destination. */
export function authorityOfRoute({ rule, targets }: Pick<HttpRoute, "rule" | "targets">): string | undefined {
  return routeAuthority(rule) || authorityOf(targets.length === 1 ? targets[0]?.headers : undefined);
}

/** For typed_per_filter_config: a name that is given here is the one to resolve. */
export function namedHost({ byName }: WeightedTarget, authority: string | undefined): Record<string, Any> {
  return byName && authority ? { [NAMED_FILTER]: namedAs(authority) } : {};
}

export function routeAction(settings: Settings, { rule, targets, mirrors, connect }: HttpRoute): RouteAction {
  // A hash keeps tries to one instance only where a VirtualService routes (GetDefaultHTTPRoute passes none to its retry policy).
  const isHashed = rule !== undefined && targets.length === 1 && targets[0]?.hash !== undefined;
  const timeout = durationOf(rule?.timeout) ?? NO_TIMEOUT;
  const only = targets.length === 1 ? targets[0] : undefined;
  const authority = authorityOfRoute({ rule, targets });
  return {
    clusterSpecifier: only ? { case: "cluster", value: only.cluster } : weightedClusters(targets, rule),
    timeout,
    upgradeConfigs: connect ? [{ upgradeType: "CONNECT", connectConfig: connect === "ends" ? {} : undefined }] : [],
    // Without a timeout gRPC's own deadline, the grpc-timeout header, still counts. With one it must not be set: Envoy would take the route's
    // timeout for replaced (RouteEntry::usingNewTimeouts), and its own words for both, max_grpc_timeout, are deprecated.
    maxStreamDuration: timeout.seconds || timeout.nanos ? undefined : { grpcTimeoutHeaderMax: NO_TIMEOUT },
    ...pathOf(rule?.rewrite),
    hostRewriteSpecifier: authority ? { case: "hostRewriteLiteral", value: authority } : { case: undefined },
    requestMirrorPolicies: mirrors.map(({ cluster, percent }) => ({
      cluster,
      runtimeFraction: { defaultValue: fractionalPercent(percent) },
      traceSampled: false,
      // A copy asks for the host that the request asked for, and meets the same policies (features.DisableShadowHostSuffix).
      disableShadowHostSuffixAppend: true,
    })),
    hashPolicy: targets.filter((target) => only || target.weight > 0).flatMap(({ hash }) => (hash ? (hashPolicy(hash) ?? []) : [])),
    retryPolicy: retryPolicy(rule?.retries ?? settings.defaultHttpRetryPolicy, isHashed),
  };
}

/** The expression goes before the prefix, though a delegate may inherit neither beside the other (applyHTTPRouteDestination). */
function pathOf(rewrite: Rule["rewrite"]): Pick<RouteAction, "prefixRewrite" | "regexRewrite"> {
  const regex = rewrite?.uriRegexRewrite;
  if (regex) return { regexRewrite: { pattern: { regex: regex.match }, substitution: regex.rewrite } };
  return { prefixRewrite: rewrite?.uri };
}

export function directResponseAction({
  status,
  body,
}: NonNullable<Rule["directResponse"]>): MessageInitShape<typeof DirectResponseActionSchema> {
  if (body?.string !== undefined) return { status, body: { specifier: { case: "inlineString", value: body.string } } };
  if (body?.bytes !== undefined) {
    return { status, body: { specifier: { case: "inlineBytes", value: new Uint8Array(Buffer.from(body.bytes, "base64")) } } };
  }
  return { status };
}

/** A destination of weight 0 gets nothing where there are others. */
function weightedClusters(targets: readonly WeightedTarget[], rule: HttpRoute["rule"]): RouteAction["clusterSpecifier"] {
  const clusters = targets
    .filter(({ weight }) => weight > 0)
    .map((target) => {
      const { cluster, weight, headers } = target;
      const authority = authorityOf(headers);
      return {
        name: cluster,
        weight,
        ...headerOperations(headers),
        typedPerFilterConfig: namedHost(target, routeAuthority(rule) || authority),
        hostRewriteSpecifier: authority ? ({ case: "hostRewriteLiteral", value: authority } as const) : { case: undefined },
      };
    });
  return { case: "weightedClusters", value: { clusters } };
}

/** Undefined where nothing says what to hash: then the ring is entered at random (ConsistentHashToHashPolicy). */
function hashPolicy(hash: NonNullable<WeightedTarget["hash"]>): MessageInitShape<typeof RouteAction_HashPolicySchema> | undefined {
  if (hash.httpHeaderName) return { policySpecifier: { case: "header", value: { headerName: hash.httpHeaderName } } };
  if (hash.httpCookie) {
    const { name, path, ttl, attributes = [] } = hash.httpCookie;
    const value = {
      name,
      path,
      ttl: durationOf(ttl),
      attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value ?? "" })),
    };
    return { policySpecifier: { case: "cookie", value } };
  }
  if (hash.useSourceIp !== undefined) return { policySpecifier: { case: "connectionProperties", value: { sourceIp: hash.useSourceIp } } };
  if (hash.httpQueryParameterName) return { policySpecifier: { case: "queryParameter", value: { name: hash.httpQueryParameterName } } };
  return undefined;
}

const REDIRECT_CODES: Readonly<Record<number, RedirectCode>> = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
};

export function redirectAction(
  redirect: NonNullable<Rule["redirect"]>,
  called: Pick<HttpRoute, "port" | "tls">,
): MessageInitShape<typeof RedirectActionSchema> {
  return {
    hostRedirect: redirect.authority,
    pathRewriteSpecifier: pathRewrite(redirect),
    schemeRewriteSpecifier: redirect.scheme ? { case: "schemeRedirect", value: redirect.scheme } : { case: undefined },
    portRedirect: redirectPort(redirect, called),
    responseCode: REDIRECT_CODES[redirect.redirectCode || 301],
  };
}

function pathRewrite({
  uri,
  prefixRewrite,
}: NonNullable<Rule["redirect"]>): MessageInitShape<typeof RedirectActionSchema>["pathRewriteSpecifier"] {
  if (prefixRewrite) return { case: "prefixRewrite", value: prefixRewrite };
  return uri ? { case: "pathRedirect", value: uri } : { case: undefined };
}
