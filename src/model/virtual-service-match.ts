/**
 * The match half of a VirtualService's routes. istio/api networking/v1alpha3/virtual_service.proto, checked as Istio's
 * validateHTTPRouteMatchRequest and validateTCPMatch do.
 */

import type * as v from "valibot";
import { routingClaim } from "../lib/routing-claim.ts";
import { checkHost, checkIpBlock, fqdnError, isClusterSni, isDnsLabel, isIpAddress, regexError } from "./check.ts";
import { matchHeaderError } from "./check-header.ts";
import { checkLabels } from "./check-label.ts";
import { onlyOne, portOrNone } from "./common.ts";
import { flag, list, map, notYet, object, type Report, text } from "./schema.ts";

interface Match {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

/** One of exact, prefix and regex; none of them in a header match means that the header is there. */
const stringMatch = (allow: { readonly emptyPrefix?: boolean; readonly starRegex?: boolean } = {}) =>
  object({ exact: text(), prefix: text(), regex: text() }, (match: Match, report) => {
    onlyOne(match, ["exact", "prefix", "regex"], report);
    if (match.prefix === "" && !allow.emptyPrefix) report("badPattern", "must not be empty", { path: ["prefix"] });
    if (match.regex === undefined || (match.regex === "*" && allow.starRegex)) return;
    const error = regexError(match.regex);
    if (error) report("badRegex", error, { path: ["regex"], help: "Envoy uses RE2: https://github.com/google/re2/wiki/Syntax" });
  });

function checkHeaderNames(headers: Readonly<Record<string, unknown>>, report: Report): void {
  for (const name of Object.keys(headers)) {
    const error = routingClaim(name) ? undefined : matchHeaderError(name);
    if (error) report("badHeader", error, { path: [name], atKey: true });
  }
}

/** "mesh" is every sidecar; else NAMESPACE/NAME, or a name of the own namespace (Istio's validateGatewayNames). */
function checkGatewayName(name: string, report: Report): void {
  const slash = name.indexOf("/");
  const parts = slash < 0 ? [] : [name.slice(0, slash), name.slice(slash + 1)];
  const isName = slash < 0 ? fqdnError(name) === undefined : parts.every(isDnsLabel);
  if (!isName) report("badValue", `${JSON.stringify(name)} is no name of a gateway`, { help: "write mesh, NAME or NAMESPACE/NAME" });
}

export const gatewayNames = () => list(text(checkGatewayName));

const namespaceName = () =>
  text((name, report) => {
    if (name !== "" && !isDnsLabel(name)) report("badValue", `${JSON.stringify(name)} is no namespace`);
  });

/** Who calls: known before any request is, so each caller gets only the routes that hold for it. */
const caller = () => ({ sourceLabels: map(text(), checkLabels), gateways: gatewayNames(), sourceNamespace: namespaceName() });

/** Envoy's limits (QueryParameterMatcher), whose breach loses the whole route table. */
function checkParameterNames(parameters: Readonly<Record<string, unknown>>, report: Report): void {
  for (const name of Object.keys(parameters)) {
    const length = Buffer.byteLength(name);
    if (length < 1 || length > 1024) report("badValue", "the name of a parameter has 1 to 1024 bytes", { path: [name], atKey: true });
  }
}

const uriMatch = stringMatch({ emptyPrefix: true });

export const httpMatch = object({
  name: text(),
  uri: uriMatch,
  scheme: stringMatch(),
  method: stringMatch(),
  authority: stringMatch(),
  // Names such as @request.auth.claims[x] are claims (checkClaims, in virtual-service.ts).
  headers: map(stringMatch(), checkHeaderNames),
  port: portOrNone(),
  queryParams: map(stringMatch(), checkParameterNames),
  ignoreUriCase: flag(),
  // "*" is no expression: Istio reads it as "the header is there".
  withoutHeaders: map(stringMatch({ starRegex: true }), checkHeaderNames),
  statPrefix: text(),
  ...caller(),
});

const subnets = () =>
  list(text(), (blocks, report) => {
    for (const [index, block] of blocks.entries()) checkIpBlock(block, report, [index]);
  });

const UNUSED = "Istio ignores it: write sourceLabels or sourceNamespace";

export const l4Match = object({ destinationSubnets: subnets(), port: portOrNone(), sourceSubnet: notYet(UNUSED), ...caller() });

const sniHosts = () =>
  list(text(), (hosts, report) => {
    for (const [index, host] of hosts.entries()) if (!isIpAddress(host) && !isClusterSni(host)) checkHost(host, report, [index]);
  });

export const tlsMatch = object(
  { sniHosts: sniHosts(), destinationSubnets: subnets(), port: portOrNone(), sourceSubnet: notYet(UNUSED), ...caller() },
  (match, report) => {
    if (!match.sniHosts?.length) report("missing", "needs sniHosts");
  },
);

export const httpMatches = list(httpMatch);
export const l4Matches = list(l4Match);
export const tlsMatches = list(tlsMatch);

export type StringMatch = v.InferOutput<typeof uriMatch>;
export type HttpMatch = v.InferOutput<typeof httpMatch>;
export type L4Match = v.InferOutput<typeof l4Match>;
export type TlsMatch = v.InferOutput<typeof tlsMatch>;
