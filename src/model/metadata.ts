/** A resource's metadata: Kubernetes' ObjectMeta, of which weft keeps what has a meaning without Kubernetes. */
import * as v from "valibot";
import { isDnsLabel } from "./check.ts";
import { labelKeyError, labelValueError } from "./check-label.ts";
import type { Metadata } from "./resource.ts";
import { map, needed, object, type Report, text } from "./schema.ts";

export const DEFAULT_NAMESPACE = "default";
export const ROOT_NAMESPACE = "weft-system";
/** Istio's usual name of the root namespace, which means weft's. */
export const ISTIO_ROOT = "istio-system";

export function readNamespace(namespace: string): string {
  return namespace === ISTIO_ROOT ? ROOT_NAMESPACE : namespace;
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

function checkName(name: string, report: Report): void {
  const parts = name.split(".");
  if (name.length > 253 || name !== name.toLowerCase() || !parts.every((part) => /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(part))) {
    const help = "use lower-case letters, digits, '-' and '.', starting and ending with a letter or digit";
    report("badName", `${JSON.stringify(name)} is no name of a resource`, { help });
  }
}

function checkNamespace(name: string, report: Report): void {
  if (!isDnsLabel(name) || name !== name.toLowerCase()) {
    const help = "use lower-case letters, digits and '-', starting and ending with a letter or digit";
    report("badName", `${JSON.stringify(name)} is no name of a namespace`, { help });
  }
}

function checkLabelSyntax(labels: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, value] of Object.entries(labels)) {
    const badKey = labelKeyError(key);
    if (badKey) report("badMetadata", badKey, { path: [key], atKey: true });
    const badValue = labelValueError(value);
    if (badValue) report("badMetadata", badValue, { path: [key] });
  }
}

function checkAnnotationKeys(annotations: Readonly<Record<string, string>>, report: Report): void {
  for (const key of Object.keys(annotations)) {
    const bad = labelKeyError(key);
    if (bad) report("badMetadata", bad, { path: [key], atKey: true });
  }
}

/** What Kubernetes' API server adds, and `kubectl get -o yaml` shows: read and forgotten. */
const serverSet = v.any();

export const MetadataSchema = object({
  name: needed(text(checkName)),
  namespace: text(checkNamespace),
  labels: map(text(), checkLabelSyntax),
  annotations: map(text(), checkAnnotationKeys),
  creationTimestamp: text((value, report) => {
    if (!RFC_3339.test(value) || Number.isNaN(Date.parse(value))) {
      report("badMetadata", "must be an RFC 3339 time such as 2026-01-31T12:00:00Z");
    }
  }),
  resourceVersion: text(),
  uid: serverSet,
  generation: serverSet,
  managedFields: serverSet,
  ownerReferences: serverSet,
  finalizers: serverSet,
  selfLink: serverSet,
  deletionTimestamp: serverSet,
  deletionGracePeriodSeconds: serverSet,
});

export type MetadataInput = v.InferOutput<typeof MetadataSchema>;

/** What holds for the whole mesh belongs to the root namespace, whatever is left out. */
const OF_THE_MESH: ReadonlySet<string> = new Set(["MeshConfig", "TrustDomain"]);

/** Metadata after validation. */
export function metadataOf(input: MetadataInput, kind: string): Metadata {
  const { name, labels = {}, annotations = {}, creationTimestamp, resourceVersion } = input;
  const namespace = readNamespace(input.namespace ?? (OF_THE_MESH.has(kind) ? ROOT_NAMESPACE : DEFAULT_NAMESPACE));
  return {
    name,
    namespace,
    labels,
    annotations,
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** `metadata` without the nulls that Kubernetes' tools write ("creationTimestamp: null"). */
export function withoutNulls(metadata: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const optional = new Set(["labels", "annotations", "creationTimestamp"]);
  return Object.fromEntries(Object.entries(metadata).filter(([key, value]) => value !== null || !optional.has(key)));
}
