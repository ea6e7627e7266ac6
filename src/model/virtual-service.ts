/**
 * VirtualService: which requests to a host go where. istio/api networking/v1alpha3/virtual_service.proto, checked as Istio's
 * ValidateVirtualService does.
 */

import type * as v from "valibot";
import { routingClaim } from "../lib/routing-claim.ts";
import { checkHost, isClusterSni, isIpAddress } from "./check.ts";
import { isAuthority } from "./check-header.ts";
import { duration, percentNumber } from "./common.ts";
import { list, object, type Report, text } from "./schema.ts";
import { corsPolicy, delegate, directResponse } from "./virtual-service-answer.ts";
import { gatewayNames, httpMatches, l4Matches, tlsMatches } from "./virtual-service-match.ts";
import {
  checkWeights,
  destination,
  fault,
  type HttpRedirect,
  type HttpRewrite,
  headers,
  httpDestination,
  mirrorPercentage,
  mirrorPolicy,
  redirect,
  retries,
  rewrite,
  routeDestination,
} from "./virtual-service-route.ts";
import { exportTo } from "./visibility.ts";

const httpRoute = object(
  {
    name: text(),
    match: httpMatches,
    route: list(httpDestination, checkWeights),
    redirect,
    directResponse,
    delegate,
    rewrite,
    timeout: duration(),
    retries,
    fault,
    mirror: destination,
    mirrors: list(mirrorPolicy),
    mirrorPercent: percentNumber(),
    mirrorPercentage,
    corsPolicy,
    headers,
  },
  (route, report) => {
    if (route.delegate) {
      for (const other of ["redirect", "route"] as const) if (route[other]) report("exclusive", `may have only one of delegate, ${other}`);
      return;
    }
    if (!route.redirect && !route.directResponse && !route.route?.length) report("missing", "needs route, redirect or directResponse");
    for (const answer of ["redirect", "directResponse"] as const) {
      for (const other of route[answer] ? (["route", "fault", "rewrite"] as const) : []) {
        const there = other === "route" ? Boolean(route.route?.length) : route[other] !== undefined;
        if (there) report("exclusive", `may have only one of ${answer}, ${other}`);
      }
    }
    if (route.redirect && route.directResponse) report("exclusive", "may have only one of redirect, directResponse");
    if (route.redirect) checkPrefixRewrite(route.redirect, route.match ?? [], report);
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

const tlsRoute = object({ match: tlsMatches, route: list(routeDestination, checkWeights) }, (route, report) => {
  if (!route.match?.length) report("missing", "needs match");
  if (!route.route?.length) report("missing", "needs route");
});

export const VirtualServiceSchema = object(
  {
    hosts: list(text(), checkHosts),
    gateways: gatewayNames(),
    http: list(httpRoute),
    tls: list(tlsRoute),
    tcp: list(tcpRoute),
    exportTo: exportTo(),
  },
  (spec, report) => {
    if (!spec.hosts?.length) checkDelegate(spec, report);
    // At gateways alone "*" is a host.
    const star = isForMesh(spec) ? (spec.hosts?.indexOf("*") ?? -1) : -1;
    if (star >= 0) report("badHost", "a VirtualService of the mesh may not stand for every host", { path: ["hosts", star] });
    if (!spec.http?.length && !spec.tls?.length && !spec.tcp?.length) report("missing", "needs http, tls or tcp");
    if (isForMesh(spec)) refuseClaims(spec, report);
    checkSniHosts(spec, report);
    checkClusterSnis(spec, report);
    warnUnreachable(spec.http ?? [], "http", report);
    warnUnreachable(spec.tcp ?? [], "tcp", report);
  },
);

/** Whether sidecars see it: one that is bound to gateways alone they do not. */
export function isForMesh({ gateways }: { readonly gateways?: readonly string[] }): boolean {
  return !gateways?.length || gateways.includes("mesh");
}

/** Tokens are looked at before routes are chosen at gateways alone (Istio's validateJWTClaimRoute). */
function refuseClaims({ http = [] }: Pick<DelegateSpec, "http">, report: Report): void {
  for (const [at, { match = [] }] of http.entries()) {
    for (const [part, conditions] of match.entries()) {
      for (const field of ["headers", "withoutHeaders"] as const) {
        for (const name of Object.keys(conditions[field] ?? {})) {
          if (!routingClaim(name)) continue;
          const path = ["http", at, "match", part, field, name];
          report("exclusive", "claims are matched at gateways only", { path, atKey: true, help: "name gateways, and not mesh" });
        }
      }
    }
  }
}

interface DelegateSpec {
  readonly gateways?: readonly string[];
  readonly http?: readonly {
    readonly delegate?: unknown;
    readonly match?: readonly { readonly headers?: object; readonly withoutHeaders?: object }[];
  }[];
  readonly tls?: readonly unknown[];
  readonly tcp?: readonly unknown[];
}

/** Without hosts it is a delegate, whose http routes others take over. */
function checkDelegate(spec: DelegateSpec, report: Report): void {
  if (!spec.http) report("missing", "needs hosts; without them it is a delegate, which has http routes", { path: ["hosts"] });
  for (const field of ["gateways", "tls", "tcp"] as const) {
    if (spec[field]?.length)
      report("exclusive", `a VirtualService without hosts is a delegate, and has no ${field}`, { path: [field], atKey: true });
  }
  for (const [index, { delegate }] of (spec.http ?? []).entries()) {
    if (delegate) report("exclusive", "a delegate may not delegate", { path: ["http", index, "delegate"], atKey: true });
  }
}

interface TlsSpec {
  readonly hosts?: readonly string[];
  readonly gateways?: readonly string[];
  readonly tls?: readonly { readonly match?: readonly { readonly sniHosts?: readonly string[] }[] }[];
}

/** Names of clusters have a meaning at gateways only, and as hosts where some route matches by SNI. */
function checkClusterSnis(spec: TlsSpec, report: Report): void {
  const { hosts = [], tls = [] } = spec;
  const atMesh = spec.gateways?.includes("mesh") ?? false;
  const matches = tls.flatMap(({ match = [] }, at) =>
    match.map(({ sniHosts = [] }, part) => ({ sniHosts, path: ["tls", at, "match", part] })),
  );
  const hostsMay = !isForMesh(spec) && matches.some(({ sniHosts }) => sniHosts.length > 0);
  for (const [index, host] of hosts.entries()) if (isClusterSni(host) && !hostsMay) checkHost(host, report, ["hosts", index]);
  for (const { sniHosts, path } of atMesh ? matches : []) {
    for (const [index, sni] of sniHosts.entries()) if (isClusterSni(sni)) checkHost(sni, report, [...path, "sniHosts", index]);
  }
}

/** Istio's validateSniHost: each within one of the hosts. */
function checkSniHosts(spec: TlsSpec, report: Report): void {
  for (const [at, route] of (spec.tls ?? []).entries()) {
    for (const [part, { sniHosts = [] }] of (route.match ?? []).entries()) {
      for (const [index, sni] of sniHosts.entries()) {
        if (isIpAddress(sni) || spec.hosts?.some((host) => isWithin(sni, host))) continue;
        report("badHost", `${sni} is none of the hosts`, { path: ["tls", at, "match", part, "sniHosts", index] });
      }
    }
  }
}

/** Istio's host.Name.SubsetOf. */
function isWithin(host: string, pattern: string): boolean {
  if (!pattern.startsWith("*")) return host === pattern;
  return (host.startsWith("*") ? host.slice(1) : host).endsWith(pattern.slice(1));
}

export type VirtualServiceSpec = v.InferOutput<typeof VirtualServiceSchema>;
export type HttpRoute = v.InferOutput<typeof httpRoute>;
export type TlsRoute = v.InferOutput<typeof tlsRoute>;
export type TcpRoute = v.InferOutput<typeof tcpRoute>;

function checkHosts(hosts: readonly string[], report: Report): void {
  for (const [index, host] of hosts.entries()) {
    if (!isIpAddress(host) && !isClusterSni(host)) checkHost(host, report, [index]);
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
