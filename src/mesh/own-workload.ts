/**
 * weft as a workload of its own mesh (`weft run --in-mesh`): WorkloadEntries of the root namespace with service account weft, which only weft itself
 * can write (model/workload-entry-check.ts). Their sidecars stand before weft's admin API, which believes what they say of a caller. So what lies
 * between the caller's certificate and weft is not left to resources: no Sidecar says what they take in, no EnvoyFilter reaches them.
 */
import { ANNOTATION, parseAppAnnotation } from "../model/annotations.ts";
import type { WorkloadEntry } from "./selection.ts";
import type { Settings } from "./types.ts";

/** By this identity proxies and the command line know weft. */
export const OWN_SERVICE_ACCOUNT = "weft";

export function isOwn({ metadata, spec }: WorkloadEntry, { rootNamespace }: Settings): boolean {
  return metadata.namespace === rootNamespace && spec.serviceAccount === OWN_SERVICE_ACCOUNT;
}

/**
 * Names of the ports that its sidecar takes: those with a place of weft's behind them. Others of its service are weft's own listeners, with TLS of
 * their own.
 */
export function ownSidecarPorts({ metadata }: WorkloadEntry): ReadonlySet<string> {
  const parsed = parseAppAnnotation(metadata.annotations[ANNOTATION.app] ?? "");
  return new Set("value" in parsed ? parsed.value.keys() : []);
}
