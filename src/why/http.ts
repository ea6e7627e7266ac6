/** An HTTP request through the caller's sidecar: virtual host, route, what the route does, and on to its destinations. */
import type { HttpRoute } from "../mesh/http-routes.ts";
import { HTTP_PROXY, type VirtualHost } from "../mesh/route-tables.ts";
import type { Mesh } from "../mesh/types.ts";
import type { VerifiedClaims } from "./condition.ts";
import { preflight } from "./cors.ts";
import { judge, type Leaving, shareOf } from "./destination.ts";
import { answerOf, askedFirst, type Evaluation, localAnswer } from "./evaluation.ts";
import { abortOf, faultSteps } from "./fault.ts";
import { normalizePath } from "./path.ts";
import { locationOf, outgoing } from "./rewrite.ts";
import { routeAnswer, routeSteps } from "./route-answer.ts";
import { firstMismatch, type HttpRequest } from "./route-match.ts";
import type { Step, WhyContext } from "./types.ts";
import { findVirtualHost } from "./virtual-host.ts";

/** Where a request comes to the caller's sidecar. */
export interface Entry {
  /** Name of the route table. */
  readonly table: string;
  readonly steps: readonly Step[];
}

/** `leaving.request`: as the application sends it to its sidecar; at the outbound listener unless told. */
export function evaluateHttp(
  leaving: Leaving & { readonly request: HttpRequest },
  context: WhyContext,
  entry: Entry = { table: HTTP_PROXY, steps: [] },
): Evaluation {
  const { mesh, view, request: sent } = leaving;
  const path = normalizePath(sent.path, mesh.settings.pathNormalization);
  if (path === undefined) {
    const reason = `the caller's Envoy refuses the path ${sent.path}`;
    const step: Step = { stage: "virtual_host", result: "400", reason, source: null };
    return { answer: localAnswer("no_route", 400, `400: ${reason}`, [...entry.steps, step]), matched: [] };
  }
  const request = { ...sent, path };
  const table = view.routes.get(entry.table);
  const host = table && findVirtualHost(table, request.authority);
  if (!host) {
    const place = view.scope ? `what Sidecar ${view.scope.namespace}/${view.scope.name} lets the caller know` : "the mesh";
    const reason = `nothing in ${place} is called ${request.authority}${elsewhere(request.authority, mesh)}`;
    return {
      answer: localAnswer("no_route", 404, `404: ${reason}`, [
        ...entry.steps,
        { stage: "virtual_host", result: "no_match", reason, source: view.scope ?? null },
      ]),
      matched: [],
    };
  }
  return throughHost({ ...leaving, request }, host, entry.steps, context);
}

/** A short name means the caller's own namespace; which others have a service of that name. */
function elsewhere(authority: string, mesh: Mesh): string {
  const [name = ""] = authority.split(":");
  if (name === "" || name.includes(".")) return "";
  const hosts = [...mesh.services.keys()].filter((host) => host.startsWith(`${name}.`) && host.endsWith(`.${mesh.settings.domain}`));
  return hosts.length === 0 ? "" : `: there is ${hosts.sort().slice(0, 3).join(", ")}`;
}

/** `leaving.request`: its path as the proxy reads it. */
export function throughHost(
  leaving: Leaving & { readonly request: HttpRequest },
  host: VirtualHost,
  before: readonly Step[],
  context: WhyContext,
): Evaluation {
  const { request } = leaving;
  const steps: Step[] = [
    ...before,
    { stage: "virtual_host", result: host.name, reason: `Host ${request.authority} names ${host.name}`, source: host.sources[0] ?? null },
  ];
  const route = chooseRoute(host, leaving.chosenBy ?? request, leaving.verified, steps);
  if (!route) {
    const answer = localAnswer("no_route", 404, `404 no route: none of ${host.name} takes ${request.method} ${request.path}`, steps);
    return { answer, matched: [] };
  }
  return takeRoute(leaving, host, route, steps, context);
}

