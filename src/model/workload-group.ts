/**
 * WorkloadGroup: what the instances of a service that register themselves have in common, and how they are asked whether they are ready.
 * istio/api networking/v1alpha3/workload_group.proto, checked as Istio's ValidateWorkloadGroup does.
 */
import type * as v from "valibot";
import { ANNOTATION, checkWeftAnnotations, INSTANCE_LABELS } from "./annotations.ts";
import { checkLabels, labelKeyError } from "./check-label.ts";
import { port } from "./common.ts";
import { readinessProbe } from "./readiness-probe.ts";
import type { Metadata } from "./resource.ts";
import { map, needed, object, type Report, text, uint32 } from "./schema.ts";
import { checkPortName, checkServiceAccount, type WorkloadEntrySpec } from "./workload-entry.ts";

/** On a WorkloadEntry that registration made: the name of its group. weft removes such an entry when its instance has gone. */
export const AUTO_REGISTRATION_GROUP = "istio.io/autoRegistrationGroup";
/** On a WorkloadEntry whose endpoint is used only while its probe succeeds. */
export const HEALTH_CHECKS = "proxy.istio.io/health-checks-enabled";

function checkAnnotations(annotations: Readonly<Record<string, string>>, report: Report): void {
  for (const key of Object.keys(annotations)) {
    const bad = labelKeyError(key);
    if (bad) report("badMetadata", bad, { path: [key], atKey: true });
    else if (key === AUTO_REGISTRATION_GROUP || key === HEALTH_CHECKS) {
      report("badAnnotation", `${key} is set by weft itself on what it registers`, { path: [key], atKey: true });
    }
  }
  const filled = Object.entries(annotations).map(([key, value]) => [key, withAddress(value, "192.0.2.1")] as const);
  checkWeftAnnotations(Object.fromEntries(filled), report);
}

/** `text`, written once for all instances of a group, for the one at `address`: "$(ADDRESS):15001". */
export function withAddress(text: string, address: string): string {
  return text.replaceAll("$(ADDRESS)", address.includes(":") ? `[${address}]` : address);
}

/** As a WorkloadEntry, without what each instance brings. */
const template = object(
  {
    address: text(),
    ports: map(port(), (ports, report) => {
      for (const name of Object.keys(ports)) checkPortName(name, report, [name], true);
    }),
    labels: map(text(), checkLabels),
    network: text(),
    locality: text(),
    weight: uint32(),
    serviceAccount: text(checkServiceAccount),
  },
  ({ address }, report) => {
    if (!address) return;
    report("noEffect", "each instance brings its own address", { path: ["address"], atKey: true, severity: "warning" });
  },
);

export const WorkloadGroupSchema = object({
  metadata: object({ labels: map(text(), checkLabels), annotations: map(text(), checkAnnotations) }),
  template: needed(template),
  probe: readinessProbe,
});

export type WorkloadGroupSpec = v.InferOutput<typeof WorkloadGroupSchema>;

/** What an instance brings. */
export interface Instance {
  /** IP address. */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "region/zone/subzone"; the template's where absent. */
  readonly locality?: string;
  /** The node where it registers. */
  readonly node?: string;
}

interface Group {
  readonly metadata: Pick<Metadata, "name" | "namespace" | "annotations">;
  readonly spec: WorkloadGroupSpec;
}

/** istio/api says that an empty one defaults to "default". */
export const serviceAccountOf = ({ template }: WorkloadGroupSpec): string => template.serviceAccount || "default";

/** GROUP-ADDRESS, as Istio names it (autoregisteredWorkloadEntryName); at most 253 characters, shortened from the beginning. */
export function instanceName(group: string, address: string): string {
  return `${group}-${address.replaceAll(":", "-")}`
    .slice(-253)
    .replace(/^[-.]+/, "")
    .replace(/-+$/, "-0");
}

/** The keys that the group's instances may set labels of. */
export function instanceLabelKeys({ metadata }: Pick<Group, "metadata">): readonly string[] {
  return (metadata.annotations[INSTANCE_LABELS] ?? "").split(",").flatMap((key) => key.trim() || []);
}

/**
 * The WorkloadEntry of an instance, as a document: labels of the template, then those of the group's metadata, then the instance's own
 * (Istio, pilot/pkg/autoregistration/controller.go, workloadEntryFromGroup).
 */
export function entryOfInstance(
  { metadata: { name, namespace }, spec: { metadata = {}, template, probe } }: Group,
  { address, labels, locality, node }: Instance,
  serviceAccount: string,
): Readonly<Record<string, unknown>> {
  const all = { ...template.labels, ...metadata.labels, ...labels };
  const annotations = Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).map(([key, value]) => [key, withAddress(value, address)]),
  );
  const place = locality || template.locality;
  const spec: WorkloadEntrySpec = {
    address,
    ...(template.ports === undefined ? {} : { ports: template.ports }),
    ...(Object.keys(all).length === 0 ? {} : { labels: all }),
    ...(place ? { locality: place } : {}),
    ...(template.network ? { network: template.network } : {}),
    ...(template.weight === undefined ? {} : { weight: template.weight }),
    serviceAccount,
  };
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: {
      name: instanceName(name, address),
      namespace,
      annotations: {
        ...annotations,
        ...(node === undefined ? {} : { [ANNOTATION.node]: node }),
        [AUTO_REGISTRATION_GROUP]: name,
        ...(probe ? { [HEALTH_CHECKS]: "true" } : {}),
      },
    },
    spec,
  };
}
