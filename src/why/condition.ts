/** Whether one condition of an authorization policy is met (envoy, source/extensions/filters/common/rbac/matchers.cc). */
import type { Condition, TextMatch } from "../mesh/authorization-condition.ts";
import { contains } from "./cidr.ts";
import { withoutQuery } from "./path.ts";
import { matchesTemplate } from "./path-template.ts";
import { type HttpRequest, headerOf } from "./route-match.ts";
import { describeText, matchesText } from "./text-match.ts";

export type Claims = Readonly<Record<string, unknown>>;

/** A connection or a request as the server's filters see it. */
export interface Arrival {
  /** SPIFFE ID of the peer's verified certificate. */
  readonly peer?: string;
  /** All names of that certificate, where it has others; each of them counts. */
  readonly peers?: readonly string[];
  readonly sourceIp?: string;
  readonly destinationIp: string;
  readonly destinationPort: number;
  /** "" without TLS. */
  readonly sni: string;
  /** Absent on TCP. */
  readonly http?: HttpRequest;
  /** Of the token that RequestAuthentication accepted. */
  readonly claims?: Claims;
  /** Claims whose text is a list, split at spaces. */
  readonly spaceDelimitedClaims?: readonly string[];
}

export function isMet(condition: Condition, arrival: Arrival): boolean {
  switch (condition.kind) {
    case "principal":
      return (arrival.peers ?? [arrival.peer]).some((name) => name !== undefined && matchesText(condition.match, name));
    case "source-ip":
      return arrival.sourceIp !== undefined && contains(condition.cidr, arrival.sourceIp);
    case "remote-ip": {
      const remote = remoteIp(arrival);
      return remote !== undefined && contains(condition.cidr, remote);
    }
    case "destination-ip":
      return contains(condition.cidr, arrival.destinationIp);
    case "destination-port":
      return arrival.destinationPort === condition.port;
    case "sni":
      return matchesText(condition.match, arrival.sni);
    case "header": {
      const value = arrival.http && headerOf(arrival.http, condition.name);
      return value !== undefined && matchesText(condition.match, value);
    }
    case "path":
      return arrival.http !== undefined && matchesText(condition.match, withoutQuery(arrival.http.path));
    case "path-template":
      return arrival.http !== undefined && matchesTemplate(condition.template, withoutQuery(arrival.http.path));
    case "request-principal":
      return isText(arrival.claims?.iss, condition.issuer) && isText(arrival.claims?.sub, condition.subject);
    case "claim":
      return claimMatches(claimAt(arrival, condition.path), condition.match);
    case "metadata":
      // Written by filters that weft does not configure.
      return false;
  }
}

/** The last address of x-forwarded-for, else the connection's: sidecars trust the header (use_remote_address is off). */
function remoteIp({ http, sourceIp }: Arrival): string | undefined {
  const last = http?.headers.get("x-forwarded-for")?.split(",").at(-1)?.trim();
  return last && /^[0-9a-fA-F:.]+$/.test(last) ? last : sourceIp;
}

function isText(value: unknown, match: TextMatch): boolean {
  return typeof value === "string" && matchesText(match, value);
}

/** Claims of a token that was accepted, and which of them are lists written as text. */
export interface VerifiedClaims {
  readonly claims?: Claims;
  readonly spaceDelimitedClaims?: readonly string[];
}

export function claimAt({ claims, spaceDelimitedClaims = [] }: VerifiedClaims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  const [only = "", ...deeper] = path;
  const isList = typeof value === "string" && deeper.length === 0 && spaceDelimitedClaims.includes(only);
  return isList ? String(value).split(" ") : value;
}

function claimMatches(value: unknown, match: TextMatch): boolean {
  return Array.isArray(value) ? value.some((one) => isText(one, match)) : isText(value, match);
}

/** "source.principal is absent, not prefix "spiffe://mesh.local/ns/default"" */
export function describeCondition(condition: Condition): string {
  switch (condition.kind) {
    case "source-ip":
    case "remote-ip":
    case "destination-ip":
      return `${condition.cidr.address}/${condition.cidr.prefixLength}`;
    case "destination-port":
      return String(condition.port);
    case "path-template":
      return `template ${condition.template}`;
    case "request-principal":
      return `issuer ${describeText(condition.issuer)} with subject ${describeText(condition.subject)}`;
    default:
      return describeText(condition.match);
  }
}

/** What the arrival has, where the condition looks. */
export function describeArrival(condition: Condition, arrival: Arrival): string {
  const quoted = (value: unknown) => (value === undefined ? "absent" : JSON.stringify(value));
  switch (condition.kind) {
    case "principal":
      return arrival.peer ?? "absent (no client certificate)";
    case "source-ip":
      return arrival.sourceIp ?? "unknown (tell it with the source address)";
    case "remote-ip":
      return remoteIp(arrival) ?? "unknown (tell it with the source address)";
    case "destination-ip":
      return arrival.destinationIp;
    case "destination-port":
      return String(arrival.destinationPort);
    case "sni":
      return quoted(arrival.sni);
    case "header":
      return quoted(arrival.http && headerOf(arrival.http, condition.name));
    case "path":
    case "path-template":
      return arrival.http ? withoutQuery(arrival.http.path) : "absent";
    case "request-principal":
      return arrival.claims ? `${String(arrival.claims.iss)}/${String(arrival.claims.sub)}` : "absent (no accepted token)";
    case "claim":
      return arrival.claims ? quoted(claimAt(arrival, condition.path)) : "absent (no accepted token)";
    case "metadata":
      return "absent";
  }
}
