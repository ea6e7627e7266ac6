/** A client that goes straight to the workloads behind a service: without a sidecar, or one of another mesh, whose sidecar this one knows nothing of. */
import { formatProvenance } from "../lib/provenance.ts";
import { isHttp } from "../mesh/services.ts";
import { isTls } from "../mesh/tcp-routes.ts";
import type { Endpoint, Mesh, Service, ServicePort } from "../mesh/types.ts";
import type { Claims } from "./condition.ts";
import { answerOf, type Evaluation, readByServer, serverAt } from "./evaluation.ts";
import type { HttpRequest } from "./route-match.ts";
import { arrive } from "./server.ts";
import type { Step, WhyContext } from "./types.ts";

export interface Direct {
  readonly mesh: Mesh;
  readonly service: Service;
  readonly port: ServicePort;
  readonly sourceIp?: string;
  readonly claims?: Claims;
  readonly now: number;
  readonly request: HttpRequest;
  /** The SPIFFE ID that the client presents; without one it sends plaintext. */
  readonly identity?: string;
}

const PRESENTED = { kind: "ISTIO_MUTUAL", reason: "the client presents an X.509-SVID", source: null, sni: "", servers: [] } as const;
const NO_TLS = { kind: "NONE", reason: "the client has no sidecar", source: null, sni: "", servers: [] } as const;

export function evaluatePlaintext(direct: Direct, context: WhyContext): Evaluation {
  const { mesh, service, port } = direct;
  const isRequest = isHttp(port.protocol);
  const request = isRequest ? direct.request : undefined;
  const ownSni = isTls(port.protocol) ? service.host : undefined;
  const endpoints = (mesh.endpoints.get(service.host) ?? []).filter((endpoint) => endpoint.ports.has(port.number));
  const judged = endpoints.map((endpoint: Endpoint) => {
    const { workload, port: inbound } = serverAt(mesh, endpoint, port.number);
    const { sourceIp, claims, now, identity } = direct;
    const tls = identity === undefined ? NO_TLS : PRESENTED;
    return {
      endpoint,
      priority: 0,
      workload,
      outcome: arrive(
        { mesh, tls, identity, viaSidecar: identity !== undefined, sourceIp, request, claims, ownSni, now },
        workload,
        inbound,
      ),
    };
  });
  const step: Step = {
    stage: "service",
    result: service.host,
    reason: `no sidecar routes the request: it meets every endpoint of ${formatProvenance(service.source)} alike`,
    source: service.source,
  };
  const destination = {
    request: readByServer(request, mesh),
    cluster: "",
    name: service.name,
    host: service.host,
    port: port.number,
    weight: 0,
    steps: [],
    endpoints: judged,
  };
  return {
    answer: answerOf([destination], [step], { protocol: isRequest ? "http" : "tcp", route: null }, context),
    matched: judged.flatMap(({ outcome }) => outcome.matched),
  };
}