function whyTaken({ match, rule, source }: HttpRoute, name: string): string {
  if (source.kind === "MeshConfig" || source.kind === "Sidecar") return "an outboundTrafficPolicy lets out what the mesh does not know";
  if (match) return `${name} matches`;
  return rule ? `${name} takes every request` : "no VirtualService routes the host";
}

/** Envoy matches CONNECT, which has no path, by routes that are for it alone. */
function methodMismatch({ connect }: HttpRoute, { method }: HttpRequest): string | undefined {
  if (connect) return method === "CONNECT" ? undefined : `method is ${method}, not CONNECT`;
  return method === "CONNECT" ? "method is CONNECT, which no route of a service takes" : undefined;
}

/** The first that matches; the ones before it leave a step each, with the first condition that failed. */
function chooseRoute(
  { routes }: VirtualHost,
  request: HttpRequest,
  verified: VerifiedClaims | undefined,
  steps: Step[],
): HttpRoute | undefined {
  for (const route of routes) {
    const reason = methodMismatch(route, request) ?? firstMismatch(route.match, request, verified);
    const name = route.name ? `route ${JSON.stringify(route.name)}` : "route";
    if (reason === undefined) {
      const all = whyTaken(route, name);
      steps.push({ stage: "route", result: "match", reason: all, source: route.source });
      return route;
    }
    steps.push({ stage: "route", result: "no_match", reason: `${name}: ${reason}`, source: route.source });
  }
  return undefined;
}

function takeRoute(
  leaving: Leaving & { readonly request: HttpRequest },
  host: VirtualHost,
  route: HttpRoute,
  before: readonly Step[],
  context: WhyContext,
): Evaluation {
  const { request } = leaving;
  const { rule, source } = route;
  const abort = abortOf(route);
  const isAborted = abort !== undefined && abort.percent >= 100;
  const answered = preflight(route, request);
  // Nobody is led anywhere by a redirect that is not reached.
  const location = isAborted || answered ? undefined : rule?.redirect && locationOf(rule.redirect, request, route);
  const answer = routeAnswer(host, route, request, location);
  const steps = [...before, ...faultSteps(route)];
  const by = `${source.kind} ${source.namespace}/${source.name}`;
  if (isAborted) {
    return { answer: localAnswer("fault", abort.status, `${abort.status} by a fault of ${by}`, steps, answer), matched: [] };
  }
  // After the fault, as the filters stand (xds/outbound-listener.ts, httpChains): a preflight is aborted and delayed like any request.
  if (answered) {
    const step: Step = { stage: "direct_response", result: "200", reason: answered, source };
    return { answer: localAnswer("direct_response", 200, `200 by the corsPolicy of ${by}`, [...steps, step], answer), matched: [] };
  }
  if (rule?.redirect) {
    const status = rule.redirect.redirectCode || 301;
    const step: Step = { stage: "redirect", result: String(status), reason: `to ${location}`, source };
    return { answer: localAnswer("redirect", status, `${status} to ${location} by ${by}`, [...steps, step], answer), matched: [] };
  }
  if (rule?.directResponse) {
    const { status } = rule.directResponse;
    const step: Step = {
      stage: "direct_response",
      result: String(status),
      reason: `${leaving.caller.type === "gateway" ? "the gateway" : "the caller's sidecar"} answers`,
      source,
    };
    return { answer: localAnswer("direct_response", status, `${status} by ${by}`, [...steps, step], answer), matched: [] };
  }
  const targets = route.targets.length === 1 ? route.targets : route.targets.filter(({ weight }) => weight > 0);
  const judged = targets.map((target) => {
    const on = outgoing(request, route, target);
    return judge({ ...leaving, request: on }, target, shareOf(target.weight, targets));
  });
  const all = [...steps, ...routeSteps(route, request, leaving.mesh.settings)];
  return {
    answer: answerOf(judged, all, { protocol: "http", route: answer }, context),
    matched: judged.flatMap(({ endpoints }) => askedFirst(endpoints).flatMap(({ outcome }) => outcome.matched)),
  };
}
