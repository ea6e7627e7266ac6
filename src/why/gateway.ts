/**
 * A request that comes in at a gateway: the server that takes its connection, the gateway's own tokens and policies, then virtual host and route,
 * and on to the destination as from a sidecar (src/xds/gateway-listener.ts). The client speaks TLS, asking for the host by name, where a server on
 * the port takes TLS for that name, and else plaintext.
 */
import { WeftError } from "../lib/errors.ts";
import type { GatewayChain, GatewayListener, GatewayView } from "../mesh/gateways.ts";
import { covers } from "../mesh/hosts.ts";
import type { VirtualHost } from "../mesh/route-tables.ts";
import type { TcpRoute } from "../mesh/tcp-routes.ts";
import { isIpAddress } from "../model/check.ts";
import type { Arrival } from "./condition.ts";
import { judge, type Leaving, shareOf } from "./destination.ts";
import { answerOf, askedFirst, type Evaluation, localAnswer } from "./evaluation.ts";
import { handshakeAt } from "./gateway-client.ts";
import { throughHost } from "./http.ts";
import type { HttpRequest } from "./route-match.ts";
import { httpOutcome, type Outcome, tcpOutcome } from "./server.ts";
import type { MtlsAnswer, RouteAnswer, Step, WhyAnswer, WhyContext } from "./types.ts";
import { findVirtualHost } from "./virtual-host.ts";

export interface AtGateway extends Leaving {
  /** As its client sends it. */
  readonly request: HttpRequest;
  readonly gateway: GatewayView | undefined;
  readonly host: string;
  /** Of the gateway; where absent its only one for requests. */
  readonly port?: number;
  /** Names in the client's certificate; undefined where none is shown. */
  readonly clientCertificate?: readonly string[];
}

/** A connection that a server took. */
interface Taken {
  readonly listener: GatewayListener;
  readonly chain: GatewayChain;
  readonly arrival: Arrival;
  readonly mtls: MtlsAnswer;
  readonly steps: readonly Step[];
}

/** @throws WeftError "invalid" where the port is not told apart. */
export function evaluateGateway(at: AtGateway, context: WhyContext): Evaluation {
  const listener = listenerOf(at);
  const place = `${listener.address}:${listener.port}`;
  const chain = chainFor(listener, at.host);
  if (!chain) {
    const reason = `no server at ${place} takes TLS for ${at.host}, and none takes plaintext`;
    const source = listener.chains[0]?.sources[0] ?? null;
    const step: Step = { stage: "listener", result: "no_match", reason, source };
    return { answer: localAnswer("refused", 0, `closed: ${reason}`, [step], null, isForRequests(listener) ? "http" : "tcp"), matched: [] };
  }
  const taken = takenBy(at, listener, chain);
  if (taken.mtls.outcome === "refused") {
    const protocol = "table" in chain.to ? "http" : "tcp";
    const { reason = "" } = taken.steps.at(-1) ?? {};
    return { answer: { ...localAnswer("refused", 0, `closed: ${reason}`, taken.steps, null, protocol), mtls: taken.mtls }, matched: [] };
  }
  return "table" in chain.to ? requestAt(at, taken, chain.to.table, context) : connectionAt(at, taken, chain.to.route, context);
}

function isForRequests({ chains }: GatewayListener): boolean {
  return chains.some(({ to }) => "table" in to);
}

function listenerOf({ gateway, caller, port }: AtGateway): GatewayListener {
  const all = gateway?.listeners ?? [];
  const found = all.filter((one) => (port === undefined ? isForRequests(one) : one.port === port));
  const [only] = found;
  if (only && found.length === 1) return only;
  const known = all.map((one) => `${one.address}:${one.port}`).join(", ");
  const help = known ? `it listens at ${known}: write --to HOST:PORT` : "no server of a Gateway selects it";
  if (!only) throw new WeftError("not_found", `the gateway ${caller.key} ${port ? `has no port ${port}` : "takes no requests"}`, { help });
  const what =
    port === undefined ? "takes requests at several ports" : `listens at port ${port} of several addresses, which are not told apart`;
  throw new WeftError("invalid", `the gateway ${caller.key} ${what}`, { help });
}

/** As Envoy chooses: an exact name of TLS, else the longest wildcard, else any name. */
function chainFor({ chains }: GatewayListener, host: string): GatewayChain | undefined {
  // TLS asks for no server by address (RFC 6066, section 3).
  const sni = isIpAddress(host.replace(/^\[|\]$/g, "")) ? undefined : host.toLowerCase();
  const ranked = chains
    .filter(({ asksForTls }) => asksForTls)
    .map((chain) => {
      const names = sni === undefined ? [] : chain.serverNames.filter((name) => covers(name, sni));
      const ranks = names.map((name) => (name === sni ? Number.POSITIVE_INFINITY : name.length));
      return { chain, rank: chain.serverNames.length === 0 ? 0 : Math.max(-1, ...ranks) };
    })
    .filter(({ rank }) => rank >= 0)
    .sort((a, b) => b.rank - a.rank);
  return ranked[0]?.chain ?? chains.find(({ asksForTls }) => !asksForTls);
}

