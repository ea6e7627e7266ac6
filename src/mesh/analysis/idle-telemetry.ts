/**
 * Telemetry that says how to log, trace or count, where no provider is in force: what names none takes those of the wider scopes, else
 * MeshConfig's defaultProviders, and weft has none by itself.
 */
import type { Resource } from "../../model/resource.ts";
import type { Workload } from "../types.ts";
import type { Context } from "./context.ts";

interface Signal {
  readonly field: "accessLogging" | "tracing" | "metrics";
  /** In Istio's words. */
  readonly what: string;
  readonly isInForce: (context: Context, workload: Workload) => boolean;
  /** Whether an entry asks for something, rather than for nothing. */
  readonly asks: (entry: Entry) => boolean;
}

interface Entry {
  readonly providers?: readonly unknown[];
  readonly disabled?: boolean;
  readonly disableSpanReporting?: boolean;
  readonly overrides?: readonly { readonly disabled?: boolean }[];
}

const SIGNALS: readonly Signal[] = [
  {
    field: "accessLogging",
    what: "access log is written",
    isInForce: ({ mesh }, { key }) => mesh.accessLogs.has(key) || mesh.settings.accessLogFile !== undefined,
    asks: ({ disabled }) => !disabled,
  },
  {
    field: "tracing",
    what: "span is reported",
    isInForce: ({ mesh }, { key }) => mesh.tracing.has(key),
    asks: ({ disableSpanReporting }) => !disableSpanReporting,
  },
  {
    field: "metrics",
    what: "metric is counted",
    isInForce: ({ mesh }, { key }) => mesh.metrics.has(key),
    asks: ({ overrides = [] }) => overrides.some(({ disabled }) => !disabled),
  },
];

export function findIdleTelemetry(context: Context): void {
  for (const telemetry of context.of("Telemetry")) {
    const workloads = selectedBy(context, telemetry);
    for (const { field, what, isInForce, asks } of SIGNALS) {
      if (workloads.length === 0 || workloads.some((workload) => isInForce(context, workload))) continue;
      for (const [index, entry] of ((telemetry.spec[field] ?? []) as readonly Entry[]).entries()) {
        // One that is named, and is not there, is told by itself.
        if (entry.providers?.length || !asks(entry)) continue;
        const message = `no provider is in force, so no ${what}`;
        const help = `name one: providers: [{name: ...}], or in MeshConfig, defaultProviders.${field}`;
        context.warn("noEffect", telemetry, ["spec", field, index], message, help);
      }
    }
  }
}

function selectedBy({ mesh, workloads }: Context, { metadata, spec }: Resource<"Telemetry">): readonly Workload[] {
  const labels = spec.selector?.matchLabels ?? {};
  const isWide = metadata.namespace === mesh.settings.rootNamespace && Object.keys(labels).length === 0;
  return workloads(isWide ? "*" : metadata.namespace, labels);
}
