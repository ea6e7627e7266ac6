/** The two wire forms of ADS, as one stream sees them; and of the discovery service of one type. */
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
} from "../gen/weft/ads/v1/discovery_pb.ts";
import { TYPE, type TypeUrl } from "../lib/encoded.ts";
import { WeftError } from "../lib/errors.ts";
import { DeltaSubscription } from "./delta.ts";
import { deltaBody, sotwBody } from "./encode.ts";
import type { Answer, Parcel } from "./push.ts";
import { RequestContents } from "./request-content.ts";
import { takeStrings } from "./request-wire.ts";
import { SotwSubscription } from "./sotw.ts";
import type { Subscription } from "./subscription.ts";

export interface Variant<Request, S extends Subscription> {
  readonly protocol: "delta" | "sotw";
  /** With this type answered a stream is in sync. */
  readonly last: TypeUrl;
  create(typeUrl: string): S;
  /** @throws ConnectError INVALID_ARGUMENT */
  decode(bytes: Uint8Array): Request;
  head(request: Request): { readonly typeUrl: string; readonly node: Node | undefined };
  apply(subscription: S, request: Request): Answer;
  /** The response without its nonce (encode.ts). */
  body(parcel: Parcel): Uint8Array;
}

function readable<Request>(read: () => Request): Request {
  try {
    return read();
  } catch (reason) {
    throw new ConnectError("the request is no message of its type", Code.InvalidArgument, undefined, undefined, reason);
  }
}

/** The same as the generated codec gives, faster where there are many names. */
export function readDelta(bytes: Uint8Array): DeltaDiscoveryRequest {
  const taken = takeStrings(bytes, DeltaDiscoveryRequestSchema.field.resourceNamesSubscribe.number);
  const request = fromBinary(DeltaDiscoveryRequestSchema, taken?.rest ?? bytes);
  if (taken) request.resourceNamesSubscribe = [...taken.strings];
  return request;
}

/** The same of the other variant. */
export function readSotw(bytes: Uint8Array): DiscoveryRequest {
  const taken = takeStrings(bytes, DiscoveryRequestSchema.field.resourceNames.number);
  const request = fromBinary(DiscoveryRequestSchema, taken?.rest ?? bytes);
  if (taken) request.resourceNames = [...taken.strings];
  return request;
}

const contents = new RequestContents();

export const delta: Variant<DeltaDiscoveryRequest, DeltaSubscription> = {
  protocol: "delta",
  last: TYPE.listener,
  create: (typeUrl) => new DeltaSubscription(typeUrl),
  decode: (bytes) => readable(() => readDelta(bytes)),
  head: (request) => ({ typeUrl: request.typeUrl, node: request.node }),
  apply: (subscription, request) => {
    const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe, initialResourceVersions: initialVersions } = request;
    const had = Object.entries(initialVersions).map(([name, version]) => `${name}\0${version}`);
    const content = contents.of("delta", subscribe, unsubscribe, had);
    const { responseNonce: nonce, errorDetail } = request;
    return subscription.request({ subscribe, unsubscribe, initialVersions, nonce, error: errorDetail?.message, content });
  },
  body: deltaBody,
};

export const sotw: Variant<DiscoveryRequest, SotwSubscription> = {
  protocol: "sotw",
  last: TYPE.listener,
  create: (typeUrl) => new SotwSubscription(typeUrl),
  decode: (bytes) => readable(() => readSotw(bytes)),
  head: (request) => ({ typeUrl: request.typeUrl, node: request.node }),
  apply: (subscription, request) => {
    const { resourceNames: names, versionInfo: version, responseNonce: nonce, errorDetail } = request;
    // The version says something on the first request only, which is also the one that asks for something new.
    const content = contents.of(`sotw ${subscription.begun ? "" : version}`, names);
    return subscription.request({ names, version, nonce, error: errorDetail?.message, content });
  },
  body: sotwBody,
};

/**
 * A stream of the secret discovery service: "type_url ... is required for ADS and implicit for singleton APIs" (DiscoveryRequest), and there is
 * no other type on it.
 */
export function secretsOnly<Request, S extends Subscription>(variant: Variant<Request, S>): Variant<Request, S> {
  return {
    ...variant,
    last: TYPE.secret,
    head(request) {
      const { typeUrl, node } = variant.head(request);
      if (typeUrl === "" || typeUrl === TYPE.secret) return { typeUrl: TYPE.secret, node };
      throw new WeftError("invalid", `a stream of the secret discovery service has no ${typeUrl}; ask the aggregated one`);
    },
  };
}
