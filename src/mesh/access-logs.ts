/**
 * Telemetry: the access logs of each workload's proxy, for calls out (client) and in (server). The root namespace's Telemetry, the namespace's and
 * those that select the workload come together, the later ones having the last word (Istio, pilot/pkg/model/telemetry.go mergeLogs).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { AccessLogging } from "../model/telemetry.ts";
import type { Pool } from "./memo.ts";
import { byAge } from "./policy-scope.ts";
import { telemetriesFor } from "./telemetry-scope.ts";
import type { Settings, Workload } from "./types.ts";

export interface AccessLog {
  readonly path: string;
  /** Envoy's own format where neither is given. */
  readonly text?: string;
  readonly labels?: Readonly<Record<string, unknown>>;
  readonly omitEmptyValues: boolean;
  /** CEL: only what it is true for is logged. */
  readonly filter?: string;
}

export interface WorkloadAccessLogs {
  /** Undefined: as MeshConfig's accessLogFile says. */
  readonly client?: readonly AccessLog[];
  readonly server?: readonly AccessLog[];
  readonly sources: readonly Provenance[];
}

type Telemetry = Resource<"Telemetry">;
type MeshConfig = Resource<"MeshConfig">;
type Mode = "CLIENT" | "SERVER";

interface Inputs {
  readonly config?: MeshConfig;
  readonly settings: Settings;
  readonly pool: Pool;
}

/** By key of the workload; those that no Telemetry holds for, and no default provider, have no entry. */
export function buildAccessLogs(
  telemetries: readonly Telemetry[],
  workloads: ReadonlyMap<string, Workload>,
  inputs: Inputs,
): ReadonlyMap<string, WorkloadAccessLogs> {
  const sorted = [...telemetries].sort(byAge);
  const defaults = inputs.config?.spec.defaultProviders?.accessLogging ?? [];
  const built = new Map<string, WorkloadAccessLogs>();
  if (defaults.length === 0 && !sorted.some(({ spec }) => (spec.accessLogging ?? []).length > 0)) return built;
  for (const [key, workload] of workloads) {
    const applicable = telemetriesFor(sorted, workload, inputs.settings.rootNamespace);
    const levels = applicable.filter(({ spec }) => (spec.accessLogging ?? []).length > 0);
    if (levels.length === 0 && defaults.length === 0) continue;
    const logs: WorkloadAccessLogs = {
      client: logsFor("CLIENT", levels, defaults, inputs),
      server: logsFor("SERVER", levels, defaults, inputs),
      sources: levels.map((level) => provenanceOf(level, "spec", "accessLogging")),
    };
    if (logs.client || logs.server)
      built.set(
        key,
        inputs.pool.keep(`access logs ${JSON.stringify(logs)}`, () => logs),
      );
  }
  return built;
}

const namesOf = ({ providers }: AccessLogging) => (providers ?? []).map(({ name }) => name);

function holdsFor({ match }: AccessLogging, mode: Mode): boolean {
  const asked = match?.mode ?? "CLIENT_AND_SERVER";
  return asked === "CLIENT_AND_SERVER" || asked === mode;
}

/** Empty where logging is turned off; undefined where nothing is said, and MeshConfig's accessLogFile holds. */
function logsFor(
  mode: Mode,
  levels: readonly Telemetry[],
  defaults: readonly string[],
  { config, settings }: Inputs,
): readonly AccessLog[] | undefined {
  const merged = levels.length > 0 ? merge(mode, levels, defaults) : new Map(defaults.map((name) => [name, {}]));
  const known = [...merged]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .flatMap(([name, spec]) => {
      const file = fileProvider(name, config, settings);
      return file ? [{ file, spec: spec as Spec }] : [];
    });
  if (known.length === 0) return undefined;
  return known.flatMap(({ file, spec }) => (spec.disabled ? [] : [spec.filter === undefined ? file : { ...file, filter: spec.filter }]));
}

interface Spec {
  readonly disabled?: boolean;
  readonly filter?: string;
}

/** By provider. A level that names providers replaces those of the levels above it; one that names none speaks of the ones last named. */
function merge(mode: Mode, levels: readonly Telemetry[], defaults: readonly string[]): ReadonlyMap<string, Spec> {
  let inScope: ReadonlySet<string> = new Set(defaults);
  const filters = new Map<string, string | undefined>();
  for (const { spec } of levels) {
    const own = (spec.accessLogging ?? []).filter((entry) => holdsFor(entry, mode));
    for (const entry of own) for (const name of namesOf(entry)) filters.set(name, entry.filter?.expression);
    const names = own.flatMap(namesOf);
    if (names.length > 0) inScope = new Set(names);
  }
  const result = new Map<string, Spec>();
  let inherited = defaults;
  for (const entry of levels.flatMap(({ spec }) => spec.accessLogging ?? [])) {
    const own = namesOf(entry);
    if (own.length > 0) inherited = own;
    if (!holdsFor(entry, mode)) continue;
    for (const name of inherited) {
      if (inScope.has(name)) result.set(name, entry.disabled ? { disabled: true } : { filter: filters.get(name) });
    }
  }
  return result;
}

const STDOUT = "/dev/stdout";

/** The file that the provider writes; undefined for one that MeshConfig does not have, or that is no log. Istio has "envoy" by default. */
function fileProvider(name: string, config: MeshConfig | undefined, settings: Settings): AccessLog | undefined {
  const all = config?.spec.extensionProviders ?? [];
  const found = all.find((provider) => provider.name.toLowerCase() === name.toLowerCase());
  const file = found ? found.envoyFileAccessLog : name.toLowerCase() === "envoy" ? {} : undefined;
  if (!file) return undefined;
  const { path, logFormat, omitEmptyValues = false } = file;
  const isBuiltIn = name.toLowerCase() === "envoy" && !logFormat && !omitEmptyValues;
  return {
    path: path || STDOUT,
    text: logFormat?.text || (isBuiltIn ? settings.accessLogFormat : undefined),
    labels: logFormat?.labels,
    omitEmptyValues,
  };
}
