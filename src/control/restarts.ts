/** Proxies whose Envoy was started otherwise than it would be now: a process's threads and environment change only when it is started again. */
import type { ProxyRecord } from "../ads/index.ts";
import { type ProcessSettings, parseProcessMetadata } from "../lib/process-settings.ts";
import type { Mesh } from "../mesh/types.ts";

const NOTHING: ProcessSettings = { environment: {} };

/** What a restart would change, in words; undefined where it would change nothing, or the proxy is not there. By the proxy's own word. */
export function restartNeeded(record: Pick<ProxyRecord, "id" | "metadata" | "disconnectedAt">, mesh: Mesh | undefined): string | undefined {
  if (record.disconnectedAt !== undefined || !mesh?.workloads.has(record.id)) return undefined;
  const running = parseProcessMetadata(record.metadata);
  const wanted = mesh.processes.get(record.id) ?? NOTHING;
  const names = [...new Set([...Object.keys(running.environment), ...Object.keys(wanted.environment)])].sort();
  const changed = names.filter((name) => running.environment[name] !== wanted.environment[name]);
  const { concurrency: before = 0 } = running;
  const { concurrency: after = 0 } = wanted;
  const parts = [
    ...(before === after ? [] : [`its concurrency is ${threads(before)}, and is to be ${threads(after)}`]),
    ...(changed.length === 0 ? [] : [`its environment is another in ${changed.join(", ")}`]),
  ];
  return parts.length === 0 ? undefined : parts.join("; ");
}

function threads(concurrency: number): string {
  return concurrency === 0 ? "one thread a processor" : String(concurrency);
}
