/** A TCP connection through the caller's sidecar (src/mesh/tcp-routes.ts). */
import { parseCidr } from "../lib/ip.ts";
import type { EgressListener } from "../mesh/egress-listeners.ts";
import { covers } from "../mesh/hosts.ts";
import { localPlaces } from "../mesh/local-places.ts";
import type { OutboundPort } from "../mesh/outbound-ports.ts";
import { isTls, type TcpRoute } from "../mesh/tcp-routes.ts";
import { contains } from "./cidr.ts";
import { judge, type Leaving, shareOf } from "./destination.ts";
import { answerOf, askedFirst, type Evaluation, localAnswer } from "./evaluation.ts";
import type { RouteAnswer, Step, WhyContext } from "./types.ts";

/** `sni`: the name that a TLS client asks for: the one that it calls. */
export function evaluateTcp(
  leaving: Leaving,
  called: OutboundPort,
  routes: readonly TcpRoute[],
  context: WhyContext,
  sni = called.service.host,
): Evaluation {
  const { service, port } = called;
  const tcp = routeOfConnection(routes, called.addresses[0], sni);
  const own = isTls(port.protocol) ? { ...leaving, ownSni: sni } : leaving;
  if (!tcp) return closed(leaving, called, routes);
  const name = `${service.host}:${port.number}`;
  const routed = tcp.sources.find(({ kind }) => kind === "VirtualService");
  const reason = routed ? "a tcp route holds at the port" : "no VirtualService routes the port";
  const steps: Step[] = [
    {
      stage: "service",
      result: name,
      reason: `port ${port.number} is ${port.protocol}: its connections are routed, not its requests`,
      source: service.source,
    },
    ...unreachable(leaving, called),
    { stage: "route", result: "match", reason, source: routed ?? service.source },
  ];
  const led = routedBy(own, tcp, { virtual_host: name, name: "", source: routed ?? service.source }, steps, context);
  const [none] = unreachable(leaving, called);
  return none ? withoutListener(led, none) : led;
}

/** Nobody can connect; where a listener would lead stays in the answer. */
function withoutListener({ answer }: Evaluation, { reason }: Step): Evaluation {
  return {
    answer: {
      ...answer,
      verdict: "no_route",
      status: 0,
      mixed: false,
      summary: `no listener: ${reason}; it would lead to: ${answer.summary}`,
    },
    matched: [],
  };
}

/** At an egress listener of the caller's Sidecar; `sni`: the name that a TLS client asks for. */
export function evaluateTcpListener(
  leaving: Leaving,
  { bind, tcp: routes = [], source }: EgressListener,
  sni: string,
  before: readonly Step[],
  context: WhyContext,
): Evaluation {
  const tcp = routeOfConnection(routes, bind.address, sni);
  const name = placeOf(bind);
  if (!tcp) {
    const reason = "no filter chain takes the connection: its name and address are in none of the matches";
    const steps: Step[] = [...before, { stage: "route", result: "no_match", reason, source }];
    const route: RouteAnswer = { virtual_host: name, name: "", source };
    return { answer: localAnswer("no_route", 0, `closed: ${reason}`, steps, route, "tcp"), matched: [] };
  }
  const routed = tcp.sources.find(({ kind }) => kind === "VirtualService");
  const reason = routed ? "a tcp route holds at the listener" : `no VirtualService routes the listener: to ${tcp.targets[0]?.host}`;
  const steps: Step[] = [...before, { stage: "route", result: "match", reason, source: routed ?? source }];
  return routedBy(leaving, tcp, { virtual_host: name, name: "", source: routed ?? source }, steps, context);
}

/** "127.0.0.1:8080", "[::1]:8080" or "unix:///run/orders.sock". */
export function placeOf({ address, port }: EgressListener["bind"]): string {
  if (/^[/@]/.test(address)) return `unix://${address}`;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function routedBy(leaving: Leaving, tcp: TcpRoute, route: RouteAnswer, steps: readonly Step[], context: WhyContext): Evaluation {
  const judged = tcp.targets.map((target) => judge(leaving, target, shareOf(target.weight, tcp.targets)));
  return {
    answer: answerOf(judged, steps, { protocol: "tcp", route }, context),
    matched: judged.flatMap(({ endpoints }) => askedFirst(endpoints).flatMap(({ outcome }) => outcome.matched)),
  };
}

/** A sidecar takes TCP at an address of the service's, or where its annotation says. */
function unreachable({ caller }: Leaving, called: OutboundPort): Step[] {
  if (localPlaces(caller, called).length > 0) return [];
  const reason = `the sidecar of ${caller.key} has no local port for ${called.service.host}:${called.port.number}: annotation weft.dev/listen gives one`;
  return [{ stage: "service", result: "no_listener", reason, source: caller.source }];
}

/** Envoy closes a connection that no filter chain takes. */
function closed(leaving: Leaving, called: OutboundPort, routes: readonly TcpRoute[]): Evaluation {
  const { service, port } = called;
  const source = routes[0]?.sources[0] ?? service.source;
  const reason = "no tls or tcp rule takes the connection: its name and address are in none of their matches";
  const steps: Step[] = [...unreachable(leaving, called), { stage: "route", result: "no_match", reason, source }];
  const route: RouteAnswer = { virtual_host: `${service.host}:${port.number}`, name: "", source };
  return { answer: localAnswer("no_route", 0, `closed: ${reason}`, steps, route, "tcp"), matched: [] };
}

/**
 * The route of a connection, as Envoy chooses filter chains: first by the longest subnet that holds the called address, then, among these
 * alone, by the name that TLS asks for.
 */
function routeOfConnection(routes: readonly TcpRoute[], address: string | undefined, sni: string): TcpRoute | undefined {
  const near = routes.map((route) => {
    const subnets = (route.match?.destinationSubnets ?? []).flatMap((block) => parseCidr(block) ?? []);
    const lengths = subnets.filter((block) => address !== undefined && contains(block, address)).map(({ prefixLength }) => prefixLength);
    return { route, length: route.match?.destinationSubnets.length ? Math.max(-1, ...lengths) : 0 };
  });
  const longest = Math.max(...near.map(({ length }) => length));
  const rest = near.filter(({ length }) => length === longest && length >= 0).map(({ route }) => route);
  const rank = (host: string) => (covers(host, sni) ? host.length : -1);
  const named = rest
    .flatMap((route) => (route.match?.sniHosts ?? []).map((host) => ({ route, rank: rank(host) })))
    .filter((one) => one.rank >= 0)
    .sort((a, b) => b.rank - a.rank);
  return named[0]?.route ?? rest.find(({ match }) => !match?.sniHosts.length);
}
