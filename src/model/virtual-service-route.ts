/**
 * What a VirtualService's route does with a request: send, redirect, rewrite, break, mirror. istio/api virtual_service.proto, checked
 * as Istio's pkg/config/validation does.
 */
import type * as v from "valibot";

import { GRPC_STATUS } from "../lib/grpc-status.ts";
import { checkHost, isDnsLabel, regexError, substitutionError } from "./check.ts";

import { checkHeaderOperations } from "./check-header.ts";
import { answerStatus, anyPercent, duration, onlyOne, percent, percentNumber, portSelector } from "./common.ts";
import { choice, integer, list, map, needed, notYet, object, type Report, text, uint32 } from "./schema.ts";

export { type HttpRetry, retries } from "./virtual-service-retry.ts";

/** Istio's validateSubsetName; an empty one in a destination is none. */
export function checkSubset(name: string, report: Report): void {
  if (name !== "" && !isDnsLabel(name)) report("badValue", `${JSON.stringify(name)} is no name of a subset: use letters, digits and '-'`);
}

export const destination = object({
  host: needed(
    text((host, report) => {
      if (host === "*") report("badHost", "a destination is one host");
      else checkHost(host, report);
    }),
  ),
  subset: text(checkSubset),
  port: portSelector(),
});

export const percentage = percent();

const headerOperations = (direction: "request" | "response") =>
  object({ set: map(text()), add: map(text()), remove: list(text()) }, checkHeaderOperations(direction));

const requestOperations = headerOperations("request");

export const headers = object({ request: requestOperations, response: headerOperations("response") });

const weight = () => integer(0);

export const httpDestination = object({ destination: needed(destination), weight: weight(), headers });

export const routeDestination = object({ destination: needed(destination), weight: weight() });

/** Among several destinations, one without a weight gets nothing; so one must have a weight. */
export function checkWeights(routes: readonly { readonly weight?: number }[], report: Report): void {
  if (routes.length > 1 && routes.every((route) => !route.weight)) {
    report("together", "has several destinations and no weight: nothing would be sent", { help: "give each destination a weight" });
  }
}

/** Envoy refuses these three characters in what it writes into a URL (route_components.proto), which Istio finds out by a NACK only. */
const oneLine = () =>
  text((value, report) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    if (/[\u0000\n\r]/.test(value)) report("badValue", "holds a line end or a NUL character");
  });

export const redirect = object(
  {
    uri: oneLine(),
    authority: oneLine(),
    port: uint32(),
    derivePort: choice(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]),
    scheme: text(),
    redirectCode: uint32(),
    prefixRewrite: oneLine(),
  },
  (value, report) => {
    onlyOne(value, ["port", "derivePort"], report);
    const { uri, authority, scheme, port, derivePort, prefixRewrite, redirectCode } = value;
    if (uri && prefixRewrite) report("exclusive", "may have only one of uri, prefixRewrite");
    if (!uri && !authority && !scheme && !prefixRewrite && port === undefined && derivePort === undefined) {
      report("missing", "needs uri, authority, scheme, port or prefixRewrite");
    }
    if (port !== undefined && port > 65535) report("outOfRange", `must be from 1 to 65535, not ${port}`, { path: ["port"] });
    if (redirectCode && (redirectCode < 300 || redirectCode > 399)) report("outOfRange", "must be 3xx", { path: ["redirectCode"] });
    // Envoy has these five only (RedirectResponseCode), and Istio silently makes 301 of the others.
    else if (redirectCode && ![301, 302, 303, 307, 308].includes(redirectCode)) {
      report("notYet", `${redirectCode} is none that Envoy sends: 301, 302, 303, 307 or 308`, { path: ["redirectCode"] });
    }
    if (scheme && scheme !== "http" && scheme !== "https") report("notOneOf", "must be http or https", { path: ["scheme"] });
  },
);

const uriRegexRewrite = object({ match: text(), rewrite: text() }, (value, report) => {
  for (const name of ["match", "rewrite"] as const) if (!value[name]) report("missing", `needs ${name}`);
  const error = value.match ? regexError(value.match) : undefined;
  if (error) report("badRegex", error, { path: ["match"] });
  const wrong = error || !value.match ? undefined : substitutionError(value.rewrite ?? "", value.match);
  if (wrong) report("badPattern", wrong, { path: ["rewrite"] });
});

export const rewrite = object({ uri: oneLine(), authority: oneLine(), uriRegexRewrite }, (value, report) => {
  if (value.uri && value.uriRegexRewrite) report("exclusive", "may have only one of uri, uriRegexRewrite");
  if (!value.uri && !value.authority && !value.uriRegexRewrite) report("missing", "needs uri, uriRegexRewrite or authority");
});

const delay = object(
  { percent: percentNumber(), fixedDelay: duration(), exponentialDelay: notYet("write fixedDelay"), percentage },
  (value, report) => {
    if (value.percent !== undefined) {
      const help = "write percentage: {value: ...}";
      report("deprecated", "is deprecated", { path: ["percent"], atKey: true, severity: "warning", help });
    }
    if (value.fixedDelay === undefined && !("exponentialDelay" in value)) {
      report("noEffect", "has no fixedDelay, so nothing is delayed", { severity: "warning" });
    }
  },
);

const abort = object(
  { httpStatus: answerStatus(), grpcStatus: choice(GRPC_STATUS), http2Error: notYet("write httpStatus"), percentage },
  (value, report) => {
    onlyOne(value, ["httpStatus", "grpcStatus", "http2Error"], report);
    if (value.httpStatus === undefined && value.grpcStatus === undefined && !("http2Error" in value)) {
      report("noEffect", "has neither httpStatus nor grpcStatus, so nothing is aborted", { severity: "warning" });
    }
  },
);

export const fault = object({ delay, abort }, (value, report) => {
  if (!value.delay && !value.abort) report("missing", "needs delay or abort");
});

export const mirrorPercentage = anyPercent();

export const mirrorPolicy = object({ destination: needed(destination), percentage: mirrorPercentage });

export type Destination = v.InferOutput<typeof destination>;
export type Percent = v.InferOutput<typeof percentage>;
export type HeaderOperations = v.InferOutput<typeof requestOperations>;
export type Headers = v.InferOutput<typeof headers>;
export type HttpRouteDestination = v.InferOutput<typeof httpDestination>;
export type RouteDestination = v.InferOutput<typeof routeDestination>;
export type HttpRedirect = v.InferOutput<typeof redirect>;
export type HttpRewrite = v.InferOutput<typeof rewrite>;
export type HttpFault = v.InferOutput<typeof fault>;
export type HttpMirrorPolicy = v.InferOutput<typeof mirrorPolicy>;
