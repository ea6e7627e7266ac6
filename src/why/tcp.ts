/** A TCP connection through the caller's sidecar (src/mesh/tcp-routes.ts). */
import type { OutboundPort } from "../mesh/outbound.ts";
import type { TcpRoute } from "../mesh/tcp-routes.ts";
import { judge, type Leaving, shareOf } from "./destination.ts";
import { answerOf, type Evaluation } from "./evaluation.ts";
import type { RouteAnswer, Step, WhyContext } from "./types.ts";

export function evaluateTcp(leaving: Leaving, called: OutboundPort, tcp: TcpRoute, context: WhyContext): Evaluation {
  const { service, port } = called;
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
  const judged = tcp.targets.map((target) => judge(leaving, target, shareOf(target.weight, tcp.targets)));
  const route: RouteAnswer = { virtual_host: name, name: "", source: routed ?? service.source };
  return {
    answer: answerOf(judged, steps, { protocol: "tcp", route }, context),
    matched: judged.flatMap(({ endpoints }) => endpoints.flatMap(({ outcome }) => outcome.matched)),
  };
}

/** A sidecar takes TCP at an address of the service's, or where its annotation says. */
function unreachable({ caller }: Leaving, { service, port, addresses }: OutboundPort): Step[] {
  const listens = caller.listen
    ? caller.listen.some(({ host, port: number }) => host === service.host && number === port.number)
    : addresses.length > 0;
  if (listens) return [];
  const reason = `the sidecar of ${caller.key} has no local port for it: annotation weft.dev/listen gives one`;
  return [{ stage: "service", result: "no_listener", reason, source: caller.source }];
}
