/** Telemetry whose access logs, spans or metrics go nowhere. */
import { isPrometheus } from "../metrics.ts";
import type { Context } from "./context.ts";

/** Istio's own default provider, which nobody has to write down. */
const BUILT_IN = "envoy";

export function findLostLogs(context: Context): void {
  const [config] = context.of("MeshConfig").filter(({ metadata }) => metadata.namespace === context.mesh.settings.rootNamespace);
  const providers = config?.spec.extensionProviders ?? [];
  for (const telemetry of context.of("Telemetry")) {
    for (const [index, { providers: named = [] }] of (telemetry.spec.accessLogging ?? []).entries()) {
      for (const [at, { name }] of named.entries()) {
        const found = providers.find((provider) => provider.name.toLowerCase() === name.toLowerCase());
        if (found ? found.envoyFileAccessLog : name.toLowerCase() === BUILT_IN) continue;
        const message = found ? `the provider ${found.name} is no access log` : `MeshConfig's extensionProviders have no ${name}`;
        const path = ["spec", "accessLogging", index, "providers", at, "name"];
        context.warn("noEffect", telemetry, path, message, `name ${BUILT_IN}, or a provider with envoyFileAccessLog`);
      }
    }
  }
}

/** Of the providers of spans the first counts. */
export function findLostSpans(context: Context): void {
  const [config] = context.of("MeshConfig").filter(({ metadata }) => metadata.namespace === context.mesh.settings.rootNamespace);
  const known = config?.spec.extensionProviders ?? [];
  for (const telemetry of context.of("Telemetry")) {
    for (const [index, { providers: [first] = [] }] of (telemetry.spec.tracing ?? []).entries()) {
      if (!first) continue;
      const found = known.find(({ name }) => name.toLowerCase() === first.name.toLowerCase());
      if (found?.opentelemetry) continue;
      const message = found ? `the provider ${found.name} takes no spans` : `MeshConfig's extensionProviders have no ${first.name}`;
      const path = ["spec", "tracing", index, "providers", 0, "name"];
      context.warn("noEffect", telemetry, path, message, "name a provider with opentelemetry");
    }
  }
}

export function findLostMetrics(context: Context): void {
  const [config] = context.of("MeshConfig").filter(({ metadata }) => metadata.namespace === context.mesh.settings.rootNamespace);
  for (const telemetry of context.of("Telemetry")) {
    for (const [index, { providers = [] }] of (telemetry.spec.metrics ?? []).entries()) {
      for (const [at, { name }] of providers.entries()) {
        if (isPrometheus(name, config)) continue;
        const known = config?.spec.extensionProviders?.some((provider) => provider.name.toLowerCase() === name.toLowerCase());
        const message = known ? `the provider ${name} takes no metrics` : `MeshConfig's extensionProviders have no ${name}`;
        const path = ["spec", "metrics", index, "providers", at, "name"];
        context.warn("noEffect", telemetry, path, message, "name prometheus, or a provider with prometheus");
      }
    }
  }
}
