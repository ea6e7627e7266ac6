/** What a resource's annotations and spec mean together. */
import { ANNOTATION, DRY_RUN, parseAppAnnotation } from "./annotations.ts";
import { parseProbeAnnotation } from "./probe-annotation.ts";
import { probeOfEntry } from "./probe-target.ts";
import type { AnyResource, Resource } from "./resource.ts";
import type { Report } from "./schema.ts";

const DEFAULT_APP = "127.0.0.1";

/** Addresses that the application's 127.0.0.1 is, or is part of. */
const LOCAL: Readonly<Record<string, readonly string[]>> = {
  "127.0.0.1": ["127.0.0.1"],
  "0.0.0.0": ["127.0.0.1", "0.0.0.0"],
  "::": ["127.0.0.1", "::1", "::"],
};

/** Checks that need both the metadata and the spec. */
export function checkWorkload(resource: AnyResource, report: Report): void {
  if (resource.kind === "WorkloadEntry") checkSelfForward(resource, report);
  if (resource.kind === "WorkloadEntry") checkProbe(resource, report);
  if (resource.kind === "WorkloadEntry") checkReserved(resource, resource.spec.serviceAccount, ["spec", "serviceAccount"], report);
  if (resource.kind === "WorkloadGroup") {
    checkReserved(resource, resource.spec.template?.serviceAccount, ["spec", "template", "serviceAccount"], report);
  } else if (resource.kind === "AuthorizationPolicy") checkDryRun(resource, report);
  else if (resource.kind === "DestinationRule") checkOwnNamespace(resource, report);
  if (resource.kind === "DestinationRule" || resource.kind === "VirtualService" || resource.kind === "ServiceEntry") {
    checkExportTo(resource.spec.exportTo ?? [], resource.metadata.namespace, report);
  }
}

/** What is wrong with the text itself was said where annotations are checked. */
function checkProbe(workload: Resource<"WorkloadEntry">, report: Report): void {
  const text = workload.metadata.annotations[ANNOTATION.probe];
  if (text === undefined || "error" in parseProbeAnnotation(text)) return;
  const path = ["metadata", "annotations", ANNOTATION.probe];
  if (workload.metadata.annotations[ANNOTATION.node] === undefined) {
    report("badAnnotation", `${ANNOTATION.probe} needs ${ANNOTATION.node} too: the node that asks`, { path, atKey: true });
  }
  const plan = probeOfEntry(workload);
  if (plan && "error" in plan) {
    report("badAnnotation", `${ANNOTATION.probe}: ${plan.error}`, {
      path,
      help: `a node asks at the workload's own ports, or where ${ANNOTATION.app} says that its application listens`,
    });
  }
}

/** By that identity proxies and the command line know weft: a workload that had it could take its place. */
function checkReserved({ metadata }: AnyResource, serviceAccount: string | undefined, path: readonly string[], report: Report): void {
  if (metadata.namespace !== "weft-system" || serviceAccount !== "weft") return;
  report("badValue", "service account weft of weft-system is weft's own identity", {
    path: [...path],
    help: "choose another service account",
  });
}

/** "." and the own namespace's name are one entry (Istio's validateExportTo); the schema has told the same entry twice. */
function checkExportTo(exported: readonly string[], own: string, report: Report): void {
  const dot = exported.indexOf(".");
  const named = exported.indexOf(own);
  if (dot < 0 || named < 0) return;
  report("duplicateItem", `"." is namespace ${own}, which is named too`, { path: ["spec", "exportTo", Math.max(dot, named)] });
}

/** A rule for some workloads of its namespace cannot be given to another; the schema has refused "*" and several. */
function checkOwnNamespace({ spec, metadata }: Resource<"DestinationRule">, report: Report): void {
  const [only, ...more] = spec.exportTo ?? [];
  if (!spec.workloadSelector || only === undefined || more.length > 0 || [".", "*", metadata.namespace].includes(only)) return;
  report("exclusive", "a rule with a workloadSelector holds in its own namespace only", { path: ["spec", "exportTo"], atKey: true });
}

/**
 * The sidecar listens on the workload's address and forwards to 127.0.0.1 at the same port, unless weft.dev/app names another place. A
 * workload without a service account has no sidecar.
 */
function checkSelfForward(workload: Resource<"WorkloadEntry">, report: Report): void {
  const { address, ports = {}, serviceAccount } = workload.spec;
  if (!serviceAccount || address.startsWith("unix://")) return;
  const written = workload.metadata.annotations[ANNOTATION.app];
  const parsed = written === undefined ? undefined : parseAppAnnotation(written);
  if (parsed && "error" in parsed) return;
  const apps = parsed?.value;
  const taken = [address, ...(LOCAL[address] ?? [])];
  for (const [name, port] of Object.entries(ports)) {
    const app = apps?.get(name) ?? { address: DEFAULT_APP, port };
    if (app.port !== port || !taken.includes(app.address)) continue;
    report("selfForward", `the sidecar would listen on ${address}:${port} and forward to ${app.address}:${port}, itself`, {
      path: apps?.has(name) ? ["metadata", "annotations", ANNOTATION.app] : ["spec", "ports", name],
      help: `let the application listen elsewhere, and say where: annotation ${ANNOTATION.app}: "${name}=127.0.0.1:${port === 65535 ? 1024 : port + 1}"`,
    });
  }
  if (Object.keys(ports).length === 0 && !apps && Object.hasOwn(LOCAL, address)) {
    report("selfForward", `the sidecar would listen on ${address} and forward to the same ports of ${DEFAULT_APP}, itself`, {
      path: ["spec", "address"],
      help: `name the ports, and where the application listens: annotation ${ANNOTATION.app}: "http=127.0.0.1:9001"`,
    });
  }
}

/** Istio's checkDryRunAnnotation: a boolean as Go's strconv.ParseBool takes it, for ALLOW and DENY. */
function checkDryRun(policy: Resource<"AuthorizationPolicy">, report: Report): void {
  const value = policy.metadata.annotations[DRY_RUN];
  if (value === undefined) return;
  const path = ["metadata", "annotations", DRY_RUN];
  if (policy.spec.action === "AUDIT") report("badAnnotation", `${DRY_RUN} goes with the actions ALLOW and DENY only`, { path });
  else if (!/^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value)) {
    report("badAnnotation", `${DRY_RUN} must be "true" or "false", not ${JSON.stringify(value)}`, { path });
  }
}