function takenBy({ caller, host, sourceIp, clientCertificate }: AtGateway, listener: GatewayListener, chain: GatewayChain): Taken {
  const source = chain.sources[0] ?? null;
  const { client, outcome, how, peers } = handshakeAt(chain, host, clientCertificate);
  const mtls: MtlsAnswer = {
    client,
    client_reason: "the client has no sidecar",
    client_source: null,
    server: "NONE",
    server_source: source,
    outcome,
    peer: peers.find((name) => name.startsWith("spiffe://")) ?? peers[0] ?? null,
  };
  const anywhere = listener.address === "0.0.0.0" || listener.address === "::";
  const arrival: Arrival = {
    sourceIp,
    destinationIp: anywhere ? caller.address : listener.address,
    destinationPort: listener.port,
    sni: chain.asksForTls ? host.toLowerCase() : "",
    peer: mtls.peer ?? undefined,
    peers,
  };
  const does = outcome === "refused" ? "refuses" : "takes";
  const reason = `${caller.key} ${does} it at ${listener.address}:${listener.port}: ${how}`;
  return { listener, chain, arrival, mtls, steps: [{ stage: "listener", result: outcome, reason, source }] };
}

/** Envoy asks tokens and policies first, also about what no route takes. */
function requestAt(at: AtGateway, taken: Taken, tableName: string, context: WhyContext): Evaluation {
  const { caller, mesh } = at;
  const { arrival, mtls, steps } = taken;
  const outcome = httpOutcome(at, caller, arriving(at, taken), arrival, mtls, steps);
  const { passed, matched } = outcome;
  if (!passed) return { answer: endsHere(outcome, "http"), matched };
  const table = at.gateway?.tables.find(({ name }) => name === tableName);
  const host = table && findVirtualHost(table, passed.request.authority);
  const source = taken.chain.sources[0] ?? null;
  const before = outcome.steps;
  if (!host || (host.routes.length === 0 && !host.requireTls)) {
    const reason = `no VirtualService that is bound to the server's Gateway takes ${passed.request.authority}`;
    const step: Step = { stage: "virtual_host", result: "no_match", reason, source: host?.sources[0] ?? source };
    return { answer: localAnswer("no_route", 404, `404: ${reason}`, [...before, step]), matched };
  }
  if (host.requireTls && passed.request.scheme !== "https") {
    return { answer: toHttps(host, passed.request, before), matched };
  }
  // From here on it is the gateway that calls.
  const leaving = { mesh, view: at.view, caller, now: at.now, ...passed };
  const evaluation = throughHost(leaving, host, before, context);
  return { ...evaluation, matched: [...matched, ...evaluation.matched] };
}

/** What the connection manager makes of the headers by which proxies tell of callers (use_remote_address, SANITIZE_SET). */
function arriving({ request, sourceIp }: AtGateway, { chain }: Taken): HttpRequest {
  const scheme = chain.asksForTls ? "https" : "http";
  const headers = new Map(request.headers);
  headers.set("x-forwarded-proto", scheme);
  headers.delete("x-forwarded-client-cert");
  const said = headers.get("x-forwarded-for");
  // The address that the gateway adds is the one that policies read; what the client itself says before it is not.
  if (sourceIp === undefined) headers.delete("x-forwarded-for");
  else headers.set("x-forwarded-for", said ? `${said},${sourceIp}` : sourceIp);
  return { ...request, scheme, headers };
}

/** Envoy's require_tls, which goes before all routes. */
function toHttps(host: VirtualHost, { authority, path }: HttpRequest, before: readonly Step[]): WhyAnswer {
  const source = host.sources[0] ?? null;
  const location = `https://${authority}${path}`;
  const route: RouteAnswer = { virtual_host: host.name, name: "", source, location };
  const step: Step = { stage: "redirect", result: "301", reason: `httpsRedirect: to ${location}`, source };
  return localAnswer("redirect", 301, `301 to ${location} by httpsRedirect of the server`, [...before, step], route);
}

function connectionAt(at: AtGateway, taken: Taken, route: TcpRoute, context: WhyContext): Evaluation {
  const { mesh, caller, view, now } = at;
  const { listener, arrival, mtls, steps } = taken;
  const outcome = tcpOutcome({ mesh, viaSidecar: false }, caller, arrival, mtls, steps);
  const { matched } = outcome;
  if (outcome.verdict !== "allow") return { answer: endsHere(outcome, "tcp"), matched };
  const source = route.sources.find(({ kind }) => kind === "VirtualService") ?? null;
  const how: Step = { stage: "route", result: "match", reason: "all bytes of the connection go where the rule says", source };
  const ownSni = mtls.outcome === "tls" && !taken.chain.tls ? arrival.sni : undefined;
  const judged = route.targets.map((target) => judge({ mesh, view, caller, now, ownSni }, target, shareOf(target.weight, route.targets)));
  const answered: RouteAnswer = { virtual_host: `${listener.address}:${listener.port}`, name: "", source };
  return {
    answer: answerOf(judged, [...outcome.steps, how], { protocol: "tcp", route: answered }, context),
    matched: [...matched, ...judged.flatMap(({ endpoints }) => askedFirst(endpoints).flatMap((one) => one.outcome.matched))],
  };
}

function endsHere({ verdict, status, reason, steps, mtls, jwt, authorization }: Outcome, protocol: "http" | "tcp"): WhyAnswer {
  return { ...localAnswer(verdict, status, `${reason}, at the gateway`, steps, null, protocol), mtls, jwt, authorization };
}
