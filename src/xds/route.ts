/** Route tables (Istio, pilot/pkg/networking/core/httproute.go and route/route.go). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type RouteSchema,
  VirtualHost_TlsRequirementType,
  type VirtualHost as VirtualHostProto,
  VirtualHostSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { HttpRoute } from "../mesh/http-routes.ts";
import { memoize } from "../mesh/memo.ts";
import type { RouteTable, VirtualHost } from "../mesh/route-tables.ts";
import type { Settings } from "../mesh/types.ts";
import { encodeResource } from "./encode.ts";
import { CORS_FILTER, corsOfRoute } from "./filters/cors.ts";
import { FAULT_FILTER, faultOfRoute } from "./filters/fault.ts";
import { authorityOfRoute, directResponseAction, namedHost, redirectAction, routeAction } from "./route-action.ts";
import { headerOperations } from "./route-headers.ts";
import { routeMatch } from "./route-match.ts";

export const routeResource = memoize((settings: Settings, table: RouteTable): EncodedResource => {
  const configuration = create(RouteConfigurationSchema, {
    name: table.name,
    virtualHosts: table.virtualHosts.map((host) => virtualHost(settings, host)),
    // A destination that does not exist is an answer 503 to those who call it, not a table that Envoy refuses.
    validateClusters: false,
    ignorePortInHostMatching: table.ignorePort,
    // Envoy's own limit is 4 KiB; Istio's validation allows this much.
    maxDirectResponseBodySizeBytes: table.virtualHosts.some(hasLongAnswer) ? LONGEST_BODY : undefined,
  });
  return encodeResource(RouteConfigurationSchema, table.name, configuration, sourcesOf(table));
});

export const LONGEST_BODY = 1024 * 1024;
const ENVOYS_LONGEST_BODY = 4096;

function hasLongAnswer({ routes }: VirtualHost): boolean {
  return routes.some(({ rule }) => {
    const { string, bytes } = rule?.directResponse?.body ?? {};
    return Math.max(Buffer.byteLength(string ?? ""), (bytes ?? "").length) > ENVOYS_LONGEST_BODY;
  });
}

/** Kept by itself: when one service of a table changes, the others' virtual hosts are not built again. */
export const virtualHost = memoize(
  (settings: Settings, { name, domains, routes, requireTls }: VirtualHost): VirtualHostProto =>
    create(VirtualHostSchema, {
      name,
      domains: [...domains],
      routes: routes.map((route) => toRoute(settings, route)),
      requireTls: requireTls ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
      includeRequestAttemptCount: true,
    }),
);

function toRoute(settings: Settings, route: HttpRoute): MessageInitShape<typeof RouteSchema> {
  const { rule, targets } = route;
  const fault = faultOfRoute(route);
  const cors = rule?.corsPolicy && corsOfRoute(rule.corsPolicy);
  // With one destination its headers are the route's own; with several each has its own (processDestination).
  const single = targets.length !== 1 ? undefined : targets[0];
  return {
    name: route.name,
    match: route.connect ? { pathSpecifier: { case: "connectMatcher", value: {} } } : routeMatch(route.match),
    action: actionOf(settings, route),
    ...headerOperations(rule?.headers, single?.headers),
    statPrefix: route.match?.statPrefix,
    typedPerFilterConfig: {
      ...(cors ? { [CORS_FILTER]: cors } : {}),
      ...(fault ? { [FAULT_FILTER]: fault } : {}),
      ...(single ? namedHost(single, authorityOfRoute(route)) : {}),
    },
  };
}

function actionOf(settings: Settings, route: HttpRoute): MessageInitShape<typeof RouteSchema>["action"] {
  const { rule } = route;
  if (rule?.redirect) return { case: "redirect", value: redirectAction(rule.redirect, route) };
  if (rule?.directResponse) return { case: "directResponse", value: directResponseAction(rule.directResponse) };
  return { case: "route", value: routeAction(settings, route) };
}

/** Each once, in the order of the virtual hosts. */
function sourcesOf({ virtualHosts }: RouteTable): Provenance[] {
  const byText = new Map(virtualHosts.flatMap(({ sources }) => sources).map((source) => [JSON.stringify(source), source]));
  return [...byText.values()];
}
