/** The side that takes a call: a workload's sidecar, its mutual TLS mode, its tokens and its policies (src/xds/inbound-listener.ts). */
import { type EffectiveMode, type MtlsMode, mtlsModeAt, servedMode } from "../mesh/peer-authentication.ts";
import { isHttp } from "../mesh/services.ts";
import type { InboundPort, Mesh, Workload } from "../mesh/types.ts";
import { type AuthorizationOutcome, askProvider, authorize } from "./authorization.ts";
import type { Arrival, Claims, VerifiedClaims } from "./condition.ts";
import { type Greeting, handshake, mtlsSteps } from "./handshake.ts";
import type { Injected } from "./injection.ts";
import { authenticate, type JwtOutcome } from "./jwt.ts";
import { normalizePath } from "./path.ts";
import type { HttpRequest } from "./route-match.ts";
import type { AuthorizationAnswer, JwtAnswer, MtlsAnswer, Step, Verdict } from "./types.ts";

/** A call on its way to an endpoint. */
export interface Incoming extends Greeting {
  readonly mesh: Mesh;
  readonly sourceIp?: string;
  /** Absent on TCP. */
  readonly request?: HttpRequest;
  readonly claims?: Claims;
  /** The token that the caller's sidecar added. */
  readonly injected?: Injected;
  /** Whether a sidecar sends it: then a refusal is a 503 of that Envoy, else a reset. */
  readonly viaSidecar: boolean;
  /** Where it arrives; the workload's own address where absent. */
  readonly address?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Outcome {
  readonly verdict: Verdict;
  readonly status: number;
  /** "200", "403 by AuthorizationPolicy ...": the summary's part. */
  readonly reason: string;
  readonly mtls: MtlsAnswer;
  readonly jwt: JwtAnswer | null;
  readonly authorization: AuthorizationAnswer | null;
  readonly steps: readonly Step[];
  /** Names of authorization rules that matched. */
  readonly matched: readonly string[];
  /** The request as it goes on, with what is told of its claims. */
  readonly passed?: {
    readonly request: HttpRequest;
    /** By which a gateway's route is chosen: as it came, unless a token was accepted, which has the route chosen anew (clear_route_cache). */
    readonly chosenBy: HttpRequest;
    readonly claims?: Claims;
    /** Of the token that this proxy accepted, whether or not it goes on. */
    readonly verified?: VerifiedClaims;
  };
}

/** undefined workload: no sidecar of the mesh is there. */
export function arrive(incoming: Incoming, workload: Workload | undefined, port: InboundPort | undefined): Outcome {
  if (!workload) return withoutSidecar(incoming);
  if (!port) return workload.inbound.some(({ source }) => source) ? withoutListener(incoming, workload) : withoutSidecar(incoming);
  const { mesh, request } = incoming;
  if (!listensAt(port, incoming.address ?? workload.address)) return withoutListener(incoming, workload, port);
  const mtls = mesh.mtls.get(workload.key);
  const stated: EffectiveMode = mtls ? mtlsModeAt(mtls, port.number) : { mode: "PERMISSIVE" };
  const answer = handshake(incoming, workload, port, stated);
  const steps = mtlsSteps(incoming.tls, answer.mtls, answer.reason, workload, port);
  if (answer.mtls.outcome === "refused") {
    const status = request && incoming.viaSidecar ? 503 : 0;
    return { ...NOTHING_MORE, verdict: "refused", status, reason: `reset: ${answer.reason}`, mtls: answer.mtls, steps };
  }
  const arrival: Arrival = {
    peer: answer.mtls.peer ?? undefined,
    sourceIp: incoming.sourceIp,
    destinationIp: workload.address,
    destinationPort: port.number,
    sni: seenSni(incoming, servedMode(workload, stated.mode)),
  };
  if (isHttp(port.protocol) && request) return httpOutcome(incoming, workload, request, arrival, answer.mtls, steps);
  return tcpOutcome(incoming, workload, arrival, answer.mtls, steps);
}

/** Under DISABLE no TLS inspector looks for a name (xds/inbound-listener.ts). Inside the mesh's TLS the application's own is not seen. */
function seenSni({ tls, ownSni = "" }: Greeting, mode: MtlsMode | undefined): string {
  if (mode === "DISABLE") return "";
  return tls.kind === "NONE" ? ownSni : tls.sni;
}

const NOTHING_MORE = { jwt: null, authorization: null, matched: [] } as const;

function withoutSidecar({ tls, request }: Incoming): Outcome {
  const outcome = tls.kind === "NONE" ? "plaintext" : tls.kind === "ISTIO_MUTUAL" ? "mutual_tls" : "tls";
  const { source } = tls;
  const mtls: MtlsAnswer = {
    client: tls.kind,
    client_reason: tls.reason,
    client_source: source,
    server: "NONE",
    server_source: null,
    outcome,
    peer: null,
  };
  const steps: Step[] = [
    { stage: "client_tls", result: tls.kind, reason: tls.reason, source },
    {
      stage: "server_mtls",
      result: "NONE",
      reason: "no WorkloadEntry stands behind the endpoint: what it does with the call is not the mesh's to say",
      source: null,
    },
  ];
  return { ...NOTHING_MORE, verdict: "allow", status: request ? 200 : 0, reason: request ? "200" : "connected", mtls, steps };
}

function listensAt({ address }: InboundPort, called: string): boolean {
  return address === undefined || address === called || address === "0.0.0.0" || address === "::";
}

/** A Sidecar's ingress leaves the port out, or opens it elsewhere: nothing listens there. */
function withoutListener(incoming: Incoming, workload: Workload, port?: InboundPort): Outcome {
  const { steps, ...open } = withoutSidecar(incoming);
  const reason = port
    ? `the Sidecar of ${workload.key} opens the port at ${port.address} only`
    : `the Sidecar of ${workload.key} opens no such port`;
  const source = port?.source ?? workload.inbound.find((one) => one.source)?.source ?? null;
  const status = incoming.request && incoming.viaSidecar ? 503 : 0;
  const closed: Step = { stage: "server_mtls", result: "closed", reason, source };
  return { ...open, verdict: "refused", status, reason: `refused: ${reason}`, steps: [...steps.slice(0, 1), closed] };
}

/** What the HTTP filters of a workload's proxy make of a request. */
export function httpOutcome(
  { mesh, claims, injected, now }: Pick<Incoming, "mesh" | "claims" | "injected" | "now">,
  workload: Workload,
  sent: HttpRequest,
  arrival: Arrival,
  mtls: MtlsAnswer,
  before: readonly Step[],
): Outcome {
  const path = normalizePath(sent.path, mesh.settings.pathNormalization);
  if (path === undefined) {
    const steps = [
      ...before,
      { stage: "application", result: "400", reason: `the server's Envoy refuses the path ${sent.path}`, source: null } as const,
    ];
    return { ...NOTHING_MORE, verdict: "no_route", status: 400, reason: `400: ${sent.path} is no path`, mtls, steps };
  }
  const authentication = mesh.authentication.get(workload.key) ?? { rules: [] };
  const custom = customAt(mesh, workload, "http", { ...arrival, http: withPeer({ ...sent, path }, mtls) });
  const asked = [...before, ...(custom ? authorizationSteps(custom.answer) : [])];
  if (custom?.answer.result === "deny") {
    const reason = `403 ${denial(custom.answer)}`;
    return { verdict: "deny", status: 403, reason, mtls, jwt: null, authorization: custom.answer, steps: asked, matched: custom.matched };
  }
  const jwt: JwtOutcome = authenticate(authentication, { ...sent, path }, { claims, injected, now });
  const steps = [...asked, { stage: "jwt", ...jwt.answer } as const];
  if (!jwt.passes) {
    const { source } = jwt.answer;
    const reason = `${jwt.status} by RequestAuthentication ${source?.namespace}/${source?.name}: ${jwt.answer.reason}`;
    return { verdict: "deny", status: jwt.status, reason, mtls, jwt: jwt.answer, authorization: null, steps, matched: [] };
  }
  const http = withPeer(jwt.request, mtls);
  const full = { ...arrival, http, claims: jwt.claims, spaceDelimitedClaims: jwt.spaceDelimitedClaims };
  const own = authorizeAt(mesh, workload, "http", full);
  const decided = joined(custom, own);
  const all = [...steps, ...authorizationSteps(own.answer)];
  const common = { mtls, jwt: jwt.answer, authorization: decided.answer, matched: decided.matched };
  if (decided.answer.result === "deny")
    return { ...common, verdict: "deny", status: 403, reason: `403 ${denial(decided.answer)}`, steps: all };
  const verified = { claims: jwt.claims, spaceDelimitedClaims: jwt.spaceDelimitedClaims };
  const chosenBy = jwt.answer.result === "valid" ? http : withPeer({ ...sent, path }, mtls);
  const passed = { request: http, chosenBy, claims: jwt.forwarded ? claims : undefined, verified };
  return { ...common, verdict: "allow", status: 200, reason: "200", steps: all, passed };
}

/** What the server's connection manager sets before its filters run (forward_client_cert_details APPEND_FORWARD). */
function withPeer(request: HttpRequest, { peer }: MtlsAnswer): HttpRequest {
  const headers = new Map(request.headers);
  if (peer === null) headers.delete("x-forwarded-client-cert");
  else headers.set("x-forwarded-client-cert", `URI=${peer}`);
  return { ...request, headers };
}

/** The same of a connection. */
export function tcpOutcome(
  { mesh, request, viaSidecar }: Pick<Incoming, "mesh" | "request" | "viaSidecar">,
  workload: Workload,
  arrival: Arrival,
  mtls: MtlsAnswer,
  before: readonly Step[],
): Outcome {
  const custom = customAt(mesh, workload, "tcp", arrival);
  const own = custom?.answer.result === "deny" ? custom : authorizeAt(mesh, workload, "tcp", arrival);
  const decided = own === custom ? own : joined(custom, own);
  const steps = [...before, ...(custom && own !== custom ? authorizationSteps(custom.answer) : []), ...authorizationSteps(own.answer)];
  const common = { mtls, jwt: null, authorization: decided.answer, matched: decided.matched, steps };
  const ok = request ? 200 : 0;
  if (decided.answer.result === "deny")
    return { ...common, verdict: "deny", status: request && viaSidecar ? 503 : 0, reason: `closed ${denial(decided.answer)}` };
  return { ...common, verdict: "allow", status: ok, reason: request ? "200" : "connected" };
}

function customAt(mesh: Mesh, workload: Workload, layer: "http" | "tcp", arrival: Arrival): AuthorizationOutcome | undefined {
  const custom = mesh.authorization.get(workload.key)?.custom;
  return custom && askProvider(custom, layer, arrival);
}

function joined(custom: AuthorizationOutcome | undefined, own: AuthorizationOutcome): AuthorizationOutcome {
  if (!custom) return own;
  const answer = { ...own.answer, policies: [...custom.answer.policies, ...own.answer.policies] };
  return { answer, matched: [...custom.matched, ...own.matched] };
}

function authorizeAt(mesh: Mesh, workload: Workload, layer: "http" | "tcp", arrival: Arrival): AuthorizationOutcome {
  return authorize(mesh.authorization.get(workload.key) ?? { audit: [], deny: [], allow: [] }, layer, arrival);
}

function denial({ policy, rule, reason }: AuthorizationAnswer): string {
  return `by AuthorizationPolicy ${policy}${rule === null ? `: ${reason}` : ` rule ${rule}`}`;
}

function authorizationSteps({ policies, result, reason, source }: AuthorizationAnswer): Step[] {
  const each = policies.map((one): Step => {
    const mode = one.dry_run ? `${one.action}, dry run` : one.action;
    return { stage: "authorization", result: one.result, reason: `${mode} ${one.policy}: ${one.reason}`, source: one.source };
  });
  return [...each, { stage: "authorization", result, reason, source }];
}
