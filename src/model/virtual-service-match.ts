/**
 * The match half of a VirtualService's routes. istio/api networking/v1alpha3/virtual_service.proto, checked as Istio's
 * validateHTTPRouteMatchRequest and validateTCPMatch do.
 */
import type * as v from "valibot";
import { regexError } from "./check.ts";
import { isJwtClaim, matchHeaderError } from "./check-header.ts";
import { onlyOne, port } from "./common.ts";
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
    const error = matchHeaderError(name);
    if (isJwtClaim(name))
      report("notYet", "JWT claims are matched at gateways, which are not translated yet", { path: [name], atKey: true });
    else if (error) report("badHeader", error, { path: [name], atKey: true });
  }
}

const SOURCE = "a route holds for every caller";
const GATEWAYS = "a route holds for every sidecar";

const uriMatch = stringMatch({ emptyPrefix: true });

export const httpMatch = object({
  name: text(),
  uri: uriMatch,
  scheme: stringMatch(),
  method: stringMatch(),
  authority: stringMatch(),
  headers: map(stringMatch(), checkHeaderNames),
  port: port(),
  sourceLabels: notYet(SOURCE),
  gateways: notYet(GATEWAYS),
  queryParams: map(stringMatch()),
  ignoreUriCase: flag(),
  // "*" is no expression: Istio reads it as "the header is there".
  withoutHeaders: map(stringMatch({ starRegex: true }), checkHeaderNames),
  sourceNamespace: notYet(SOURCE),
  statPrefix: notYet(),
});

export const l4Match = object({
  destinationSubnets: notYet(),
  port: port(),
  sourceSubnet: notYet(SOURCE),
  sourceLabels: notYet(SOURCE),
  gateways: notYet(GATEWAYS),
  sourceNamespace: notYet(SOURCE),
});

export const httpMatches = list(httpMatch);
export const l4Matches = list(l4Match);

export type StringMatch = v.InferOutput<typeof uriMatch>;
export type HttpMatch = v.InferOutput<typeof httpMatch>;
export type L4Match = v.InferOutput<typeof l4Match>;
