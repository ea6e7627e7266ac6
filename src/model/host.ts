/** Names of hosts: the many ways to write one, and the one that weft keeps. */
import { ROOT_NAMESPACE } from "./metadata.ts";

/**
 * The canonical form of a host written in a resource of `namespace`: lower-case, short names completed. A name without a dot is a
 * service of that namespace (Istio's ResolveShortnameToFQDN); Kubernetes' x.y.svc, x.y.svc.cluster.local and x.y.svc.DOMAIN are
 * x.y.DOMAIN, and *.cluster.local is *.DOMAIN; namespace istio-system is weft-system. "*", other wildcards, and other dotted names stay. `domain` is the mesh's, "mesh.local".
 */
export function canonicalHost(host: string, namespace: string, domain: string): string {
  let name = host.toLowerCase();
  if (name.endsWith(".") && name.length > 1) name = name.slice(0, -1);
  if (name === "*" || name === "") return name;
  if (name === "*.cluster.local") return `*.${domain}`;
  if (!name.includes(".")) return name.startsWith("*") ? name : `${name}.${namespace}.${domain}`;
  const suffixes = name.includes(".svc") ? [".svc", ".svc.cluster.local", `.svc.${domain}`] : [];
  for (const suffix of suffixes) {
    if (name.endsWith(suffix)) return inRootNamespace(`${name.slice(0, -suffix.length)}.${domain}`, domain);
  }
  return inRootNamespace(name, domain);
}

/** Services of Istio's root namespace are weft's root namespace's. */
function inRootNamespace(name: string, domain: string): string {
  if (!name.includes(".istio-system.")) return name;
  const suffix = `.istio-system.${domain}`;
  return name.endsWith(suffix) ? `${name.slice(0, -suffix.length)}.${ROOT_NAMESPACE}.${domain}` : name;
}
