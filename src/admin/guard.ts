/**
 * Who may call. The Unix socket's file mode (0600) is its proof. On TCP a token is, with TLS also an X.509-SVID that the configuration names. Through
 * weft's own sidecar that SVID is the caller's, by the sidecar's word, and the sidecar proves itself. And because a browser on the same machine can reach a
 * loopback port too, Host and Origin are checked: a page must not reach weft by a name of its own that it points at 127.0.0.1 (DNS
 * rebinding), nor send requests across origins. There are no CORS headers.
 */
import type { MiddlewareHandler } from "hono";
import { WeftError } from "../lib/errors.ts";
import { isLoopback } from "../lib/loopback.ts";
import type { PeerCredentials } from "../lib/peer-credentials.ts";
import { checkAccess, type Principal } from "./access.ts";
import type { AdminEnv } from "./context.ts";
import type { RateLimit } from "./limits.ts";
import { principalOfSvid, type SvidPrincipal } from "./svid-principals.ts";

/** Probes and scrapers come without a token, as does who wants to know whom to trust; nothing secret is there. */
export const OPEN: ReadonlySet<string> = new Set(["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json", "/v1/bundle"]);

/** What becomes of a call that its sender had no right to, or that could not be read so far as to know. */
const STRANGERS: ReadonlySet<string> = new Set(["unauthenticated", "invalid", "too_large"]);

/** Calls that take other tokens than the admin's: a WorkloadGroup's, an instance's. They verify them. */
const OTHERS_TOO = /^\/v1\/(registrations|proxies\/[^/]+\/[^/]+\/health)$/;

/** The host of "host:port", in lower case; an IPv6 address keeps its brackets. */
function hostname(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "");
}

export interface GuardOptions {
  /** In constant time. */
  readonly adminToken: { matches(presented: string): boolean };
  /** Whose access token it is; undefined where it is none. @throws WeftError "unauthenticated" where it ended */
  readonly authenticate: (presented: string) => Principal | undefined;
  /**
   * Whose certificate it is that a TLS peer presented; nobody's where absent.
   * @throws WeftError "unauthenticated" saying what is wrong with it
   */
  readonly identify?: (certificates: readonly Uint8Array[]) => { readonly spiffeId: string };
  /** weft's own: who proves it at the door of its own sidecar is that sidecar. */
  readonly ownSpiffeId?: string;
  /** Whose X.509-SVIDs are taken, read at each request, so that a reload can change them; nobody's where absent. */
  readonly adminPrincipals?: () => readonly SvidPrincipal[];
  /** Of addresses whose callers prove nothing. */
  readonly unknownRate: RateLimit;
  /** Of access tokens. */
  readonly tokenRate: RateLimit;
  /** Names besides loopback's under which people reach this API, without port. */
  readonly hosts: () => readonly string[];
}

/** Of a peer of whom the kernel says nothing: the socket's file mode is the proof. */
const OWNER: Principal = { who: "unix socket", role: "admin", namespaces: [] };
const ADMIN_TOKEN: Principal = { who: "admin token", role: "admin", namespaces: [] };

export function guard({
  adminToken,
  authenticate,
  identify,
  ownSpiffeId,
  adminPrincipals,
  unknownRate,
  tokenRate,
  hosts,
}: GuardOptions): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    if (c.env.transport === "unix") {
      if (!OPEN.has(c.req.path)) await refuseProxies(c.env.isEnvoy, c.req.raw.headers);
      c.set("principal", c.env.peer ? ownerOf(c.env.peer) : OWNER);
      return next();
    }
    const host = c.req.header("host") ?? "";
    const name = hostname(host);
    const inMesh = c.env.transport === "mesh";
    // Before anything that the request says of itself is believed.
    if (inMesh) checkSidecar(c.env.certificates ?? [], identify, ownSpiffeId);
    // In the mesh a name leads to whoever can prove the service's identity, wherever its owner points it.
    if (!inMesh && !isLoopback(name) && !hosts().some((allowed) => allowed.toLowerCase() === name)) {
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
    if (presented !== undefined && adminToken.matches(presented)) {
      c.set("principal", ADMIN_TOKEN);
      return next();
    }
    const caller = inMesh ? callerOfSidecar(c.req.header("x-forwarded-client-cert")) : undefined;
    const address = inMesh ? (caller ?? "own sidecar") : (c.env.address ?? "");
    // Counted afterwards: who holds a good token does not wait for those who try bad ones from the same address.
    const failed = () => {
      unknownRate.check(address);
      unknownRate.take(address);
    };
    const prove = () => {
      const { certificates = [] } = c.env;
      if (presented !== undefined) return authenticate(presented);
      if (inMesh) return caller === undefined ? undefined : named(caller, adminPrincipals?.() ?? []);
      return identify && certificates.length > 0 ? named(identify(certificates).spiffeId, adminPrincipals?.() ?? []) : undefined;
    };
    let principal: Principal | undefined;
    try {
      principal = prove();
      if (!principal && presented !== undefined && OTHERS_TOO.test(c.req.path)) {
        await next();
        if (c.error && STRANGERS.has(WeftError.from(c.error).code)) failed();
        return;
      }
      if (!principal) {
        throw new WeftError("unauthenticated", presented ? "The token is none of this weft's" : "This call needs a token", {
          help:
            'send "Authorization: Bearer TOKEN", the admin token (weft token) or one with a role (weft access create); over TLS and in the mesh an X.509-SVID of ' +
            "adminPrincipals does; the Unix socket admin.sock in the data directory needs neither",
        });
      }
    } catch (reason) {
      failed();
      throw reason;
    }
    c.set("principal", principal);
    c.set("stands", stillProves(principal, prove));
    tokenRate.check(principal.who);
    tokenRate.take(principal.who);
    checkAccess(c, principal);
    return next();
  };
}

