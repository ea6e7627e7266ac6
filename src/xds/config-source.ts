import { create } from "@bufbuild/protobuf";
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from "../gen/envoy/config/core/v3/config_source_pb.ts";

/** "Over the same ADS stream", waiting for the first answer for as long as it takes, as Istio does: half a configuration is none. */
export function adsSource(): ConfigSource {
  return ADS;
}

/** One for all who name it: each cluster has three. Messages are never changed once they are made. */
const ADS = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  initialFetchTimeout: { seconds: 0n },
  resourceApiVersion: ApiVersion.V3,
});

/**
 * The same for a Secret of the user's: where the proxy refuses it, the listener or cluster goes on without it after a while, so that what else
 * is there works, as in Istio (pilot/pkg/security/model/authentication.go, SDSAdsConfig).
 */
export function impatientAdsSource(): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: { case: "ads", value: {} },
    initialFetchTimeout: CREDENTIAL_LIMIT,
    resourceApiVersion: ApiVersion.V3,
  });
}

const CREDENTIAL_LIMIT = { seconds: 5n };
