import { create } from "@bufbuild/protobuf";
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from "../gen/envoy/config/core/v3/config_source_pb.ts";

/** "Over the same ADS stream", waiting for the first answer for as long as it takes, as Istio does: half a configuration is none. */
export function adsSource(): ConfigSource {
  return create(ConfigSourceSchema, {
    configSourceSpecifier: { case: "ads", value: {} },
    initialFetchTimeout: { seconds: 0n },
    resourceApiVersion: ApiVersion.V3,
  });
}
