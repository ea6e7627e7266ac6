/**
 * What becomes of a request, and which line decided: the same Mesh that makes Envoy's configuration, evaluated for one request. Pure.
 * A differential test (test/why) holds it against real Envoys.
 */
import { WeftError } from "../lib/errors.ts";
import type { EgressListener } from "../mesh/egress-listeners.ts";
import { covers } from "../mesh/hosts.ts";
import type { OutboundView } from "../mesh/outbound.ts";
import { isHttp } from "../mesh/services.ts";
import { isTls } from "../mesh/tcp-routes.ts";
import type { Mesh, Service, ServicePort } from "../mesh/types.ts";
import { canonicalHost } from "../model/host.ts";
import { readNamespace } from "../model/metadata.ts";
import { trustDomainOf } from "../model/trust-domain.ts";
import type { Leaving } from "./destination.ts";
import { withPatches } from "./envoy-filter.ts";
import type { Evaluation } from "./evaluation.ts";
import { localAnswer } from "./evaluation.ts";
import { evaluateGateway } from "./gateway.ts";
import { evaluateHttp } from "./http.ts";
import { evaluatePlaintext } from "./plaintext.ts";
import type { HttpRequest } from "./route-match.ts";
import { evaluateTcp, evaluateTcpListener, placeOf } from "./tcp.ts";
import type { Step, WhyAnswer, WhyContext, WhyRequest } from "./types.ts";

/** The answer alone. @throws WeftError as `evaluate` does */
export function why(mesh: Mesh, request: WhyRequest, context: WhyContext): WhyAnswer {
  return evaluate(mesh, request, context).answer;
}

/** @throws WeftError "not_found" for a caller that is no workload, "invalid" for a request that is none. */
export function evaluate(mesh: Mesh, asked: WhyRequest, context: WhyContext): Evaluation {
  const { answer, matched } = evaluateRequest(mesh, asked, context);
  const caller = isOutside(asked.from) ? undefined : keyOf(asked.from);
  return { answer: withPatches(mesh, caller, answer), matched };
}

/** A client whose sidecar, if it has one, is none of this mesh's. */
function isOutside(from: string): boolean {
  return from === "plaintext" || from.startsWith("spiffe://");
}

/** The SPIFFE ID that such a client presents. */
function presentedBy(from: string): string | undefined {
  if (from === "plaintext") return undefined;
  if (trustDomainOf(from) === "") throw new WeftError("invalid", `${JSON.stringify(from)} is no SPIFFE ID of a workload`);
  return from;
}

/** "ns/name"; a bare name is in namespace default. */
function keyOf(workload: string): string {
  const slash = workload.indexOf("/");
  return slash < 0 ? `default/${workload}` : `${readNamespace(workload.slice(0, slash))}${workload.slice(slash)}`;
}

function evaluateRequest(mesh: Mesh, asked: WhyRequest, context: WhyContext): Evaluation {
  const request = requestOf(asked);
  const { sourceIp, claims } = asked;
  const { host, port } = splitHost(asked.to);
  if (asked.clientCertificate && mesh.workloads.get(keyOf(asked.from))?.type !== "gateway") {
    const help = "calls inside of the mesh show the caller's own certificate";
    throw new WeftError("invalid", "clientCertificate is for requests that come in at a gateway: name it as from", { help });
  }
  const common = { mesh, sourceIp, claims, now: context.now };
  if (isOutside(asked.from)) {
    if (asked.via !== undefined) throw new WeftError("invalid", "via is a listener of the caller's sidecar: name the caller");
    const found = namedService(host, port, "default", mesh.settings.domain, [...mesh.services.values()]);
    if (!found) return nowhere(asked.to, mesh);
    return evaluatePlaintext({ ...common, ...found, request, identity: presentedBy(asked.from) }, context);
  }
  const caller = mesh.workloads.get(keyOf(asked.from));
  const view = caller && mesh.outbound.get(caller.key);
  if (!caller || !view) {
    const known = [...mesh.workloads.keys()].slice(0, 10).join(", ");
    throw new WeftError("not_found", `there is no workload ${asked.from}`, {
      help: `there are: ${known || "none; apply a WorkloadEntry"}; or ask from plaintext, or from a SPIFFE ID`,
    });
  }
  if (caller.type === "gateway") {
    if (asked.via !== undefined) throw new WeftError("invalid", `${caller.key} is a gateway, which takes no calls out`);
    const { clientCertificate } = asked;
    const at = { ...common, view, caller, gateway: mesh.gateways.get(caller.key), request, host, port, clientCertificate };
    return evaluateGateway(at, context);
  }
  const leaving = { ...common, view, caller };
  if (asked.via !== undefined) return throughListener({ ...leaving, request }, listenerAt(view, asked.via), { host, port }, context);
  // By host: parts of a Mesh that did not change keep what they were made of, an equal service among it.
  const services = [...new Map(view.ports.map(({ service }) => [service.host, service])).values()];
  const found = namedService(host, port, caller.namespace, mesh.settings.domain, services);
  const meant = found ?? ofWildcard(host, port, services);
  const called = meant && view.ports.find((one) => one.service.host === meant.service.host && one.port.number === meant.port.number);
  if (called?.tcp) return evaluateTcp(leaving, called, called.tcp, context, found ? undefined : host.toLowerCase());
  const own = found ? undefined : view.listeners.find((listener) => namedAt(leaving, listener, host, port));
  if (own) return throughListener({ ...leaving, request }, own, { host, port }, context);
  return hiddenTcp(leaving, host, port) ?? evaluateHttp({ ...leaving, request }, context);
}

