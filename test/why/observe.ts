/** What became of a request on real Envoys, in the words of `weft why`. */
import { tcpExchange } from "../../scripts/lib/lab/call.ts";
import type { Verdict } from "../../src/why/index.ts";
import type { Arena } from "./arena.ts";
import { clientHello } from "./client-hello.ts";
import type { Asked } from "./generate.ts";
import { GATEWAY } from "./ground.ts";
import { type RawAnswer, rawCall } from "./raw-call.ts";

export interface Observed {
  readonly verdict: Verdict | "timed_out" | "unknown";
  /** 0 without an answer, and on TCP. */
  readonly status: number;
  /** The workload whose application answered. */
  readonly workload?: string;
  /** What the application got. */
  readonly path?: string;
  readonly authority?: string;
  readonly location?: string;
  /** How often the caller's sidecar tried. */
  readonly attempts?: number;
  /** For people. */
  readonly evidence: string;
}

/** More than five bytes: with less, Envoy cannot tell plaintext from the beginning of a TLS record, and waits. */
const PING = "ping pong";

/** The first byte of a TLS handshake. */
const TLS_RECORD = "\x16";

export async function observe(arena: Arena, asked: Asked): Promise<Observed> {
  const port = Number(/:(\d+)$/.exec(asked.to)?.[1] ?? 0);
  const at = asked.from === GATEWAY ? GATEWAY : asked.at;
  const direct = at === undefined ? undefined : arena.inbound(at, port);
  if (asked.tcp) {
    const bytes = asked.tls ? clientHello(asked.to.replace(/:\d+$/, "")) : PING;
    return observeTcp(await tcpExchange(direct ?? arena.tcpOutbound(asked.from, port), bytes));
  }
  const headers = [["host", asked.to] as const, ...Object.entries(asked.headers)];
  return observeHttp(await rawCall(direct ?? arena.outbound(asked.from), { method: asked.method, path: asked.path, headers }));
}

function observeTcp({ reply, error }: { readonly reply?: string; readonly error?: string }): Observed {
  // The echo gives back what came, which of a TLS client is no text.
  const [, workload] = new RegExp(`^([a-z\\d-]+): (?:${PING}$|${TLS_RECORD})`).exec(reply ?? "") ?? [];
  if (workload !== undefined) return { verdict: "allow", status: 0, workload, evidence: `${workload} answered` };
  // From outside a denied connection and a refused one look alike: both end.
  return { verdict: error === "timeout" ? "unknown" : "deny", status: 0, evidence: `the connection ended (${error})` };
}

function observeHttp(answer: RawAnswer): Observed {
  const { status, headers, body, error } = answer;
  const evidence = `${status} ${error ?? ""} ${JSON.stringify(body.slice(0, 200))} ${headers.location ?? ""}`;
  const workload = headers["x-instance"];
  if (workload !== undefined) {
    const echo = JSON.parse(body) as { path: string; query: string; headers: Record<string, string> };
    return {
      verdict: "allow",
      status,
      workload,
      path: echo.path + echo.query,
      authority: echo.headers.host,
      attempts: Number(echo.headers["x-envoy-attempt-count"]) || undefined,
      evidence: `${status} from ${workload} with ${echo.path}${echo.query}`,
    };
  }
  return { verdict: verdictOf(answer), status, location: headers.location, evidence };
}

/** By Envoy's own words. */
function verdictOf({ status, headers, body }: RawAnswer): Observed["verdict"] {
  if (status === 0) return "refused";
  if (body === "RBAC: access denied") return "deny";
  // A preflight's answer.
  if (status === 200 && body === "" && headers["grpc-status"] === undefined) return "direct_response";
  if ((status === 401 && /^jw/i.test(body)) || body === "Audiences in Jwt are not allowed") return "deny";
  if (body === "fault filter abort") return "fault";
  if (status === 504 && body === "upstream request timeout") return "timed_out";
  if (body === "direct") return "direct_response";
  if (headers.location !== undefined) return "redirect";
  if (body.startsWith("upstream connect error")) return "refused";
  // 404 without a route, 503 without a cluster or an endpoint, 400 for a path that is none.
  if (body === "" || body === "no healthy upstream" || body === "Bad Request")
    return headers["grpc-status"] === undefined ? "no_route" : "fault";
  return "unknown";
}
