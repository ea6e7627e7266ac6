/** What a VirtualService's HTTP route does with a request: send, redirect, rewrite, retry, break, mirror. istio/api virtual_service.proto. */
import type * as v from "valibot";
import { duration, portSelector } from "./common.ts";
import { choice, flag, integer, list, map, needed, notYet, number, object, text, uint32 } from "./schema.ts";

export const destination = object({ host: needed(text()), subset: text(), port: portSelector() });

export const percent = object({ value: number() });

const headerOperations = object({ set: map(text()), add: map(text()), remove: list(text()) });

export const headers = object({ request: headerOperations, response: headerOperations });

export const httpDestination = object({ destination: needed(destination), weight: integer(), headers });

export const routeDestination = object({ destination: needed(destination), weight: integer() });

export const redirect = object({
  uri: text(),
  authority: text(),
  port: uint32(),
  derivePort: choice(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]),
  scheme: text(),
  redirectCode: uint32(),
  prefixRewrite: notYet("redirect.uri replaces the whole path"),
});

export const rewrite = object({ uri: text(), authority: text(), uriRegexRewrite: notYet("rewrite.uri replaces the matched prefix") });

export const retries = object({
  attempts: integer(),
  perTryTimeout: duration(),
  retryOn: text(),
  retryRemoteLocalities: flag(),
  retryIgnorePreviousHosts: flag(),
  backoff: duration(),
});

export const fault = object({
  delay: object({
    percent: integer(),
    fixedDelay: duration(),
    exponentialDelay: notYet("write fixedDelay"),
    percentage: percent,
  }),
  abort: object({ httpStatus: integer(), grpcStatus: text(), http2Error: notYet("write httpStatus"), percentage: percent }),
});

export const mirrorPolicy = object({ destination: needed(destination), percentage: percent });

export type Destination = v.InferOutput<typeof destination>;
export type Percent = v.InferOutput<typeof percent>;
export type HeaderOperations = v.InferOutput<typeof headerOperations>;
export type Headers = v.InferOutput<typeof headers>;
export type HttpRouteDestination = v.InferOutput<typeof httpDestination>;
export type RouteDestination = v.InferOutput<typeof routeDestination>;
export type HttpRedirect = v.InferOutput<typeof redirect>;
export type HttpRewrite = v.InferOutput<typeof rewrite>;
export type HttpRetry = v.InferOutput<typeof retries>;
export type HttpFault = v.InferOutput<typeof fault>;
export type HttpMirrorPolicy = v.InferOutput<typeof mirrorPolicy>;
