/** What a route says besides where it leads: for the answer's "route", and as steps. */
import type { HttpRoute } from "../mesh/http-routes.ts";
import type { VirtualHost } from "../mesh/route-tables.ts";
import type { Settings } from "../mesh/types.ts";
import { abortOf, delayOf } from "./fault.ts";
import { rewrittenPath } from "./rewrite.ts";
import type { HttpRequest } from "./route-match.ts";
import type { RouteAnswer, Step } from "./types.ts";

export function routeAnswer(host: VirtualHost, route: HttpRoute, request: HttpRequest, location: string | undefined): RouteAnswer {
  const { rule, mirrors } = route;
  const [delay, abort] = [delayOf(route), abortOf(route)];
  const path = rewrittenPath(request.path, route);
  const { authority } = rule?.rewrite ?? {};
  const { retries } = rule ?? {};
  return {
    virtual_host: host.name,
    name: route.name,
    source: route.source,
    ...(path !== undefined || authority ? { rewrite: { path, authority: authority || undefined } } : {}),
    ...(rule?.timeout ? { timeout: rule.timeout } : {}),
    ...(retries ? { retries: { attempts: retries.attempts ?? 0, retry_on: retries.retryOn, per_try_timeout: retries.perTryTimeout } } : {}),
    ...(mirrors.length > 0 ? { mirrors: mirrors.map(({ cluster, percent }) => ({ cluster, percent })) } : {}),
    ...(delay || abort
      ? { fault: { delay, abort: abort && { status: abort.status, grpc_status: abort.grpcStatus, percent: abort.percent } } }
      : {}),
    ...(location === undefined ? {} : { location }),
  };
}

export function routeSteps(route: HttpRoute, request: HttpRequest, settings: Settings): Step[] {
  const { rule, mirrors, source } = route;
  const steps: Step[] = [];
  const add = (stage: Step["stage"], result: string, reason: string) => steps.push({ stage, result, reason, source });
  const path = rewrittenPath(request.path, route);
  const { authority } = rule?.rewrite ?? {};
  if (path !== undefined) add("rewrite", "path", `${request.path} becomes ${path}`);
  if (authority) add("rewrite", "authority", `${request.authority} becomes ${authority}`);
  for (const direction of ["request", "response"] as const) {
    const { set = {}, add: added = {}, remove = [] } = rule?.headers?.[direction] ?? {};
    const words = [
      ...Object.keys(set).map((name) => `sets ${name}`),
      ...Object.keys(added).map((name) => `adds ${name}`),
      ...remove.map((name) => `removes ${name}`),
    ];
    if (words.length > 0) add("headers", direction, words.join(", "));
  }
  if (rule?.timeout) add("timeout", rule.timeout, `ends with 504 after ${rule.timeout}`);
  const retries = rule?.retries ?? settings.defaultHttpRetryPolicy;
  if (retries) add("retries", String(retries.attempts ?? 0), retries.retryOn ? `on ${retries.retryOn}` : "on Istio's default conditions");
  for (const { cluster, percent } of mirrors) add("mirror", `${percent}%`, `a copy goes to ${cluster}`);
  return steps;
}