/** Whether the proof that was good at the start of a call is good now, and of the same rights: a token may be revoked, a certificate run out. */
function stillProves({ who }: Principal, prove: () => Principal | undefined): () => boolean {
  return () => {
    try {
      return prove()?.who === who;
    } catch {
      return false;
    }
  };
}

/** @throws WeftError "forbidden": whoever this is, it is not weft's own sidecar, and what it says of callers is worth nothing */
function checkSidecar(certificates: readonly Uint8Array[], identify: GuardOptions["identify"], own: string | undefined): void {
  if (certificates.length > 0 && own !== undefined && identify?.(certificates).spiffeId === own) return;
  throw new WeftError("forbidden", "This socket is for weft's own sidecar, which proves itself by weft's X.509-SVID", {
    help: "call the service weft.weft-system through a sidecar of the mesh, or use admin.sock",
  });
}

/** Who called the sidecar by mutual TLS, as its route says (xds/inbound-route.ts): one SPIFFE ID and nothing else; undefined in plaintext. */
function callerOfSidecar(header: string | undefined): string | undefined {
  return /^URI=(spiffe:\/\/[A-Za-z0-9._/-]+)$/.exec(header ?? "")?.[1];
}

/** @throws WeftError "unauthenticated": to strangers, and to most workloads of the mesh, this API says no more than that */
function named(spiffeId: string, principals: readonly SvidPrincipal[]): Principal {
  const principal = principalOfSvid(spiffeId, principals);
  if (principal) return principal;
  throw new WeftError("unauthenticated", `${spiffeId} is no principal of the admin API`, {
    help: "name it in adminPrincipals of the configuration file (or WEFT_ADMIN_PRINCIPALS): SPIFFEID=ROLE",
  });
}

/**
 * Whoever writes ServiceEntries leads Envoys to Unix sockets, and an Envoy of the owner's may open this one: that proves nothing of who called that Envoy.
 * Where the kernel does not say what the peer is (another pid namespace's), the headers may, which Envoy's router adds to what it passes on.
 * @throws WeftError "forbidden"
 */
async function refuseProxies(isEnvoy: Promise<boolean> | undefined, headers: Headers): Promise<void> {
  if (!(await isEnvoy) && ![...headers.keys()].some((name) => name.startsWith("x-envoy-"))) return;
  throw new WeftError("forbidden", "The admin socket is its owner's, and this call comes through an Envoy, which calls for others", {
    help: "call the admin API on TCP with a token, or the service weft.weft-system in the mesh; if nobody meant to, weft audit says who leads proxies to unix:// sockets",
  });
}

/** Root, and the user that weft runs as, own what weft owns. @throws WeftError "forbidden" for others, whatever the mode of the socket's file */
function ownerOf({ uid }: PeerCredentials): Principal {
  if (uid === 0 || uid === process.getuid?.()) return { ...OWNER, who: `uid ${uid}` };
  throw new WeftError("forbidden", `The admin socket is for uid ${process.getuid?.()} and root, not for uid ${uid}`, {
    help: "make admin.sock 0600 again, and use an access token on TCP: weft access create NAME --role ROLE",
  });
}

/** On every answer: nothing is cached, framed, sniffed or scripted. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
