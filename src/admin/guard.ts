/**
 * Who may call. The Unix socket's file mode (0600) is its proof. On TCP a token is; and because a browser on the same machine can reach a
 * loopback port too, Host and Origin are checked: a page must not reach weft by a name of its own that it points at 127.0.0.1 (DNS
 * rebinding), nor send requests across origins. There are no CORS headers.
 */
import type { MiddlewareHandler } from "hono";
import { WeftError } from "../lib/errors.ts";
import { isLoopback } from "../lib/loopback.ts";
import type { AdminEnv } from "./context.ts";

/** Probes and scrapers come without a token; nothing secret is there. */
const OPEN = new Set(["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"]);

/** Calls that take other tokens than the admin's: a WorkloadGroup's, an instance's. They verify them. */
const OTHERS_TOO = /^\/v1\/(registrations|proxies\/[^/]+\/[^/]+\/health)$/;

/** The host of "host:port", in lower case; an IPv6 address keeps its brackets. */
function hostname(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "");
}

export interface GuardOptions {
  /** In constant time. */
  readonly adminToken: { matches(presented: string): boolean };
  /** Names besides loopback's under which people reach this API, without port. */
  readonly hosts: () => readonly string[];
}

export function guard({ adminToken, hosts }: GuardOptions): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    c.set("isAdmin", c.env.transport === "unix");
    if (c.env.transport === "unix") return next();
    const host = c.req.header("host") ?? "";
    const name = hostname(host);
    if (!isLoopback(name) && !hosts().some((allowed) => allowed.toLowerCase() === name)) {
      throw new WeftError("forbidden", `The admin API does not answer to the name "${name}"`, {
        help: "call it by a loopback address, or add the name to adminHosts in the configuration file (or WEFT_ADMIN_HOSTS)",
      });
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw new WeftError("forbidden", `The admin API takes no requests from pages of ${origin}`);
    }
    if (OPEN.has(c.req.path)) return next();
    const [, presented] = /^bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
    c.set("isAdmin", presented !== undefined && adminToken.matches(presented));
    if (!c.get("isAdmin") && !(presented !== undefined && OTHERS_TOO.test(c.req.path))) {
      throw new WeftError("unauthenticated", presented ? "The admin token is not this weft's" : "This call needs the admin token", {
        help: 'send "Authorization: Bearer $(weft token)", or use the Unix socket admin.sock in the data directory, which needs none',
      });
    }
    return next();
  };
}

/** On every answer: nothing is cached, framed, sniffed or scripted. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
