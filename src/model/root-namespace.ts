/** Istio's usual name of the root namespace, wherever a spec names a namespace: it is weft's, as in metadata. */
import { ROOT_NAMESPACE, readNamespace } from "./metadata.ts";
import type { Kind } from "./resource.ts";
import { isMapping } from "./schema.ts";

type Mapping = Record<string, unknown>;

/**
 * Writes weft's name for istio-system into a spec as parsed from the user's text, whatever else that holds. Hosts, and what policies say of
 * their callers, are read where they are used: there the mesh's domain and trust domain count too.
 */
export function readRootNamespace(kind: Kind, spec: unknown): void {
  if (!isMapping(spec)) return;
  for (const field of EXPORTS) rewrite(spec, field, readNamespace);
  if (kind === "VirtualService") {
    rewrite(spec, "gateways", gatewayName);
    for (const rule of ["http", "tls", "tcp"].flatMap((field) => mappings(spec[field]))) {
      for (const match of mappings(rule.match)) {
        rewrite(match, "gateways", gatewayName);
        rewrite(match, "sourceNamespace", readNamespace);
      }
      if (isMapping(rule.delegate)) rewrite(rule.delegate, "namespace", readNamespace);
    }
  } else if (kind === "Gateway") for (const server of mappings(spec.servers)) rewrite(server, "hosts", beforeSlash);
  else if (kind === "Sidecar") for (const listener of mappings(spec.egress)) rewrite(listener, "hosts", beforeSlash);
}

const EXPORTS = ["exportTo", "defaultServiceExportTo", "defaultVirtualServiceExportTo", "defaultDestinationRuleExportTo"];

/** `value[field]`, a string or a list of them. */
function rewrite(value: Mapping, field: string, read: (text: string) => string): void {
  const written = value[field];
  const one = (item: unknown) => (typeof item === "string" ? read(item) : item);
  if (written !== undefined) value[field] = Array.isArray(written) ? written.map(one) : one(written);
}

function mappings(list: unknown): Mapping[] {
  return Array.isArray(list) ? list.filter(isMapping) : [];
}

/** "istio-system/HOST", and a Sidecar's "~istio-system/HOST". */
const beforeSlash = (text: string) => text.replace(/^(~?)istio-system\//, `$1${ROOT_NAMESPACE}/`);

/** "istio-system/NAME", and the old NAME.istio-system.svc.cluster.local. */
const gatewayName = (text: string) => beforeSlash(text).replace(/^([^./]+)\.istio-system(?=\.|$)/, `$1.${ROOT_NAMESPACE}`);
