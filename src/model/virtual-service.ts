/** VirtualService: which requests to a host go where. istio/api networking/v1alpha3/virtual_service.proto. */
import type * as v from "valibot";
import { duration } from "./common.ts";
import { list, needed, notYet, object, text, uint32 } from "./schema.ts";
import { httpMatches, l4Matches } from "./virtual-service-match.ts";
import {
  destination,
  fault,
  headers,
  httpDestination,
  mirrorPolicy,
  percent,
  redirect,
  retries,
  rewrite,
  routeDestination,
} from "./virtual-service-route.ts";

const httpRoute = object({
  name: text(),
  match: httpMatches,
  route: list(httpDestination),
  redirect,
  directResponse: notYet(),
  delegate: notYet("write the delegate's routes here"),
  rewrite,
  timeout: duration(),
  retries,
  fault,
  mirror: destination,
  mirrors: list(mirrorPolicy),
  mirrorPercent: uint32(),
  mirrorPercentage: percent,
  corsPolicy: notYet(),
  headers,
});

const tcpRoute = object({ match: l4Matches, route: list(routeDestination) });

export const VirtualServiceSchema = object({
  hosts: needed(list(text())),
  gateways: list(text()),
  http: list(httpRoute),
  tls: notYet("route on the host and port with tcp, or let the sidecar do the TLS"),
  tcp: list(tcpRoute),
  exportTo: notYet("every route is visible in every namespace"),
});

export type VirtualServiceSpec = v.InferOutput<typeof VirtualServiceSchema>;
export type HttpRoute = v.InferOutput<typeof httpRoute>;
export type TcpRoute = v.InferOutput<typeof tcpRoute>;
