/**
 * Telemetry: which of Istio's standard metrics each workload's proxy counts, for calls out (client, and what comes in at a gateway) and in
 * (server), and with which tags. The root namespace's Telemetry, the namespace's and those that select the workload come together: the last that
 * names providers decides on them, and overrides add up in order (Istio, pilot/pkg/model/telemetry.go mergeMetrics).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { METRIC_NAMES, METRICS, type MetricName, type MetricsRule, metricNamed, tagFormat } from "../model/telemetry-metrics.ts";
import type { Pool } from "./memo.ts";
import { type PeerLabels, peerLabels } from "./peer-labels.ts";
import { byAge } from "./policy-scope.ts";
import { telemetriesFor } from "./telemetry-scope.ts";
import type { Settings, Workload } from "./types.ts";

export type { MetricName } from "../model/telemetry-metrics.ts";

export interface Metric {
  readonly name: MetricName;
  /** For Prometheus, after "istio_". */
  readonly prometheusName: string;
  /** Sorted; what differs from the standard tags: Envoy's format of the value, or undefined where there is to be no such tag. */
  readonly tags: readonly (readonly [string, string | undefined])[];
}

export interface WorkloadMetrics {
  /** Undefined: none are counted. */
  readonly client?: readonly Metric[];
  readonly server?: readonly Metric[];
  /** What the metrics tell of the workload itself. */
  readonly self: PeerLabels;
  readonly sources: readonly Provenance[];
}

type MeshConfig = Resource<"MeshConfig">;
type Mode = "CLIENT" | "SERVER";

interface Inputs {
  readonly config?: MeshConfig;
  readonly settings: Settings;
  readonly pool: Pool;
}

/** By key of the workload; those whose proxies count nothing have no entry. */
export function buildMetrics(
  telemetries: readonly Resource<"Telemetry">[],
  workloads: ReadonlyMap<string, Workload>,
  { config, settings, pool }: Inputs,
): ReadonlyMap<string, WorkloadMetrics> {
  const built = new Map<string, WorkloadMetrics>();
  const defaults = config?.spec.defaultProviders?.metrics ?? [];
  const counting = telemetries.some(({ spec }) => (spec.metrics ?? []).length > 0);
  if (!counting && defaults.length === 0) return built;
  const sorted = [...telemetries].sort(byAge);
  for (const [key, workload] of workloads) {
    const levels = telemetriesFor(sorted, workload, settings.rootNamespace).filter(({ spec }) => (spec.metrics ?? []).length > 0);
    const rules = levels.flatMap(({ spec }) => spec.metrics ?? []);
    const provider = providersOf(rules, defaults).find((name) => isPrometheus(name, config));
    if (provider === undefined) continue;
    const metrics: WorkloadMetrics = {
      client: metricsAt("CLIENT", provider, rules, defaults),
      server: metricsAt("SERVER", provider, rules, defaults),
      self: peerLabels(workload),
      sources: [
        ...(config && defaults.length > 0 ? [provenanceOf(config, "spec", "defaultProviders")] : []),
        ...levels.map((level) => provenanceOf(level, "spec", "metrics")),
      ],
    };
    if (!metrics.client && !metrics.server) continue;
    built.set(
      key,
      pool.keep(`metrics ${JSON.stringify(metrics)}`, () => metrics),
    );
  }
  return built;
}

const namesOf = ({ providers }: MetricsRule) => (providers ?? []).map(({ name }) => name);

/** Of the last rule that names any; sorted. */
function providersOf(rules: readonly MetricsRule[], defaults: readonly string[]): readonly string[] {
  const named = rules.map(namesOf).findLast((names) => names.length > 0);
  return [...(named ?? defaults)].sort();
}

/** Istio has the provider "prometheus" by default (pkg/config/mesh/mesh.go). */
const BUILT_IN = "prometheus";

export function isPrometheus(name: string, config: MeshConfig | undefined): boolean {
  const found = config?.spec.extensionProviders?.find((provider) => provider.name.toLowerCase() === name.toLowerCase());
  return found ? found.prometheus !== undefined : name.toLowerCase() === BUILT_IN;
}

interface Override {
  disabled?: boolean;
  readonly tags: Map<string, string | undefined>;
}

/** Undefined where nothing is counted. */
function metricsAt(
  mode: Mode,
  provider: string,
  rules: readonly MetricsRule[],
  defaults: readonly string[],
): readonly Metric[] | undefined {
  const overrides = new Map<MetricName, Override>();
  let allDisabled = false;
  let inherited = defaults;
  for (const rule of rules) {
    const own = namesOf(rule);
    if (own.length > 0) inherited = own;
    if (!inherited.includes(provider)) continue;
    for (const { match, disabled, tagOverrides } of rule.overrides ?? []) {
      if ((match?.mode ?? "CLIENT_AND_SERVER") !== "CLIENT_AND_SERVER" && match?.mode !== mode) continue;
      const all = !match?.customMetric && (match?.metric ?? "ALL_METRICS") === "ALL_METRICS";
      if (all && disabled) {
        // Tags that such an override has as well mean nothing, in Istio too.
        allDisabled = true;
        continue;
      }
      // Any later override turns them on again.
      allDisabled = false;
      for (const name of all ? METRIC_NAMES : namedBy(match)) {
        const known: Override = overrides.get(name) ?? { tags: new Map() };
        if (disabled !== undefined) known.disabled = disabled;
        for (const [tag, { operation, value }] of Object.entries(tagOverrides ?? {})) {
          known.tags.set(tag, operation === "REMOVE" ? undefined : formatOf(value ?? ""));
        }
        overrides.set(name, known);
      }
    }
  }
  if (allDisabled) return undefined;
  const counted = METRIC_NAMES.filter((name) => !overrides.get(name)?.disabled);
  if (counted.length === 0) return undefined;
  return counted.map((name) => ({
    name,
    prometheusName: METRICS[name],
    tags: [...(overrides.get(name)?.tags ?? [])].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  }));
}

function namedBy(match: NonNullable<NonNullable<MetricsRule["overrides"]>[number]["match"]> | undefined): readonly MetricName[] {
  if (match?.customMetric) {
    const name = metricNamed(match.customMetric);
    return name ? [name] : [];
  }
  const name = METRIC_NAMES.find((metric) => metric === match?.metric);
  return name ? [name] : [];
}

/** The model has refused what cannot be read; a mesh is built of anything. */
function formatOf(expression: string): string | undefined {
  const made = tagFormat(expression);
  return "format" in made ? made.format : undefined;
}