type To = { readonly host: string; readonly port?: number };

/** What an egress listener of the caller's Sidecar makes of it. */
function throughListener(
  leaving: Leaving & { readonly request: HttpRequest },
  listener: EgressListener,
  { host, port }: To,
  context: WhyContext,
): Evaluation {
  const { source, table } = listener;
  const reason = `the application calls the egress listener of Sidecar ${source.namespace}/${source.name}`;
  const steps: Step[] = [{ stage: "listener", result: placeOf(listener.bind), reason, source }];
  if (table !== undefined) return evaluateHttp(leaving, context, { table, steps });
  const { request: _, ...connection } = leaving;
  const named = namedAt(leaving, listener, host, port);
  const sni = named?.service.host ?? host;
  const ownSni = named && isTls(named.port.protocol) ? sni : undefined;
  return evaluateTcpListener({ ...connection, ownSni }, listener, sni, steps, context);
}

function namedAt({ caller, mesh }: Leaving, { services }: EgressListener, host: string, port: number | undefined) {
  return namedService(host, port, caller.namespace, mesh.settings.domain, services);
}

function listenerAt({ listeners }: OutboundView, via: string): EgressListener {
  const places = listeners.map(({ bind }) => placeOf(bind));
  const found = listeners[places.indexOf(via)];
  if (found) return found;
  throw new WeftError("invalid", `no egress listener of the caller's Sidecar is at ${via}`, {
    help: `there are: ${places.join(", ") || "none"}; without it the request goes through the outbound listener`,
  });
}

/** A TCP port of a service that the caller's Sidecar does not import: its connections have no listener, so there is no HTTP answer either. */
function hiddenTcp({ mesh, view, caller }: Leaving, host: string, port: number | undefined): Evaluation | undefined {
  if (!view.scope) return undefined;
  const hidden = namedService(host, port, caller.namespace, mesh.settings.domain, [...mesh.services.values()]);
  const isKnown = hidden && view.ports.some(({ service }) => service.host === hidden.service.host);
  if (!hidden || isKnown || isHttp(hidden.port.protocol)) return undefined;
  const { namespace, name } = view.scope;
  const reason = `Sidecar ${namespace}/${name} does not let the caller know ${hidden.service.host}`;
  const step: Step = { stage: "service", result: "no_match", reason, source: view.scope };
  return { answer: localAnswer("no_route", 0, `refused: ${reason}`, [step], undefined, "tcp"), matched: [] };
}

function requestOf({ to, method = "GET", path = "/", headers = {} }: WhyRequest): HttpRequest {
  if (!path.startsWith("/")) throw new WeftError("invalid", `the path must begin with "/", not ${JSON.stringify(path)}`);
  const given = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value.trim()]));
  const authority = given.get("host") ?? given.get(":authority") ?? to;
  for (const name of ["host", ":authority"]) given.delete(name);
  // Set by every sidecar on the way.
  if (!given.has("x-forwarded-proto")) given.set("x-forwarded-proto", "http");
  return { method, authority, path, scheme: "http", headers: given };
}

function splitHost(to: string): { readonly host: string; readonly port?: number } {
  const [, host = to, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(to) ?? [];
  if (host === "" || /[\s/]/.test(to)) throw new WeftError("invalid", `${JSON.stringify(to)} is no HOST[:PORT]`);
  return { host, port: port === undefined ? undefined : Number(port) };
}

/** The service that a caller in `namespace` means, and its port. */
function namedService(
  host: string,
  number: number | undefined,
  namespace: string,
  domain: string,
  services: readonly Service[],
): { readonly service: Service; readonly port: ServicePort } | undefined {
  const names = [canonicalHost(host, namespace, domain), canonicalHost(`${host}.${domain}`, namespace, domain)];
  const address = host.replace(/^\[(.*)\]$/, "$1");
  const service = services.find((one) => names.includes(one.host)) ?? services.find(({ addresses }) => addresses.includes(address));
  const port = service && (number === undefined ? defaultPort(service) : service.ports.find((one) => one.number === number));
  return port && { service, port };
}

/** The service in whose stead the name that is called is resolved. */
function ofWildcard(host: string, number: number | undefined, services: readonly Service[]) {
  const covering = services.filter((one) => one.resolution === "DYNAMIC_DNS" && covers(one.host, host.toLowerCase()));
  const service = covering.sort((a, b) => b.host.length - a.host.length)[0];
  const port = service && (number === undefined ? defaultPort(service) : service.ports.find((one) => one.number === number));
  return service && port && { service, port };
}

/** 80, as in every URL; a service without it is meant by its lowest HTTP port; one without any by its first. */
function defaultPort({ ports }: Service): ServicePort | undefined {
  const http = ports.filter(({ protocol }) => isHttp(protocol));
  return http.find(({ number }) => number === 80) ?? http[0] ?? ports[0];
}

function nowhere(to: string, mesh: Mesh): Evaluation {
  const known = [...mesh.services.values()].slice(0, 10).map(({ host, ports }) => `${host}:${ports.map(({ number }) => number).join("|")}`);
  const reason = `there is no service ${to}; there are: ${known.join(", ") || "none"}`;
  return { answer: localAnswer("no_route", 0, reason, [{ stage: "service", result: "no_match", reason, source: null }]), matched: [] };
}
