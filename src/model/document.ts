/** A resource as it is stored and shown: a JSON object, as the user wrote it. */

import type { AnyResource, Kind, Metadata, Resource, Source } from "./resource.ts";
import { isPublicValue, REDACTED, type SecretSpec } from "./secret.ts";

/** The JSON object to store: the user's apiVersion and spec, the canonical kind, and the metadata that has a meaning. */
export function documentOf(resource: AnyResource): Readonly<Record<string, unknown>> {
  const { apiVersion, kind, metadata, spec } = resource;
  const { name, namespace, labels, annotations, creationTimestamp } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(Object.keys(labels).length > 0 ? { labels } : {}),
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    spec,
  };
}

/** A document as anybody may see it: a Secret as Kubernetes writes it, with what is not public replaced. */
export function shownDocument(document: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (document.kind !== "Secret") return document;
  const { spec, ...envelope } = document as { readonly spec: SecretSpec };
  const data = Object.entries(spec.data).map(([key, value]) => [key, isPublicValue(key, value) ? value : REDACTED]);
  return { ...envelope, ...(spec.type === undefined ? {} : { type: spec.type }), data: Object.fromEntries(data) };
}

/**
 * The resource of a stored document. It is not validated again: only what parseDocuments accepted is stored. A document without a
 * creationTimestamp of the user's was created when the store says.
 */
export function resourceFromStored(stored: {
  readonly document: Readonly<Record<string, unknown>>;
  readonly source: Source;
  readonly createdAt: string;
}): AnyResource {
  const { apiVersion, kind, metadata, spec } = stored.document as unknown as Pick<Resource, "apiVersion" | "kind" | "spec"> & {
    readonly metadata: Partial<Metadata> & Pick<Metadata, "name" | "namespace">;
  };
  const { name, namespace, labels = {}, annotations = {}, creationTimestamp = stored.createdAt } = metadata;
  const resource: Resource<Kind> = {
    apiVersion,
    kind,
    metadata: { name, namespace, labels, annotations, creationTimestamp },
    spec,
    source: stored.source,
  };
  return resource as AnyResource;
}
