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

const COLLECTORS = `apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: providers, namespace: weft-system}
spec:
  extensionProviders:
    - {name: spans, opentelemetry: {service: orders.default.mesh.local, port: 8081}}
    - {name: other, opentelemetry: {service: orders.default.mesh.local, port: 8080}}
`;

const TRACED = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: traced, namespace: weft-system}
spec: {tracing: [{providers: [{name: authz}]}]}
`;

const spans = (more: Readonly<Record<string, Json>> = {}): Json => ({ tracing: [{ providers: [{ name: "spans" }], ...more }] });
const collector: Json = {
  extensionProviders: [{ name: "authz", opentelemetry: { service: "orders.default.mesh.local", port: 8081 } }],
};

const USED = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: used, namespace: weft-system}
spec: {accessLogging: [{providers: [{name: authz}]}]}
`;

const provider = (envoyFileAccessLog: Json): Json => ({ extensionProviders: [{ name: "authz", envoyFileAccessLog }] });

const METERS = `apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: providers, namespace: weft-system}
spec: {extensionProviders: [{name: other, envoyFileAccessLog: {path: /tmp/other.log}}]}
`;

const COUNTED = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: counted, namespace: weft-system}
spec: {metrics: [{providers: [{name: authz}]}]}
`;

const TAGGED = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tagged, namespace: weft-system}
spec: {metrics: [{providers: [{name: prometheus}], overrides: [{tagOverrides: {x-sample: {value: "'x'"}}}]}]}
`;

const counts = (override: Readonly<Record<string, unknown>> = {}): Json => ({
  metrics: [{ providers: [{ name: "prometheus" }], overrides: [override] }],
});
const tag: Json = { host: { value: "request.host" } };

export const TELEMETRY_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  // The base counts, so that what is named otherwise counts no more.
  [/^Telemetry\.metrics\[\]\.providers\[\]\.name$/, { value: "other", base: counts(), documents: METERS }],
  [/^Telemetry\.metrics\[\]\.overrides\[\]\.disabled$/, { value: true, base: counts() }],
  [/^Telemetry\.metrics\[\]\.overrides\[\]\.match\.metric$/, { base: counts({ disabled: true }) }],
  [/^Telemetry\.metrics\[\]\.overrides\[\]\.match\.customMetric$/, { value: "requests_total", base: counts({ disabled: true }) }],
  [/^Telemetry\.metrics\[\]\.overrides\[\]\.match\.mode$/, { base: counts({ tagOverrides: tag }) }],
  [
    /^Telemetry\.metrics\[\]\.overrides\[\]\.tagOverrides\.\*\.operation$/,
    { base: counts(), besideValue: { UPSERT: { value: "'x'" } }, documents: TAGGED },
  ],
  [/^Telemetry\.metrics\[\]\.overrides\[\]\.tagOverrides\.\*\.value$/, { value: "request.host", base: counts() }],
  [/^Telemetry\.metrics\[\]/, { base: counts() }],
  [/^MeshConfig\..*\.prometheus$/, { value: {}, base: {}, beside: { name: "authz" }, documents: COUNTED }],
  [/^MeshConfig\.defaultProviders\.metrics$/, { value: ["prometheus"] }],
  [/^ProxyConfig\.selector\.matchLabels$/, { value: { app: "legacy" }, base: { concurrency: 2 } }],
  [/^Telemetry\.tracing\[\]\.providers\[\]\.name$/, { value: "other", base: spans(), documents: COLLECTORS }],
  [/^Telemetry\.tracing\[\]\.randomSamplingPercentage$/, { value: 50, base: spans(), documents: COLLECTORS }],
  [/^Telemetry\.tracing\[\]\.disableSpanReporting$/, { value: true, base: spans(), documents: COLLECTORS }],
  [/^Telemetry\.tracing\[\]\.customTags\.\*\.literal\.value$/, { value: "eu", base: spans(), documents: COLLECTORS }],
  [
    /^Telemetry\.tracing\[\]\.customTags\.\*\.(header|environment)\.defaultValue$/,
    { value: "none", base: spans({ customTags: { "*": { header: { name: "x" } } } }), documents: COLLECTORS },
  ],
  [/^Telemetry\.tracing\[\]\.(useRequestIdForTraceSampling|enableIstioTags)$/, { value: false, base: spans(), documents: COLLECTORS }],
  [/^Telemetry\.tracing\[\]/, { base: spans(), documents: COLLECTORS }],
  [/^MeshConfig\..*\.opentelemetry\.service$/, { value: "web.default.mesh.local", base: collector, documents: TRACED }],
  [/^MeshConfig\..*\.opentelemetry\.port$/, { value: 8080, base: collector, documents: TRACED }],
  [/^MeshConfig\..*\.opentelemetry\.maxTagLength$/, { value: 99, base: collector, documents: TRACED }],
  [/^MeshConfig\.defaultProviders\.tracing$/, { value: ["authz"], base: collector }],
  [/^Telemetry\..*\.providers\[\]\.name$/, { value: "other", documents: PROVIDERS }],
  [/^Telemetry\.accessLogging\[\]\.filter\.expression$/, { value: "response.code >= 400" }],
  [/^MeshConfig\..*\.envoyFileAccessLog\.omitEmptyValues$/, { base: provider({ logFormat: { text: "%PROTOCOL%" } }), documents: USED }],
  [/^MeshConfig\..*\.envoyFileAccessLog\./, { base: provider({}), documents: USED }],
  [/^MeshConfig\.defaultProviders\.accessLogging$/, { value: ["envoy"] }],
];
