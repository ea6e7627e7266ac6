export { type BootstrapOptions, envoyBootstrap, XDS_CLUSTER } from "./bootstrap.ts";
export { findEnvoy } from "./find-envoy.ts";
export { processSignals, type SignalSource } from "./signals.ts";
export { type SuperviseOptions, superviseEnvoy } from "./supervise.ts";
