/** The fields of Telemetry and of the log providers that it names. */
import type { Json, Sample } from "./samples.ts";

const logging = (...accessLogging: Json[]): Json => ({ accessLogging });
const envoy = { providers: [{ name: "envoy" }] };

export const TELEMETRY_BASE: Json = logging(envoy);

const PROVIDERS = `apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: providers, namespace: weft-system}
spec: {extensionProviders: [{name: other, envoyFileAccessLog: {path: /tmp/other.log}}]}
`;

const USED = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: used, namespace: weft-system}
spec: {accessLogging: [{providers: [{name: authz}]}]}
`;

const provider = (envoyFileAccessLog: Json): Json => ({ extensionProviders: [{ name: "authz", envoyFileAccessLog }] });

export const TELEMETRY_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^Telemetry\..*\.providers\[\]\.name$/, { value: "other", documents: PROVIDERS }],
  [/^Telemetry\.accessLogging\[\]\.filter\.expression$/, { value: "response.code >= 400" }],
  [/^MeshConfig\..*\.envoyFileAccessLog\.omitEmptyValues$/, { base: provider({ logFormat: { text: "%PROTOCOL%" } }), documents: USED }],
  [/^MeshConfig\..*\.envoyFileAccessLog\./, { base: provider({}), documents: USED }],
  [/^MeshConfig\.defaultProviders\.accessLogging$/, { value: ["envoy"] }],
];
