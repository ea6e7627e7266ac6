import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "../lib/duration.ts";
import type { Settings } from "../mesh/types.ts";

type DurationInit = MessageInitShape<typeof DurationSchema>;

/** google.protobuf.Duration of milliseconds, which may be fractional. */
export function durationOfMs(milliseconds: number): DurationInit {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}

/** Of a duration as Istio writes it ("1.5s"); undefined where there is none. */
export function durationOf(text: string | undefined): DurationInit | undefined {
  const milliseconds = text === undefined ? undefined : parseDuration(text);
  return milliseconds === undefined ? undefined : durationOfMs(milliseconds);
}

/** How long a listener waits for what its inspectors look at; undefined for Envoy's 15 s, 0 for ever. */
export function detectionTimeout({ defaults }: Settings): DurationInit | undefined {
  return defaults?.protocolDetectionMs === undefined ? undefined : durationOfMs(defaults.protocolDetectionMs);
}
