/** What every way of calling shares: the endpoints behind a destination, each judged, and the answer put together. */
import type { Endpoint, InboundPort, Mesh, Workload } from "../mesh/types.ts";
import { normalizePath } from "./path.ts";
import type { HttpRequest } from "./route-match.ts";
import type { Outcome } from "./server.ts";
import type { DestinationAnswer, EndpointAnswer, RouteAnswer, Step, Verdict, WhyAnswer, WhyContext } from "./types.ts";

/** An answer, with what it reached: for knowing which rules no test reaches. */
export interface Evaluation {
  readonly answer: WhyAnswer;
  /** Names of the authorization rules that matched. */
  readonly matched: readonly string[];
}

/** A destination and what becomes of a request at each of its endpoints. */
export interface Judged {
  readonly cluster: string;
  /** The service's, for people. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly subset?: string;
  readonly weight: number;
  readonly steps: readonly Step[];
  /** As the server reads it; absent on TCP. */
  readonly request?: HttpRequest;
  readonly endpoints: readonly JudgedEndpoint[];
  /** Where no endpoint is asked: why. */
  readonly failure?: { readonly verdict: Verdict; readonly status: number; readonly reason: string };
}

export interface JudgedEndpoint {
  readonly endpoint: Endpoint;
  /** 0 is asked first, the next where that is in bad health (mesh/localities.ts). */
  readonly priority: number;
  readonly workload?: Workload;
  readonly outcome: Outcome;
}

/** Those that get the request as long as all are in good health. */
export function askedFirst<T extends { readonly priority: number }>(endpoints: readonly T[]): readonly T[] {
  const first = Math.min(...endpoints.map(({ priority }) => priority));
  return endpoints.filter(({ priority }) => priority === first);
}

/** The workload that takes calls at an endpoint, also where a ServiceEntry writes the endpoint out itself. */
export function serverAt(
  mesh: Mesh,
  endpoint: Endpoint,
  servicePort: number,
): { readonly workload?: Workload; readonly port?: InboundPort; readonly number: number } {
  const number = endpoint.ports.get(servicePort) ?? servicePort;
  const inboundOf = (workload: Workload) => workload.inbound.find((inbound) => inbound.number === number);
  const known = endpoint.workload === undefined ? undefined : mesh.workloads.get(endpoint.workload);
  const workload = known ?? [...mesh.workloads.values()].find((one) => one.address === endpoint.address && inboundOf(one));
  return { workload, port: workload && inboundOf(workload), number };
}

/** The request with its path as a sidecar reads it. */
export function readByServer(request: HttpRequest | undefined, { settings }: Mesh): HttpRequest | undefined {
  return request && { ...request, path: normalizePath(request.path, settings.pathNormalization) ?? request.path };
}

/** From the worst on. */
const ORDER: readonly Verdict[] = ["refused", "no_route", "deny", "fault", "redirect", "direct_response", "allow"];

function worst<T extends { readonly verdict: Verdict }>(all: readonly T[]): T | undefined {
  return [...all].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict))[0];
}

export function destinationAnswer(judged: Judged, context: WhyContext): DestinationAnswer {
  const { cluster, host, port, subset, weight, failure } = judged;
  const endpoints = judged.endpoints.map(({ endpoint, priority, workload, outcome }): EndpointAnswer => {
    const number = endpoint.ports.get(port) ?? port;
    return {
      address: endpoint.address.startsWith("/") ? endpoint.address : `${endpoint.address}:${number}`,
      workload: workload?.key ?? null,
      priority,
      connected: workload && context.isConnected ? context.isConnected(workload.key) : null,
      verdict: outcome.verdict,
      status: outcome.status,
      reason: outcome.reason,
    };
  });
  const { verdict, status, reason } = failure ?? worst(askedFirst(endpoints)) ?? NO_ENDPOINT;
  const { method, path, authority } = judged.request ?? {};
  const request = method !== undefined && path !== undefined && authority !== undefined ? { method, path, authority } : null;
  return { cluster, host, port, subset: subset ?? null, weight, verdict, status, reason, request, endpoints };
}

const NO_ENDPOINT = { verdict: "no_route", status: 503, reason: "503: no endpoint" } as const;

