/** The two wire forms of ADS, as one stream sees them; and of the discovery service of one type. */
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../gen/weft/ads/v1/discovery_pb.ts";
import { TYPE } from "../lib/encoded.ts";
import { WeftError } from "../lib/errors.ts";
import { DeltaSubscription } from "./delta.ts";
import { deltaResponse, sotwResponse } from "./encode.ts";
import type { Answer, Push } from "./push.ts";
import { RequestContents } from "./request-content.ts";
import { SotwSubscription } from "./sotw.ts";
import type { Subscription } from "./subscription.ts";

export interface Variant<Request, Response, S extends Subscription> {
  readonly protocol: "delta" | "sotw";
  create(typeUrl: string): S;
  head(request: Request): { readonly typeUrl: string; readonly node: Node | undefined };
  apply(subscription: S, request: Request): Answer;
  response(push: Push): Response;
}

const contents = new RequestContents();

export const delta: Variant<DeltaDiscoveryRequest, DeltaDiscoveryResponse, DeltaSubscription> = {
  protocol: "delta",
  create: (typeUrl) => new DeltaSubscription(typeUrl),
  head: (request) => ({ typeUrl: request.typeUrl, node: request.node }),
  apply: (subscription, request) => {
    const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe, initialResourceVersions: initialVersions } = request;
    const had = Object.entries(initialVersions).map(([name, version]) => `${name}\0${version}`);
    const content = contents.of("delta", subscribe, unsubscribe, had);
    const { responseNonce: nonce, errorDetail } = request;
    return subscription.request({ subscribe, unsubscribe, initialVersions, nonce, error: errorDetail?.message, content });
  },
  response: deltaResponse,
};

export const sotw: Variant<DiscoveryRequest, DiscoveryResponse, SotwSubscription> = {
  protocol: "sotw",
  create: (typeUrl) => new SotwSubscription(typeUrl),
  head: (request) => ({ typeUrl: request.typeUrl, node: request.node }),
  apply: (subscription, request) => {
    const { resourceNames: names, versionInfo: version, responseNonce: nonce, errorDetail } = request;
    // The version says something on the first request only, which is also the one that asks for something new.
    const content = contents.of(`sotw ${subscription.begun ? "" : version}`, names);
    return subscription.request({ names, version, nonce, error: errorDetail?.message, content });
  },
  response: sotwResponse,
};

/**
 * A stream of the secret discovery service: "type_url ... is required for ADS and implicit for singleton APIs" (DiscoveryRequest), and there is
 * no other type on it.
 */
export function secretsOnly<Request, Response, S extends Subscription>(
  variant: Variant<Request, Response, S>,
): Variant<Request, Response, S> {
  return {
    ...variant,
    head(request) {
      const { typeUrl, node } = variant.head(request);
      if (typeUrl === "" || typeUrl === TYPE.secret) return { typeUrl: TYPE.secret, node };
      throw new WeftError("invalid", `a stream of the secret discovery service has no ${typeUrl}; ask the aggregated one`);
    },
  };
}
