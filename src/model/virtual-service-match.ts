/** The match half of a VirtualService's routes. istio/api networking/v1alpha3/virtual_service.proto. */
import type * as v from "valibot";
import { port } from "./common.ts";
import { flag, list, map, notYet, object, text } from "./schema.ts";

/** One of exact, prefix and regex; none of them in a header match means that the header is there. */
export const stringMatch = object({ exact: text(), prefix: text(), regex: text() });

const SOURCE = "a route holds for every caller";

export const httpMatch = object({
  name: text(),
  uri: stringMatch,
  scheme: stringMatch,
  method: stringMatch,
  authority: stringMatch,
  headers: map(stringMatch),
  port: port(),
  sourceLabels: notYet(SOURCE),
  gateways: notYet("a route holds for every sidecar"),
  queryParams: map(stringMatch),
  ignoreUriCase: flag(),
  withoutHeaders: map(stringMatch),
  sourceNamespace: notYet(SOURCE),
  statPrefix: notYet(),
});

export const l4Match = object({
  destinationSubnets: notYet(),
  port: port(),
  sourceSubnet: notYet(SOURCE),
  sourceLabels: notYet(SOURCE),
  gateways: notYet("a route holds for every sidecar"),
  sourceNamespace: notYet(SOURCE),
});

export const httpMatches = list(httpMatch);
export const l4Matches = list(l4Match);

export type StringMatch = v.InferOutput<typeof stringMatch>;
export type HttpMatch = v.InferOutput<typeof httpMatch>;
export type L4Match = v.InferOutput<typeof l4Match>;
