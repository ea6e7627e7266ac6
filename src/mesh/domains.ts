/** The Host headers by which callers name a service (Istio, httproute.go generateVirtualHostDomains, in weft's domain). */
import { isIpAddress } from "../model/check.ts";
import { ISTIO_ROOT } from "../model/metadata.ts";
import type { Service, Settings } from "./types.ts";

export interface HostForms {
  /** The host itself and the service's addresses: theirs before all short forms. */
  readonly full: readonly string[];
  /** Short and Kubernetes forms; a service that is really called so comes first. */
  readonly short: readonly string[];
}

/** Without ports. */
export function hostForms(service: Service, clientNamespace: string, settings: Settings): HostForms {
  const addresses = service.addresses.filter(isIpAddress).map((address) => (address.includes(":") ? `[${address}]` : address));
  return { full: [service.host, ...addresses], short: shortForms(service.host, clientNamespace, settings) };
}

function shortForms(host: string, clientNamespace: string, { domain, rootNamespace }: Settings): readonly string[] {
  if (!host.endsWith(`.${domain}`)) return [];
  const [name, namespace, ...more] = host.slice(0, -domain.length - 1).split(".");
  if (!name || !namespace || more.length > 0 || name.startsWith("*")) return [];
  // Applications that come from Istio know its services by Istio's name of the root namespace.
  const names = namespace === rootNamespace ? [namespace, ISTIO_ROOT] : [namespace];
  const forms = names.flatMap((own) => {
    const service = `${name}.${own}`;
    return [service, `${service}.svc`, `${service}.svc.cluster.local`, `${service}.svc.${domain}`];
  });
  return namespace === clientNamespace ? [name, ...forms] : forms;
}

/** Envoy refuses a route table in which a domain stands twice: the first to claim it has it. */
export class DomainClaims {
  readonly #taken = new Set<string>();

  claim(domains: readonly string[]): string[] {
    const free = domains.filter((domain) => !this.#taken.has(domain));
    for (const domain of free) this.#taken.add(domain);
    return [...new Set(free)];
  }
}
