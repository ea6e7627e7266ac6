/** A route's destination as the caller's sidecar sees it: its cluster, its endpoints, and what becomes of the request at each. */
import { clientCredentials } from "../mesh/credentials.ts";
import type { RouteTarget } from "../mesh/http-routes.ts";
import { type LocalityGroup, preferenceOf } from "../mesh/localities.ts";
import type { OutboundView } from "../mesh/outbound.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import { reasonAt } from "../mesh/readiness.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import { calledEndpoint, resolvedStep } from "./called-name.ts";
import { clientTls } from "./client-tls.ts";
import type { Claims, VerifiedClaims } from "./condition.ts";
import { askedFirst, type Judged, readByServer, serverAt } from "./evaluation.ts";
import { inject } from "./injection.ts";
import type { HttpRequest } from "./route-match.ts";
import { arrive } from "./server.ts";
import type { Step } from "./types.ts";

export interface Leaving {
  readonly mesh: Mesh;
  readonly view: OutboundView;
  readonly caller: Workload;
  readonly sourceIp?: string;
  readonly claims?: Claims;
  /** At a gateway: what it accepted, by which routes may be chosen. */
  readonly verified?: VerifiedClaims;
  /** At a gateway: what its routes are asked about, where that is not `request`. */
  readonly chosenBy?: HttpRequest;
  readonly now: number;
  /** Absent on TCP. */
  readonly request?: HttpRequest;
  /** The name that the application's own TLS asks for; absent where it sends none. */
  readonly ownSni?: string;
}

export function judge(leaving: Leaving, target: RouteTarget & { readonly weight: number }, share: string): Judged {
  const { mesh, view, caller, request } = leaving;
  const cluster = view.clusters.find(({ name }) => name === target.cluster);
  const common = {
    request: readByServer(request, mesh),
    cluster: target.cluster,
    name: cluster?.service.name ?? target.host,
    host: target.host,
    port: target.port,
    subset: target.subset,
    weight: target.weight,
  };
  const named: Step = {
    stage: "destination",
    result: target.subset ?? target.host,
    reason: `${target.cluster}${share}${unreadyOf(mesh, target.host, leaving.now)}`,
    source: cluster?.sources[0] ?? null,
  };
  const fail = (status: number, reason: string): Judged => {
    const step: Step = { stage: "destination", result: "no_route", reason, source: cluster?.sources[0] ?? null };
    const failure = { verdict: "no_route", status: request ? status : 0, reason: request ? `${status}: ${reason}` : reason } as const;
    return { ...common, steps: [named, step], endpoints: [], failure };
  };
  if (!cluster) return fail(503, missing(view, target));
  const { tls } = cluster.policy;
  if (tls?.mode === "ISTIO_MUTUAL" && !caller.spiffeId) {
    return fail(503, `a DestinationRule demands ISTIO_MUTUAL, and ${caller.key} has no service account, so no identity to show`);
  }
  const credentials = clientCredentials(cluster, caller);
  if (credentials && credentials !== "ignored") {
    const { certificates, authorities } = credentials;
    const has = new Set((mesh.credentials.get(caller.key) ?? []).map(({ name }) => name));
    const absent = [...certificates, ...(authorities === undefined ? [] : [authorities])].filter((name) => !has.has(name));
    if (absent.length > 0)
      return fail(503, `a DestinationRule names a Secret that namespace ${caller.namespace} lacks (${absent.join(", ")})`);
  }
  const assigned = view.assignments.find((assignment) => assignment.cluster === cluster.name);
  const called = cluster.service.resolution === "DYNAMIC_DNS" ? calledEndpoint(leaving, cluster) : undefined;
  if (typeof called === "string") return fail(503, called);
  const groups = cluster.localities ?? assigned?.localities ?? [];
  const known = groups.flatMap(({ endpoints: members, priority, weight }) =>
    weight > 0 ? members.map((endpoint) => ({ endpoint, priority })) : [],
  );
  const endpoints = called ? [{ endpoint: called, priority: 0 }] : known;
  if (endpoints.length === 0) {
    return fail(
      503,
      `${cluster.name} has no endpoint${preferenceOf(cluster.policy).distribute ? " where distribute sends requests" : ""}${unreadyOf(mesh, target.host, leaving.now)}`,
    );
  }
  const carried = request && inject(mesh, caller, cluster, request, leaving.now);
  const judged = endpoints.flatMap(({ endpoint, priority }) => {
    const client = clientTls(mesh.settings, caller, cluster, endpoint);
    if (!client) return [];
    const { workload, port } = serverAt(mesh, endpoint, cluster.port.number);
    const { sourceIp = caller.address, claims, now, ownSni } = leaving;
    const incoming = {
      mesh,
      tls: client,
      identity: caller.spiffeId,
      viaSidecar: true,
      address: endpoint.address,
      sourceIp,
      request: carried?.request ?? request,
      injected: carried?.injected,
      claims,
      ownSni,
      now,
    };
    return [{ endpoint, priority, workload, outcome: arrive(incoming, workload, port) }];
  });
  const resolved: Step[] = called
    ? [{ stage: "endpoint", result: called.address, reason: resolvedStep(called, cluster.port.number), source: called.source }]
    : [];
  const added = carried ? [carried.step] : [];
  return {
    ...common,
    name: called?.address ?? common.name,
    steps: [named, ...byLocality(groups, cluster), ...resolved, ...added],
    endpoints: judged,
  };
}

