/**
 * The trust domain's other names in policies: settings.trustDomainAliases, and "cluster.local".
 * Rules: Istio, pilot/pkg/security/trustdomain/bundle.go and util.go.
 */
import { ISTIO_ROOT } from "../model/metadata.ts";
import type { Settings } from "./types.ts";

/** Istio's default, which in a principal always stands for the mesh's own trust domain and its aliases. */
const CLUSTER_LOCAL = "cluster.local";

/** "istio-system" as the mesh's root namespace; any other name, and patterns, as they are. */
export function namespaceAlias(namespace: string, settings: Settings): string {
  return namespace === ISTIO_ROOT ? settings.rootNamespace : namespace;
}

/** "istio-system/gateway" as "weft-system/gateway". */
export function serviceAccountAlias(account: string, settings: Settings): string {
  return account.startsWith(`${ISTIO_ROOT}/`) ? `${settings.rootNamespace}${account.slice(ISTIO_ROOT.length)}` : account;
}

/** Every principal that `principal` stands for. Only TD/ns/NS/sa/SA, of five parts, names a trust domain; anything else is left alone. */
export function principalAliases(written: string, settings: Settings): readonly string[] {
  const principal = written.replace(`/ns/${ISTIO_ROOT}/`, `/ns/${settings.rootNamespace}/`);
  const [named, ...path] = principal.split("/");
  if (named === undefined || path.length !== 4 || named === "*") return [principal];
  const domains = [settings.trustDomain, ...settings.trustDomainAliases];
  if (named !== CLUSTER_LOCAL && !domains.some((domain) => overlaps(named, domain))) return [principal];
  const names = domains.map((domain) =>
    named.startsWith("*") && domain.endsWith(named.slice(1)) ? principal : [domain, ...path].join("/"),
  );
  return [...new Set(names)];
}

/** `values` with every name of the mesh's trust domain replaced by all of them; here "cluster.local" is no alias unless it is set as one. */
export function trustDomainAliases(values: readonly string[], settings: Settings): readonly string[] {
  const domains = [settings.trustDomain, ...settings.trustDomainAliases];
  return [...new Set(values.flatMap((value) => (domains.includes(value) ? domains : [value])))];
}

/** Whether one, with a star at its start or end, covers the other. */
function overlaps(a: string, b: string): boolean {
  return a === b || b === "*" || covers(a, b) || covers(b, a);
}

function covers(pattern: string, text: string): boolean {
  return (pattern.endsWith("*") && text.startsWith(pattern.slice(0, -1))) || (pattern.startsWith("*") && text.endsWith(pattern.slice(1)));
}
