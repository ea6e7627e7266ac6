/** Hosts and scopes that several resources claim, where one of them stands back. */
import { canonicalHost } from "../../model/host.ts";
import type { Resource } from "../../model/resource.ts";
import { type Context, type LooseResource, nameOf } from "./context.ts";

export function findHostConflicts(context: Context): void {
  virtualServices(context);
  services(context);
  destinationRules(context);
  peerAuthentications(context);
}

/** They are not merged: at sidecars the oldest with a route for the port holds. Those for other gateways or protocols do not meet. */
function virtualServices(context: Context): void {
  const claimed = new Map<string, Resource<"VirtualService">[]>();
  for (const resource of context.of("VirtualService")) {
    const { spec, metadata } = resource;
    if (spec.gateways?.length && !spec.gateways.includes("mesh")) continue;
    for (const [index, host] of (spec.hosts ?? []).entries()) {
      const canonical = canonicalHost(host, metadata.namespace, context.mesh.settings.domain);
      for (const field of ["http", "tls", "tcp"] as const) {
        const rules = (spec as Readonly<Record<string, unknown>>)[field] as readonly unknown[] | undefined;
        if (!rules?.length) continue;
        const first = claim(claimed, `${field} ${canonical}`, resource);
        if (first) {
          const message = `${nameOf(first)} is older and has ${field} routes for ${canonical}: those hold, these only at ports that it has none for`;
          context.warn("conflictingHost", resource, ["spec", "hosts", index], message, "put the routes of a host into one VirtualService");
        }
      }
    }
  }
}

type Exported = Pick<LooseResource, "metadata"> & { readonly spec: { readonly exportTo?: readonly string[] } };

/** The oldest other claim on `key` that some namespace meets together with this one. */
function claim<R extends Exported>(claimed: Map<string, R[]>, key: string, resource: R): R | undefined {
  const others = claimed.get(key) ?? [];
  if (!others.includes(resource)) claimed.set(key, [...others, resource]);
  return others.find((other) => other !== resource && meet(namespacesOf(other), namespacesOf(resource)));
}

/** Where a resource is seen; "*" is everywhere, which is the default. */
function namespacesOf({ metadata, spec }: Exported): readonly string[] {
  const names = (spec.exportTo ?? []).map((name) => (name === "." ? metadata.namespace : name)).filter((name) => name !== "~");
  return spec.exportTo?.length ? names : ["*"];
}

function meet(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return a.includes("*") || b.includes("*") || a.some((name) => b.includes(name));
}

/** In one namespace they add up, and the oldest says what sort of service it is; of several namespaces a caller meets its own, else the oldest. */
function services(context: Context): void {
  const claimed = new Map<string, Resource<"ServiceEntry">[]>();
  for (const resource of context.of("ServiceEntry")) {
    const { spec, metadata } = resource;
    for (const [index, host] of spec.hosts.entries()) {
      const canonical = canonicalHost(host, metadata.namespace, context.mesh.settings.domain);
      const first = claim(claimed, canonical, resource);
      if (!first) continue;
      const at = ["spec", "hosts", index];
      if (first.metadata.namespace !== metadata.namespace) {
        const message = `${nameOf(first)} is an older service ${canonical}: it is met by callers of every namespace but ${metadata.namespace}`;
        context.warn("conflictingHost", resource, at, message, "give one of them another host");
        continue;
      }
      for (const field of ["resolution", "location"] as const) {
        if (spec[field] === first.spec[field]) continue;
        const message = `${nameOf(first)} is older and says ${field} ${first.spec[field] ?? "nothing"} of ${canonical}, which holds`;
        context.warn("conflictingHost", resource, ["spec", field], message, "write the same in both");
      }
    }
  }
}

/** Of one namespace they add up: all subsets, but the first traffic policy, and the first subset of a name. */
function destinationRules(context: Context): void {
  const policies = new Map<string, LooseResource>();
  const subsets = new Map<string, LooseResource>();
  for (const resource of context.of("DestinationRule")) {
    const { spec, metadata } = resource;
    // Rules for some workloads only do not stand in the place of those for all.
    const { workloadSelector } = spec as { readonly workloadSelector?: unknown };
    const key = `${metadata.namespace} ${canonicalHost(spec.host, metadata.namespace, context.mesh.settings.domain)} ${JSON.stringify(workloadSelector ?? {})}`;
    const first = policies.get(key);
    if (spec.trafficPolicy && first) {
      const message = `${nameOf(first)} is older and has a trafficPolicy for ${spec.host}: that one holds`;
      context.warn("ignoredPolicy", resource, ["spec", "trafficPolicy"], message, "put them into one DestinationRule");
    } else if (spec.trafficPolicy) policies.set(key, resource);
    for (const [index, { name }] of (spec.subsets ?? []).entries()) {
      const known = subsets.get(`${key} ${name}`);
      if (!known) subsets.set(`${key} ${name}`, resource);
      else if (known !== resource) {
        const message = `${nameOf(known)} is older and has a subset ${name} of ${spec.host}: that one holds`;
        context.warn("ignoredPolicy", resource, ["spec", "subsets", index, "name"], message, "rename one of them");
      }
    }
  }
}

/** The oldest of a scope holds alone. */
function peerAuthentications(context: Context): void {
  const scopes = new Map<string, LooseResource>();
  for (const resource of context.of("PeerAuthentication")) {
    const { namespace } = resource.metadata;
    const labels = Object.entries(resource.spec.selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${namespace} ${JSON.stringify(labels)}`;
    const first = scopes.get(key);
    if (!first) scopes.set(key, resource);
    else
      context.warn(
        "ignoredPolicy",
        resource,
        ["spec"],
        `${nameOf(first)} is older and of the same scope: that one holds, this one does not`,
      );
  }
}
