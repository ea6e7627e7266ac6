/**
 * How the process of a workload's Envoy is started. It travels in the bootstrap's node metadata, under Istio's name for it, from weft to whoever
 * starts Envoy, and from Envoy back to weft: so weft knows with what a connected proxy was started.
 */
export interface ProcessSettings {
  /** Envoy's --concurrency; 0 for one thread a processor, as where it is undefined. */
  readonly concurrency?: number;
  /** Environment variables of the process, sorted by name. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The key of node.metadata (Istio, pkg/model NodeMetadata). */
export const PROXY_CONFIG = "PROXY_CONFIG";

/** As Istio's ProxyConfig in JSON; undefined where there is nothing to say. */
export function processMetadata({ concurrency, environment }: ProcessSettings): Record<string, unknown> | undefined {
  const names = Object.keys(environment).sort();
  if (concurrency === undefined && names.length === 0) return undefined;
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(names.length === 0 ? {} : { proxyMetadata: Object.fromEntries(names.map((name) => [name, environment[name] ?? ""])) }),
  };
}

/** What a node's metadata says, by whomever it was written. */
export function parseProcessMetadata(metadata: unknown): ProcessSettings {
  const { concurrency, proxyMetadata } = asObject(asObject(metadata)[PROXY_CONFIG]);
  const variables = Object.entries(asObject(proxyMetadata)).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : []));
  return {
    concurrency: typeof concurrency === "number" && Number.isInteger(concurrency) && concurrency >= 0 ? concurrency : undefined,
    environment: Object.fromEntries(variables.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1))),
  };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
