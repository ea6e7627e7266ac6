/**
 * VirtualService: which requests to a host go where. istio/api networking/v1alpha3/virtual_service.proto, checked as Istio's
 * ValidateVirtualService does.
 */
import type * as v from "valibot";
import { checkHost, isIpAddress } from "./check.ts";
import { isAuthority } from "./check-header.ts";
import { duration, percentNumber } from "./common.ts";
import { list, needed, notYet, object, type Report, text } from "./schema.ts";
import { httpMatches, l4Matches } from "./virtual-service-match.ts";
import {
  checkWeights,
  destination,
  fault,
  type HttpRedirect,
  type HttpRewrite,
  headers,
  httpDestination,
  mirrorPolicy,
  percentage,
  redirect,
  retries,
  rewrite,
  routeDestination,
} from "./virtual-service-route.ts";

const httpRoute = object(
  {
    name: text(),
    match: httpMatches,
    route: list(httpDestination, checkWeights),
    redirect,
    directResponse: notYet(),
    delegate: notYet("write the delegate's routes here"),
    rewrite,
    timeout: duration(),
    retries,
    fault,
    mirror: destination,
    mirrors: list(mirrorPolicy),
    mirrorPercent: percentNumber(),
    mirrorPercentage: percentage,
    corsPolicy: notYet(),
    headers,
  },
  (route, report) => {
    const later = "directResponse" in route || "delegate" in route;
    if (!route.redirect && !route.route?.length && !later) report("missing", "needs route or redirect");
    if (route.redirect) {
      for (const other of ["route", "fault", "rewrite"] as const) {
        const there = other === "route" ? Boolean(route.route?.length) : route[other] !== undefined;
        if (there) report("exclusive", `may have only one of redirect, ${other}`);
      }
      checkPrefixRewrite(route.redirect, route.match ?? [], report);
    }
    if (route.mirror && route.mirrors?.length) report("exclusive", "may have only one of mirror, mirrors");
    if (route.mirrorPercent !== undefined) {
      report("deprecated", "is deprecated", {
        path: ["mirrorPercent"],
        atKey: true,
        severity: "warning",
        help: "write mirrorPercentage: {value: ...}",
      });
    }
    checkAuthority(route.rewrite, route.headers?.request, report);
  },
);

/** A prefix can be replaced only where a prefix was matched. */
function checkPrefixRewrite(
  value: HttpRedirect,
  matches: readonly { readonly uri?: { readonly prefix?: string } }[],
  report: Report,
): void {
  if (!value.prefixRewrite) return;
  if (matches.some(({ uri }) => uri && uri.prefix === undefined)) {
    report("together", "needs matches by uri.prefix only", { path: ["redirect", "prefixRewrite"] });
  }
}

/** The authority can be set in one place only (Istio's validateAuthorityRewrite). */
function checkAuthority(
  rewritten: HttpRewrite | undefined,
  operations: { readonly set?: Readonly<Record<string, string>>; readonly add?: Readonly<Record<string, string>> } | undefined,
  report: Report,
): void {
  let count = rewritten?.authority ? 1 : 0;
  for (const verb of ["set", "add"] as const) {
    for (const name of Object.keys(operations?.[verb] ?? {})) {
      if (!isAuthority(name) || ++count < 2) continue;
      report("exclusive", "the authority is set in more than one place", { path: ["headers", "request", verb, name], atKey: true });
    }
  }
}

const tcpRoute = object({ match: l4Matches, route: list(routeDestination, checkWeights) }, (route, report) => {
  if (!route.route?.length) report("missing", "needs route");
});

const ONLY_MESH = "there are no gateways yet; leave gateways out, or write [mesh]";

const DELEGATE = {
  name: "notYet",
  message: "without hosts a VirtualService is a delegate, and delegates are not translated yet",
  help: "add hosts",
} as const;

export const VirtualServiceSchema = object(
  {
    hosts: needed(list(text(), checkHosts), DELEGATE),
    gateways: list(
      text((name, report) => {
        if (name !== "mesh") report("notYet", `gateway ${JSON.stringify(name)}: gateways are not translated yet`, { help: ONLY_MESH });
      }),
    ),
    http: list(httpRoute),
    tls: notYet("route by host and port with tcp"),
    tcp: list(tcpRoute),
    exportTo: notYet("every route is visible in every namespace"),
  },
  (spec, report) => {
    // At gateways alone "*" is a host; those are refused above.
    const star = !spec.gateways?.length || spec.gateways.includes("mesh") ? spec.hosts.indexOf("*") : -1;
    if (star >= 0) report("badHost", "a VirtualService of the mesh may not stand for every host", { path: ["hosts", star] });
    if (spec.hosts.length === 0) report(DELEGATE.name, DELEGATE.message, { help: DELEGATE.help });
    if (!spec.http?.length && !spec.tcp?.length && !("tls" in spec)) report("missing", "needs http or tcp");
    warnUnreachable(spec.http ?? [], "http", report);
    warnUnreachable(spec.tcp ?? [], "tcp", report);
  },
);

export type VirtualServiceSpec = v.InferOutput<typeof VirtualServiceSchema>;
export type HttpRoute = v.InferOutput<typeof httpRoute>;
export type TcpRoute = v.InferOutput<typeof tcpRoute>;

function checkHosts(hosts: readonly string[], report: Report): void {
  for (const [index, host] of hosts.entries()) {
    if (!isIpAddress(host)) checkHost(host, report, [index]);
    const twice = hosts.slice(0, index).find((other) => overlaps(other, host));
    if (twice !== undefined) report("duplicateItem", `${host} is covered by ${twice}, or the other way round`, { path: [index] });
  }
}

/** Istio's host.Name.Matches: equal, or one wildcard covers the other. */
function overlaps(a: string, b: string): boolean {
  const [wideA, wideB] = [a.startsWith("*"), b.startsWith("*")];
  if (!wideA && !wideB) return a === b;
  const [suffixA, suffixB] = [a.slice(1), b.slice(1)];
  if (wideA && wideB) return suffixA.length < suffixB.length ? suffixB.endsWith(suffixA) : suffixA.endsWith(suffixB);
  return wideA ? b.endsWith(suffixA) : a.endsWith(suffixB);
}

/** Routes after one that takes everything are never used (Istio's analyzeUnreachableHTTPRules). */
function warnUnreachable(routes: readonly { readonly match?: readonly object[] }[], field: string, report: Report): void {
  const last = routes.findIndex(({ match }) => !match?.length || match.some((part) => Object.keys(part).length === 0));
  if (last < 0) return;
  for (let index = last + 1; index < routes.length; index++) {
    report("noEffect", `is never used: ${field}[${last}] takes everything`, { path: [field, index], severity: "warning" });
  }
}
