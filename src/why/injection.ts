/** The JWT-SVID that a caller's proxy adds to a call (src/xds/filters/credential-injector.ts), as far as a server can tell it from others. */
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import { issuerOf } from "../mesh/request-authentication.ts";
import { injectionOn } from "../mesh/token-injection.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import type { HttpRequest } from "./route-match.ts";
import type { Step } from "./types.ts";

export interface Injected {
  /** In lower case. */
  readonly header: string;
  /** Stands for a token that the trust domain's authority signed: its claims are what that one's would be. */
  readonly token: string;
  /** Whose keys verify it. */
  readonly issuer: string;
}

/** undefined where a call carries none. */
export function inject(
  { injections, settings }: Mesh,
  caller: Workload,
  cluster: OutboundCluster,
  request: HttpRequest,
  now: number,
): { readonly request: HttpRequest; readonly injected: Injected; readonly step: Step } | undefined {
  const injection = injectionOn(injections.get(caller.key), cluster);
  if (!injection || !caller.spiffeId) return undefined;
  const { header, source } = injection;
  const { audience, prefix } = injection.token;
  const issuer = issuerOf(settings.trustDomain);
  const second = Math.floor(now / 1000);
  const token = standIn({ iss: issuer, sub: caller.spiffeId, aud: [audience], iat: second, exp: second + 60 });
  const replaced = request.headers.has(header) ? ", in place of what the application sends there" : "";
  const reason = `the caller's sidecar adds a JWT-SVID of ${caller.spiffeId} for ${audience} as ${header}${replaced}`;
  return {
    request: { ...request, headers: new Map([...request.headers, [header, `${prefix}${token}`]]) },
    injected: { header, token, issuer },
    step: { stage: "token", result: audience, reason, source },
  };
}

function standIn(claims: Readonly<Record<string, unknown>>): string {
  const parts = [JSON.stringify({ alg: "ES256", typ: "JWT" }), JSON.stringify(claims), "signed by the trust domain"];
  return parts.map((part) => Buffer.from(part).toString("base64url")).join(".");
}
