/** What every route of the admin API shares: its surroundings, strict query parameters, replies. */
import type { Context } from "hono";
import type { Clock } from "../lib/clock.ts";
import { parsePeriod } from "../lib/duration.ts";
import { WeftError } from "../lib/errors.ts";
import type { PeerCredentials } from "../lib/peer-credentials.ts";
import { readNamespace } from "../model/index.ts";
import { nearest } from "../model/suggest.ts";
import type { SpanContext } from "../telemetry/tracing.ts";
import { parentFromHeaders } from "../telemetry/tracing.ts";
import type { Principal } from "./access.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Concurrency } from "./limits.ts";

/** How the request came in: on the Unix socket, which only its owner can open, over TCP, with or without TLS, or through weft's own sidecar. */
export type Transport = "unix" | "tcp" | "tls" | "mesh";

/** Who asks, in the words of the audit (lib/audit.ts). */
export interface Caller {
  readonly who: string;
  /** The door and the peer: "admin.sock", "admin 127.0.0.1". */
  readonly from: string;
}

export interface AdminEnv {
  Bindings: {
    readonly transport: Transport;
    /** Of a TCP peer. */
    readonly address?: string;
    /** Of a TLS peer, or of the sidecar: what it presented, DER, its own certificate first; it holds the key, nothing else is known. */
    readonly certificates?: readonly Uint8Array[];
    /** Of a peer on the Unix socket, where the kernel tells. */
    readonly peer?: PeerCredentials;
    /** Whether it is an Envoy, which acts for others. */
    readonly isEnvoy?: Promise<boolean>;
  };
  /** Set once somebody proved who they are. */
  Variables: {
    principal?: Principal;
    /** Whether that proof is good still, for calls that last; absent where it cannot end before weft does. */
    stands?: () => boolean;
  };
}

export type AdminContext = Context<AdminEnv>;

export interface RouteContext {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly version: string;
  readonly concurrency: Concurrency;
  /** Aborts when the server stops: ends the watches. */
  readonly stopping: AbortSignal;
}

export const callerOf = (c: AdminContext): Caller => ({ who: c.get("principal")?.who ?? "unknown", from: doorOf(c.env) });

function doorOf({ transport, address = "unknown", peer }: AdminEnv["Bindings"]): string {
  switch (transport) {
    case "unix":
      return peer ? `admin.sock (pid ${peer.pid})` : "admin.sock";
    case "mesh":
      return "admin (own sidecar)";
    case "tls":
      return `admin (TLS) ${address}`;
    case "tcp":
      return `admin ${address}`;
  }
}

/** @throws WeftError "unauthenticated": on a path that needs none, nobody proved who they are */
export function principalOf(c: AdminContext): Principal {
  const principal = c.get("principal");
  if (!principal) throw new WeftError("unauthenticated", "This call needs to know who asks");
  return principal;
}

export const parentOf = (c: AdminContext): SpanContext | undefined =>
  parentFromHeaders(c.req.header("traceparent"), c.req.header("tracestate"));

/**
 * The query parameters, which must all be known: a misspelt `dryRun` must not become an apply.
 * @throws WeftError "invalid"
 */
export function queryOf<const Name extends string>(c: AdminContext, known: readonly Name[]): Partial<Record<Name | "pretty", string>> {
  const names: readonly string[] = [...known, "pretty"];
  const query: Record<string, string> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (!names.includes(name)) {
      const guess = nearest(name, names);
      throw new WeftError("invalid", `There is no query parameter "${name}" here${guess ? `: did you mean "${guess}"?` : ""}`, {
        help: known.length > 0 ? `known here: ${names.join(", ")}` : "this call takes none but pretty",
      });
    }
    if (values.length > 1) throw new WeftError("invalid", `Query parameter "${name}" is given ${values.length} times`);
    query[name] = values[0] ?? "";
  }
  return query as Partial<Record<Name | "pretty", string>>;
}

/** "", "true" and "1" are true. @throws WeftError "invalid" */
export function flagOf(value: string | undefined, name: string): boolean {
  if (value === undefined || value === "false" || value === "0") return false;
  if (value === "" || value === "true" || value === "1") return true;
  throw new WeftError("invalid", `Query parameter "${name}" must be true or false, not "${value}"`);
}

/** A revision: a whole number from 0. @throws WeftError "invalid" */
export function revisionOf(value: string, name: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new WeftError("invalid", `${name} must be a revision (a whole number), not "${value}"`);
  return Number(value);
}

/** "NS/NAME", or "NAME" in namespace default. @throws WeftError "invalid" */
export function workloadOf(text: string): { namespace: string; name: string } {
  const parts = text.split("/");
  const [namespace, name] = parts.length === 1 ? ["default", parts[0]] : parts;
  if (parts.length > 2 || !namespace || !name) {
    throw new WeftError("invalid", `"${text}" names no workload`, { help: "write NAMESPACE/NAME, or NAME for one in namespace default" });
  }
  return { namespace: readNamespace(namespace), name };
}

/** Whole seconds from a duration such as "1h". @throws WeftError "invalid" */
export function secondsOf(text: string, name: string): number {
  const milliseconds = parsePeriod(text);
  if (milliseconds === undefined || milliseconds < 1000) {
    throw new WeftError("invalid", `${name} must be a duration of a second or more, such as "1h" or "7d", not "${text}"`);
  }
  return Math.floor(milliseconds / 1000);
}

/** JSON on one line with a line end, so that a terminal's prompt starts on its own; indented with ?pretty. */
export function reply(c: AdminContext, value: unknown, status: 200 | 201 = 200, headers: Readonly<Record<string, string>> = {}): Response {
  const pretty = flagOf(c.req.query("pretty"), "pretty");
  return new Response(`${JSON.stringify(value, null, pretty ? 2 : undefined)}\n`, {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}