/** The whole answer of a request that left for `judged`: its worst destination decides. */
export function answerOf(
  judged: readonly Judged[],
  before: readonly Step[],
  parts: { readonly protocol: "http" | "tcp"; readonly route: RouteAnswer | null },
  context: WhyContext,
): WhyAnswer {
  const destinations = judged.map((one) => destinationAnswer(one, context));
  const decisive = worst(destinations) ?? NO_ENDPOINT;
  const at = judged[destinations.findIndex(({ verdict }) => verdict === decisive.verdict)];
  const outcome = at && worst(askedFirst(at.endpoints).map((one) => ({ ...one, verdict: one.outcome.verdict })))?.outcome;
  const kinds = destinations.flatMap((one) =>
    (one.endpoints.length > 0 ? askedFirst(one.endpoints) : [one]).map(({ verdict, status }) => `${verdict} ${status}`),
  );
  const mixed = new Set(kinds).size > 1;
  return {
    verdict: decisive.verdict,
    status: decisive.status,
    summary: summaryOf(
      destinations.map((one, at) => ({ ...one, name: judged[at]?.name ?? one.host })),
      mixed,
      decisive,
    ),
    protocol: parts.protocol,
    mixed,
    route: parts.route,
    destinations,
    mtls: outcome?.mtls ?? null,
    jwt: outcome?.jwt ?? null,
    authorization: outcome?.authorization ?? null,
    steps: [...before, ...judged.flatMap(stepsOf)],
  };
}

type Named = DestinationAnswer & { readonly name: string };

function summaryOf(
  destinations: readonly Named[],
  mixed: boolean,
  decisive: { readonly verdict: Verdict; readonly reason: string },
): string {
  if (mixed) return [...new Set(destinations.flatMap(namedReasons))].join("; ");
  if (decisive.verdict !== "allow") return decisive.reason;
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  const names = destinations.map((one) => {
    const share = destinations.length > 1 && total > 0 ? ` (${Math.round((one.weight / total) * 100)}%)` : "";
    return `${nameOf(one)}${share}`;
  });
  return `${decisive.reason} via ${[...new Set(names)].join(" or ")}`;
}

function namedReasons(destination: Named): string[] {
  const name = nameOf(destination);
  if (destination.endpoints.length === 0) return [`${name}: ${destination.reason}`];
  const endpoints = askedFirst(destination.endpoints);
  const reasons = new Set(endpoints.map(({ reason }) => reason));
  if (reasons.size === 1) return [`${name}: ${destination.reason}`];
  return endpoints.map(({ workload, address, reason }) => `${name} at ${workload ?? address}: ${reason}`);
}

/** "orders v2" */
function nameOf({ name, subset }: Named): string {
  return subset ? `${name} ${subset}` : name;
}

/** Endpoints to which the same happens are told of once. */
function stepsOf({ steps, endpoints, cluster, host }: Judged): Step[] {
  const groups = Map.groupBy(askedFirst(endpoints), ({ outcome }) =>
    JSON.stringify([outcome.steps.map(({ stage, result, source }) => [stage, result, source]), outcome.reason]),
  );
  return [
    ...steps,
    ...[...groups.values()].flatMap((group): Step[] => {
      const [first] = group;
      if (!first) return [];
      const names = group.slice(0, 3).map(({ endpoint, workload }) => workload?.key ?? endpoint.address);
      const more = group.length > 3 ? ` and ${group.length - 3} more` : "";
      const { outcome, endpoint } = first;
      const end: Step = { stage: "application", result: outcome.verdict, reason: outcome.reason, source: null };
      const head: Step = {
        stage: "endpoint",
        result: `${group.length}`,
        reason: `${names.join(", ")}${more} of ${cluster || host}`,
        source: endpoint.source,
      };
      return [head, ...outcome.steps, ...(outcome.verdict === "allow" ? [end] : [])];
    }),
  ];
}

/** An answer that the caller's own sidecar gives: nothing is sent. */
export function localAnswer(
  verdict: Verdict,
  status: number,
  summary: string,
  steps: readonly Step[],
  route: RouteAnswer | null = null,
  protocol: WhyAnswer["protocol"] = "http",
): WhyAnswer {
  const none = { destinations: [], mtls: null, jwt: null, authorization: null } as const;
  return { verdict, status, summary, protocol, mixed: false, route, ...none, steps };
}
