/**
 * What a node calls for a WorkloadEntry's weft.dev/probe: the workload's own ports and where its application listens, and nothing else, for whoever
 * writes WorkloadEntries says what a node connects to.
 */
import type { ProbePlan } from "../lib/probe.ts";
import { type AddressPort, ANNOTATION, type Parsed, parseAppAnnotation } from "./annotations.ts";
import { isIpAddress } from "./check.ts";
import { type AnnotatedProbe, parseProbeAnnotation } from "./probe-annotation.ts";
import { probePlanOf } from "./readiness-probe.ts";
import type { Resource } from "./resource.ts";

const LOOPBACK = "127.0.0.1";

/** undefined where the entry has no probe. */
export function probeOfEntry(entry: Pick<Resource<"WorkloadEntry">, "metadata" | "spec">): Parsed<ProbePlan> | undefined {
  const text = entry.metadata.annotations[ANNOTATION.probe];
  if (text === undefined) return undefined;
  const parsed = parseProbeAnnotation(text);
  return "error" in parsed ? parsed : planFor(entry, parsed.value);
}

function planFor(entry: Pick<Resource<"WorkloadEntry">, "metadata" | "spec">, probe: AnnotatedProbe): Parsed<ProbePlan> {
  const plan = probePlanOf(probe, entry.spec.address);
  const { method } = plan;
  if (method.type === "exec") return { error: "exec: a node runs no commands" };
  const targets = targetsOf(entry);
  const found = targets.find(({ address, port }) => port === method.port && (method.host === undefined || method.host === address));
  if (found) return { value: { ...plan, method: { ...method, host: found.address } } };
  const asked = method.host === undefined ? `port ${method.port}` : `${method.host} port ${method.port}`;
  const known = targets.map(({ address, port }) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`));
  const choices = known.length > 0 ? `there are ${known.join(", ")}` : `spec.ports and ${ANNOTATION.app} name none`;
  return { error: `${asked} is no place of this workload's: ${choices}` };
}

/** The application's first: what is asked there says more than its sidecar's answer, and needs no certificate. */
function targetsOf({ metadata, spec }: Pick<Resource<"WorkloadEntry">, "metadata" | "spec">): readonly AddressPort[] {
  const written = metadata.annotations[ANNOTATION.app];
  const parsed = written === undefined ? undefined : parseAppAnnotation(written);
  const apps = parsed && "value" in parsed ? parsed.value : new Map<string, AddressPort>();
  const ports = Object.entries(spec.ports ?? {});
  const unmapped = ports.filter(([name, port]) => !apps.has(name) && !apps.has(String(port)));
  const all = [
    ...apps.values(),
    ...unmapped.map(([, port]) => ({ address: LOOPBACK, port })),
    ...(isIpAddress(spec.address) ? ports.map(([, port]) => ({ address: spec.address, port })) : []),
  ];
  return all.filter((one, index) => all.findIndex(({ address, port }) => address === one.address && port === one.port) === index);
}
