/** Names of services, subsets, ports and gateways that lead nowhere. */
import { canonicalHost } from "../../model/host.ts";
import type { TrafficPolicy } from "../../model/traffic-policy.ts";
import { gatewayKey } from "../gateway-names.ts";
import { covers, isWildcard } from "../hosts.ts";
import { type Context, type LooseResource, some } from "./context.ts";

type Path = readonly (string | number)[];

interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export function findBrokenReferences(context: Context): void {
  const subsets = subsetsByHost(context);
  for (const resource of context.of("VirtualService")) {
    eachField(resource.spec, ["spec"], (key, part, path) => {
      if ((key === "destination" || key === "mirror") && isDestination(part)) {
        checkDestination(context, resource, path, part, subsets);
        return false;
      }
      if (key !== "gateways" || !Array.isArray(part)) return true;
      for (const [index, name] of part.entries()) checkGateway(context, resource, [...path, index], String(name));
      return false;
    });
    checkHosts(context, resource);
  }
  for (const resource of context.of("DestinationRule")) {
    const { host, trafficPolicy, subsets: own = [] } = resource.spec;
    const { namespace } = resource.metadata;
    if (!context.anyService(host, namespace)) {
      context.warn(
        "unknownHost",
        resource,
        ["spec", "host"],
        `there is no service ${JSON.stringify(host)}`,
        knownHosts(context, host, namespace),
      );
      continue;
    }
    checkPorts(context, resource, ["spec", "trafficPolicy"], trafficPolicy);
    for (const [index, subset] of own.entries())
      checkPorts(context, resource, ["spec", "subsets", index, "trafficPolicy"], subset.trafficPolicy);
  }
}

/** All fields under `value`, with their paths, which are only good during the call; into those of which `visit` says so. */
function eachField(value: unknown, path: (string | number)[], visit: (key: string, part: unknown, path: Path) => boolean): void {
  if (typeof value !== "object" || value === null) return;
  const isList = Array.isArray(value);
  for (const key of Object.keys(value)) {
    const part = (value as Readonly<Record<string, unknown>>)[key];
    path.push(isList ? Number(key) : key);
    if (isList || visit(key, part, path)) eachField(part, path, visit);
    path.pop();
  }
}

const isDestination = (value: unknown): value is Destination => typeof (value as { host?: unknown } | null)?.host === "string";

interface Subsets {
  readonly byHost: ReadonlyMap<string, ReadonlySet<string>>;
  /** The wildcards among the hosts. */
  readonly wide: readonly string[];
}

function subsetsByHost({ mesh, of }: Context): Subsets {
  const byHost = new Map<string, Set<string>>();
  for (const { metadata, spec } of of("DestinationRule")) {
    const host = canonicalHost(spec.host, metadata.namespace, mesh.settings.domain);
    const known = byHost.get(host) ?? new Set();
    byHost.set(host, known);
    for (const { name } of spec.subsets ?? []) known.add(name);
  }
  return { byHost, wide: [...byHost.keys()].filter(isWildcard) };
}

function checkDestination(
  context: Context,
  resource: LooseResource,
  path: Path,
  { host, subset, port }: Destination,
  subsets: Subsets,
): void {
  const { namespace } = resource.metadata;
  const service = context.service(host, namespace);
  if (!service) {
    const message = `there is no service ${JSON.stringify(host)}: what is sent there is answered with 503`;
    context.warn("unknownHost", resource, [...path, "host"], message, knownHosts(context, host, namespace));
    return;
  }
  const known = subset ? subsetsOf(service.host, subsets) : [];
  if (subset && !known.includes(subset)) {
    const help = known.length > 0 ? `there are: ${some(known.sort(), 10)}` : `add a DestinationRule for ${host} that defines it`;
    context.warn("unknownSubset", resource, [...path, "subset"], `${host} has no subset ${JSON.stringify(subset)}`, help);
  }
  const ports = service.ports.map(({ number }) => number);
  if (port?.number !== undefined && !ports.includes(port.number)) {
    context.warn(
      "unknownPort",
      resource,
      [...path, "port", "number"],
      `${host} has no port ${port.number}`,
      `its ports: ${ports.join(", ")}`,
    );
  }
}

function subsetsOf(host: string, { byHost, wide }: Subsets): string[] {
  return [host, ...wide.filter((pattern) => covers(pattern, host))].flatMap((pattern) => [...(byHost.get(pattern) ?? [])]);
}

/** A host in the mesh's domain that no service has is a slip; one outside may be a name that only the routes know. */
function checkHosts(
  context: Context,
  resource: LooseResource & { readonly spec: { readonly hosts?: readonly string[]; readonly gateways?: readonly string[] } },
): void {
  const { hosts = [], gateways } = resource.spec;
  if (gateways?.length && !gateways.includes("mesh")) return;
  const { namespace } = resource.metadata;
  for (const [index, host] of hosts.entries()) {
    const canonical = canonicalHost(host, namespace, context.mesh.settings.domain);
    if (!canonical.endsWith(`.${context.mesh.settings.domain}`) || context.anyService(host, namespace)) continue;
    const message = `there is no service ${JSON.stringify(host)}, so its ports are unknown and port 80 is routed`;
    context.warn("unknownHost", resource, ["spec", "hosts", index], message, knownHosts(context, host, namespace));
  }
}

function knownHosts({ mesh }: Context, host: string, namespace: string): string {
  const hosts = [...mesh.services.keys()];
  const elsewhere = hosts.find((known) => known.startsWith(`${host}.`) && known.endsWith(`.${mesh.settings.domain}`));
  if (elsewhere) return `did you mean ${elsewhere}? A short name is a service of namespace ${namespace}`;
  return hosts.length > 0 ? `there are: ${some(hosts, 8)}` : "add a ServiceEntry for it";
}

function checkPorts(
  context: Context,
  resource: LooseResource & { readonly spec: { readonly host: string } },
  path: Path,
  policy: TrafficPolicy | undefined,
): void {
  const service = context.service(resource.spec.host, resource.metadata.namespace);
  if (!service) return;
  const ports = service.ports.map(({ number }) => number);
  for (const [index, { port }] of (policy?.portLevelSettings ?? []).entries()) {
    if (ports.includes(port.number)) continue;
    const at = [...path, "portLevelSettings", index, "port", "number"];
    context.warn("unknownPort", resource, at, `${resource.spec.host} has no port ${port.number}`, `its ports: ${ports.join(", ")}`);
  }
}

/** "mesh" stands for all sidecars; a name without a namespace is a Gateway of the VirtualService's (Istio, ResolveGatewayName). */
function checkGateway(context: Context, resource: LooseResource, path: Path, name: string): void {
  if (name === "mesh") return;
  const key = gatewayKey(name, resource.metadata.namespace);
  const known = context.of("Gateway").map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  if (known.includes(key)) return;
  context.warn(
    "unknownGateway",
    resource,
    path,
    `there is no Gateway ${key}`,
    known.length > 0 ? `there are: ${some(known, 8)}` : "add the Gateway",
  );
}
