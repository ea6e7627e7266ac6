/** A VirtualService's match as Envoy's (Istio, route.go TranslateRouteMatch). */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteMatchSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { StringMatcherSchema } from "../gen/envoy/type/matcher/v3/string_pb.ts";
import { routingClaim } from "../lib/routing-claim.ts";
import { compareText } from "../mesh/hosts.ts";
import type { HttpRoute } from "../mesh/http-routes.ts";
import { anyOf, claimMatcher, type Value } from "./filters/claim.ts";

type HttpMatch = NonNullable<HttpRoute["match"]>;
type StringMatch = NonNullable<HttpMatch["uri"]>;

export function routeMatch(match: HttpMatch | undefined): MessageInitShape<typeof RouteMatchSchema> {
  if (!match) return { pathSpecifier: { case: "prefix", value: "/" } };
  const [headers, claims] = partition(match.headers);
  const [withoutHeaders, withoutClaims] = partition(match.withoutHeaders);
  return {
    pathSpecifier: path(match.uri),
    caseSensitive: !match.ignoreUriCase,
    headers: [
      ...[...headers.map(([name, value]) => header(name, value)), ...withoutHeaders.map(([name, value]) => without(name, value))].sort(
        (a, b) => compareText(a.name, b.name),
      ),
      ...(match.method ? [header(":method", match.method)] : []),
      ...(match.authority ? [header(":authority", match.authority)] : []),
      ...(match.scheme ? [header(":scheme", match.scheme)] : []),
    ],
    queryParameters: sorted(match.queryParams).map(([name, value]) => queryParameter(name, value)),
    dynamicMetadata: [
      ...claims.map(([path, value]) => claim(path, value)),
      ...withoutClaims.map(([path, value]) => ({ ...claim(path, value), invert: true })),
    ],
  };
}

type Named<Name> = readonly (readonly [Name, StringMatch])[];

/** Headers, and claims that stand in their place; sorted. */
function partition(map: Readonly<Record<string, StringMatch>> | undefined): [Named<string>, Named<readonly string[]>] {
  const all = sorted(map);
  const claims = all.flatMap(([name, value]) => {
    const path = routingClaim(name);
    return path ? [[path, value] as const] : [];
  });
  return [all.filter(([name]) => !routingClaim(name)), claims];
}

/** Without a condition it asks whether the claim is there. */
function claim(path: readonly string[], match: StringMatch) {
  const text = stringMatcher(match);
  const value: Value = text
    ? anyOf({ matchPattern: { case: "stringMatch", value: text } })
    : { matchPattern: { case: "presentMatch", value: true } };
  return claimMatcher(path, value);
}

function path(uri: StringMatch | undefined): MessageInitShape<typeof RouteMatchSchema>["pathSpecifier"] {
  if (uri?.exact !== undefined) return { case: "path", value: uri.exact };
  if (uri?.regex !== undefined) return { case: "safeRegex", value: { regex: uri.regex } };
  return { case: "prefix", value: uri?.prefix ?? "/" };
}

type HeaderMatcher = { name: string } & Pick<
  MessageInitShape<typeof HeaderMatcherSchema>,
  "headerMatchSpecifier" | "invertMatch" | "treatMissingHeaderAsEmpty"
>;

function header(name: string, match: StringMatch): HeaderMatcher {
  const value = stringMatcher(match);
  return { name, headerMatchSpecifier: value ? { case: "stringMatch", value } : { case: "presentMatch", value: true } };
}

/** A header that is missing does not match, so its negation does: Envoy must be told to look at it as empty. */
function without(name: string, match: StringMatch): HeaderMatcher {
  const isPresence = stringMatcher(match) === undefined;
  return { ...header(name, match), invertMatch: true, treatMissingHeaderAsEmpty: !isPresence };
}

function queryParameter(name: string, match: StringMatch): MessageInitShape<typeof QueryParameterMatcherSchema> {
  const value = stringMatcher(match);
  return { name, queryParameterMatchSpecifier: value ? { case: "stringMatch", value } : { case: "presentMatch", value: true } };
}

/** Undefined asks for presence: no condition at all, or the regex "*", which Istio reads so (canBeConvertedToPresentMatch). */
function stringMatcher({ exact, prefix, regex }: StringMatch): MessageInitShape<typeof StringMatcherSchema> | undefined {
  if (exact !== undefined) return { matchPattern: { case: "exact", value: exact } };
  if (prefix !== undefined) return { matchPattern: { case: "prefix", value: prefix } };
  if (regex !== undefined && regex !== "*") return { matchPattern: { case: "safeRegex", value: { regex } } };
  return undefined;
}

function sorted(map: Readonly<Record<string, StringMatch>> | undefined): [string, StringMatch][] {
  return Object.entries(map ?? {}).sort(([a], [b]) => compareText(a, b));
}