/** What a DestinationRule says of endpoints for where they are. */
function byLocality(groups: readonly LocalityGroup[], { policy, sources }: OutboundCluster): Step[] {
  const source = sources.find(({ kind }) => kind === "DestinationRule") ?? null;
  const step = (result: string, reason: string): Step => ({ stage: "destination", result, reason, source });
  const shares = groups.map(({ locality, weight }) => `${locality || "no locality"}: ${weight}`).join(", ");
  const distributes = preferenceOf(policy).distribute !== undefined;
  const farther = groups.length - askedFirst(groups).length;
  return [
    ...(distributes ? [step("distribute", `the shares of the localities are ${shares}; others get nothing`)] : []),
    ...(farther > 0
      ? [step("failover", `${farther} of ${groups.length} localities are asked only when nearer ones are in bad health`)]
      : []),
  ];
}

/** Which instances of the service get no calls, because they are away or their applications not ready, and which may be gone and get calls. */
function unreadyOf(mesh: Mesh, host: string, now: number): string {
  const told = (all: Mesh["unready"], words: string) => {
    const some = [...all].flatMap(([key, why]) => (why.hosts.includes(host) ? [`${key} (${reasonAt(why, now)})`] : []));
    return some.length === 0 ? "" : `; ${words}: ${some.join(", ")}`;
  };
  return told(mesh.unready, "not ready") + told(mesh.doubtful, "may be gone, and kept because too few would be left");
}

/** Why there is no such cluster. */
function missing({ ports, listeners, clusters }: OutboundView, { cluster, host, port, subset }: RouteTarget): string {
  const listened = listeners.flatMap(({ services }) => services.flatMap((service) => service.ports.map((one) => ({ service, port: one }))));
  const known = [...ports, ...listened].filter(({ service }) => service.host === host);
  if (known.length === 0) return `there is no service ${host}`;
  if (!known.some((one) => one.port.number === port)) {
    return `${host} has no port ${port}, but ${[...new Set(known.map((one) => one.port.number))].join(", ")}`;
  }
  const subsets = clusters.filter((one) => one.service.host === host && one.port.number === port).flatMap((one) => one.subset ?? []);
  if (subset && !subsets.includes(subset)) {
    return `no DestinationRule that the caller meets gives ${host} a subset ${subset}${subsets.length > 0 ? ` (there are: ${subsets.join(", ")})` : ""}`;
  }
  return `there is no cluster ${cluster}`;
}

/** "90% of the requests", "" for the only one. */
export function shareOf(weight: number, all: readonly { readonly weight: number }[]): string {
  if (all.length < 2) return "";
  const total = all.reduce((sum, one) => sum + one.weight, 0);
  return `: ${Math.round((weight / total) * 1000) / 10}% of the requests (weight ${weight})`;
}
