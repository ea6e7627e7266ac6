/**
 * Telemetry: whether each workload's proxy tells of the requests that it handles, as spans, and to whom; for calls out (client, and what comes in
 * at a gateway) and in (server). The root namespace's Telemetry, the namespace's and those that select the workload come together, the later ones
 * having the last word field by field (Istio, pilot/pkg/model/telemetry.go Tracing, pilot/pkg/networking/core/tracing.go).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { TracingRule } from "../model/telemetry.ts";
import { findService } from "./authorization-provider.ts";
import { clusterName } from "./http-routes.ts";
import type { Pool } from "./memo.ts";
import { byAge } from "./policy-scope.ts";
import type { ServiceIndex } from "./services.ts";
import { telemetriesFor } from "./telemetry-scope.ts";
import type { Settings, Workload } from "./types.ts";

/** The collector that takes spans: OTLP over gRPC. */
export interface SpanCollector {
  /** "outbound|4317||otlp.default.mesh.local" */
  readonly cluster: string;
  /** Of its requests. */
  readonly authority: string;
  /** Longest path in a span; Envoy's default where undefined. */
  readonly maxTagLength?: number;
}

export interface SpanTag {
  readonly tag: string;
  /** What `value` is: the text itself, a request header's name, the name of a variable of Envoy's environment. */
  readonly from: "literal" | "header" | "environment";
  readonly value: string;
  /** Where there is no such header or variable; without it there is no tag then. */
  readonly defaultValue?: string;
}

export interface Tracing {
  readonly collector: SpanCollector;
  /** Percent of the requests that begin a trace; those that belong to one are told of as their trace is. */
  readonly sampling: number;
  /** Sorted. */
  readonly tags: readonly SpanTag[];
  /** Whether Istio's own tags are there: of the workload, and of dry-run policies. */
  readonly istioTags: boolean;
  readonly useRequestIdForSampling: boolean;
}

export interface WorkloadTracing {
  readonly client?: Tracing;
  readonly server?: Tracing;
  /** By which spans name the proxy: that of Envoy's node. */
  readonly serviceName: string;
  /** Istio's tags of the workload, by name, sorted. */
  readonly workloadTags: readonly (readonly [string, string])[];
  readonly sources: readonly Provenance[];
}

type MeshConfig = Resource<"MeshConfig">;

interface Inputs {
  readonly config?: MeshConfig;
  readonly settings: Settings;
  readonly services: ServiceIndex;
  readonly pool: Pool;
}

/** By key of the workload; those whose proxies tell nobody have no entry. */
export function buildTracing(
  telemetries: readonly Resource<"Telemetry">[],
  workloads: ReadonlyMap<string, Workload>,
  inputs: Inputs,
): ReadonlyMap<string, WorkloadTracing> {
  const sorted = telemetries.filter(({ spec }) => (spec.tracing ?? []).length > 0).sort(byAge);
  const [first] = inputs.config?.spec.defaultProviders?.tracing ?? [];
  const built = new Map<string, WorkloadTracing>();
  if (sorted.length === 0 && first === undefined) return built;
  const all = [...telemetries].sort(byAge);
  const providers = inputs.config ? [provenanceOf(inputs.config, "spec", "extensionProviders")] : [];
  for (const [key, workload] of workloads) {
    const levels = telemetriesFor(all, workload, inputs.settings.rootNamespace).filter(({ spec }) => (spec.tracing ?? []).length > 0);
    const rules = levels.flatMap(({ spec }) => spec.tracing ?? []);
    const tracing: WorkloadTracing = {
      client: tracingAt("CLIENT", rules, first, inputs),
      server: tracingAt("SERVER", rules, first, inputs),
      serviceName: `${workload.name}.${workload.namespace}`,
      workloadTags: workloadTags(workload),
      sources: [...providers, ...levels.map((level) => provenanceOf(level, "spec", "tracing"))],
    };
    if (!tracing.client && !tracing.server) continue;
    built.set(
      key,
      inputs.pool.keep(`tracing ${JSON.stringify(tracing)}`, () => tracing),
    );
  }
  return built;
}

/** Istio's PILOT_TRACE_SAMPLING. */
const DEFAULT_SAMPLING = 1;

function tracingAt(
  mode: "CLIENT" | "SERVER",
  rules: readonly TracingRule[],
  defaultProvider: string | undefined,
  inputs: Inputs,
): Tracing | undefined {
  const own = rules.filter(({ match }) => (match?.mode ?? "CLIENT_AND_SERVER") === "CLIENT_AND_SERVER" || match?.mode === mode);
  const last = <K extends keyof TracingRule>(key: K): TracingRule[K] | undefined => own.findLast((rule) => rule[key] !== undefined)?.[key];
  // Istio takes one provider, the first that is named.
  const provider = own.findLast(({ providers }) => (providers ?? []).length > 0)?.providers?.[0]?.name ?? defaultProvider;
  const collector = provider === undefined ? undefined : collectorOf(provider, inputs);
  if (!collector || last("disableSpanReporting")) return undefined;
  return {
    collector,
    sampling: last("randomSamplingPercentage") ?? DEFAULT_SAMPLING,
    tags: tagsOf(last("customTags") ?? {}),
    istioTags: last("enableIstioTags") ?? true,
    useRequestIdForSampling: last("useRequestIdForTraceSampling") ?? true,
  };
}

function tagsOf(tags: NonNullable<TracingRule["customTags"]>): readonly SpanTag[] {
  return Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([tag, { literal, header, environment }]): SpanTag[] => {
      if (literal) return [{ tag, from: "literal", value: literal.value }];
      const named = header ?? environment;
      if (!named) return [];
      return [{ tag, from: header ? "header" : "environment", value: named.name, defaultValue: named.defaultValue || undefined }];
    });
}

/** undefined where MeshConfig has no such provider, it takes no spans, or its service is none: Istio's proxies then tell nobody. */
export function collectorOf(name: string, { config, services, settings }: Omit<Inputs, "pool">): SpanCollector | undefined {
  const found = config?.spec.extensionProviders?.find((provider) => provider.name.toLowerCase() === name.toLowerCase());
  const otlp = found?.opentelemetry;
  const service = otlp && findService(otlp.service, services, settings);
  if (!otlp || !service || "error" in service) return undefined;
  return { cluster: clusterName(service.host, otlp.port), authority: service.host, maxTagLength: otlp.maxTagLength || undefined };
}

/** Istio's (tracing.go, buildServiceTags). */
function workloadTags({ labels, namespace }: Workload): WorkloadTracing["workloadTags"] {
  return [
    ["istio.canonical_revision", labels["service.istio.io/canonical-revision"] || "latest"],
    ["istio.canonical_service", labels["service.istio.io/canonical-name"] || "unknown"],
    ["istio.cluster_id", "unknown"],
    ["istio.mesh_id", "unknown"],
    ["istio.namespace", namespace],
  ];
}
