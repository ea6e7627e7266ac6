export { type AdsTls, authorizationOf, type BootstrapOptions, envoyBootstrap, XDS_CLUSTER } from "./bootstrap.ts";
export { isEnvoyReady } from "./envoy-ready.ts";
export { findEnvoy } from "./find-envoy.ts";
export { type Readiness, runProbe } from "./probe.ts";
export { checkApplication } from "./probe-check.ts";
export { ReadinessReporter } from "./report-readiness.ts";
export { processSignals, type SignalSource } from "./signals.ts";
export { type SuperviseOptions, superviseEnvoy } from "./supervise.ts";
