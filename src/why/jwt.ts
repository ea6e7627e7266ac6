/**
 * What RequestAuthentication makes of a request's tokens (Istio, policy_applier.go convertToEnvoyJwtConfig; envoy, jwt_authn): it passes when one
 * rule accepts a token, or when every rule accepts it or finds none; else it ends with 401.
 */
import type { JwtRule, WorkloadAuthentication } from "../mesh/request-authentication.ts";
import type { Claims } from "./condition.ts";
import { isPreflight } from "./cors.ts";
import type { Injected } from "./injection.ts";
import { keyError, parseToken, timeError } from "./jwt-verify.ts";
import { queryParameters, withoutParameter } from "./path.ts";
import type { HttpRequest } from "./route-match.ts";
import type { JwtAnswer } from "./types.ts";

export interface JwtOutcome {
  readonly answer: JwtAnswer;
  readonly passes: boolean;
  /** Where it does not pass: 403 for a token that is meant for others, else 401 (envoy, jwt_authn filter.cc). */
  readonly status: 401 | 403;
  /** Of the token that counts. */
  readonly claims?: Claims;
  readonly spaceDelimitedClaims: readonly string[];
  /** The request as it goes on: without a token that is not forwarded, with the headers that a rule sets. */
  readonly request: HttpRequest;
  /** Whether the token that counts goes on with the request. */
  readonly forwarded: boolean;
}

interface Verdict {
  readonly rule: JwtRule;
  readonly state: "valid" | "missing" | "invalid";
  readonly status?: 403;
  readonly reason: string;
  readonly claims?: Claims;
  /** The header that held the token, or the parameter. */
  readonly header?: string;
  readonly parameter?: string;
}

export interface Known {
  /** Told by the asker, as of a verified token. */
  readonly claims?: Claims;
  /** The token that the caller's sidecar added: where a rule looks there, what the application sent never arrives. */
  readonly injected?: Injected;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export function authenticate({ rules }: WorkloadAuthentication, request: HttpRequest, known: Known): JwtOutcome {
  const { claims, injected } = known;
  const none = { passes: true, status: 401, spaceDelimitedClaims: [], request, forwarded: true } as const;
  if (rules.length === 0) {
    if (!claims) return { ...none, answer: { result: "none", reason: "no RequestAuthentication selects the workload", source: null } };
    const reason = "no RequestAuthentication selects the workload: its tokens are not looked at, and their claims mean nothing";
    return { ...none, answer: { result: "ignored", reason, source: null } };
  }
  // bypass_cors_preflight: browsers send no token with it.
  if (isPreflight(request)) {
    const reason = "the request is a CORS preflight, which needs no token";
    return { ...none, answer: { result: "ignored", reason, source: rules[0]?.source ?? null } };
  }
  const verdicts: Verdict[] = [];
  let left = request;
  for (const rule of rules) {
    left = withoutOutput(rule, left);
    const isReplaced = rule.locations.headers.some(({ name }) => name.toLowerCase() === injected?.header);
    verdicts.push(claims && !isReplaced ? ofClaims(rule, claims, rules) : ofRequest(rule, left, known));
    if (verdicts.at(-1)?.state === "valid") break;
  }
  const valid = verdicts.find(({ state }) => state === "valid");
  const invalid = verdicts.find(({ state }) => state === "invalid");
  if (valid) {
    return {
      answer: { result: "valid", reason: valid.reason, source: valid.rule.source },
      passes: true,
      status: 401,
      claims: valid.claims,
      spaceDelimitedClaims: valid.rule.spaceDelimitedClaims,
      request: withOutput(valid, left),
      forwarded: valid.rule.forwardOriginalToken,
    };
  }
  if (invalid)
    return {
      ...none,
      passes: false,
      status: invalid.status ?? 401,
      answer: { result: "invalid", reason: invalid.reason, source: invalid.rule.source },
    };
  const [first] = rules;
  return { ...none, request: left, answer: { result: "missing", reason: "the request carries no token", source: first?.source ?? null } };
}

/** Headers that tell of an accepted token are no client's to send: they go before a rule looks for its token (envoy, jwt_authn extractor.cc). */
function withoutOutput({ outputPayloadToHeader, outputClaimToHeaders }: JwtRule, request: HttpRequest): HttpRequest {
  const names = [outputPayloadToHeader ?? "", ...outputClaimToHeaders.map(({ header }) => header)].map((name) => name.toLowerCase());
  if (!names.some((name) => request.headers.has(name))) return request;
  return { ...request, headers: new Map([...request.headers].filter(([name]) => !names.includes(name))) };
}

/** A claim iss that is not told is the rule's own, where there is one rule to choose from. */
function ofClaims(rule: JwtRule, told: Claims, rules: readonly JwtRule[]): Verdict {
  const claims = told.iss === undefined && rules.length === 1 && rule.issuer ? { iss: rule.issuer, ...told } : told;
  const error = issuerError(rule, claims) ?? audienceError(rule, claims) ?? svidError(rule, claims);
  return error
    ? { rule, state: "invalid", reason: error, status: statusOf(rule, claims) }
    : { rule, state: "valid", reason: `a token of ${String(claims.iss)}, as told`, claims };
}

function issuerError({ issuer }: JwtRule, claims: Claims): string | undefined {
  return issuer && claims.iss !== issuer ? `the token's issuer is ${JSON.stringify(claims.iss ?? "")}, not ${issuer}` : undefined;
}

function statusOf(rule: JwtRule, claims: Claims): 403 | undefined {
  return issuerError(rule, claims) === undefined && audienceError(rule, claims) !== undefined ? 403 : undefined;
}

function audienceError({ audiences }: JwtRule, claims: Claims): string | undefined {
  const given = [claims.aud].flat().filter((one) => typeof one === "string");
  const plain = (audience: string) => audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
  if (audiences.length > 0 && !audiences.some((audience) => given.some((one) => plain(one) === plain(audience)))) {
    return `the token's audience is ${JSON.stringify(claims.aud ?? "")}, not ${audiences.join(" or ")}`;
  }
  return undefined;
}

/** What JWT-SVIDs must say besides (request-authentication.ts). */
function svidError({ keys: { authority }, audiences }: JwtRule, { sub }: Claims): string | undefined {
  if (authority === undefined) return undefined;
  if (audiences.length === 0) return "the rule names no audiences, and a JWT-SVID is for one";
  const isOwn = typeof sub === "string" && sub.startsWith(`${authority}/`);
  return isOwn ? undefined : `the token's subject is ${JSON.stringify(sub ?? "")}, and ${authority} vouches for its own identities only`;
}

/** 0 is no time to Envoy. */
function expiryError({ keys: { authority } }: JwtRule, { exp }: Claims): string | undefined {
  return authority === undefined || (typeof exp === "number" && exp >= 1) ? undefined : "the token has no expiry, and a JWT-SVID has one";
}

function ofRequest(rule: JwtRule, request: HttpRequest, { injected, now }: Known): Verdict {
  const found = tokensOf(rule, request);
  let failed: Verdict | undefined;
  for (const { text, header, parameter } of found) {
    const token = parseToken(text);
    if (!token) {
      failed ??= { rule, state: "invalid", reason: "the token is no JWT" };
      continue;
    }
    const { claims } = token;
    // Envoy looks at the times before the audience, and at the keys last (jwt_authn, authenticator.cc).
    const early = issuerError(rule, claims) ?? timeError(claims, now);
    const late = audienceError(rule, claims) ?? svidError(rule, claims) ?? expiryError(rule, claims);
    const reason = early ?? late ?? (text === injected?.token ? authorityError(rule, injected) : keyError(token, rule.keys));
    if (!reason) return { rule, state: "valid", reason: `a token of ${String(claims.iss)}`, claims, header, parameter };
    failed ??= { rule, state: "invalid", reason, status: early ? undefined : statusOf(rule, claims) };
  }
  return failed ?? { rule, state: "missing", reason: "no token" };
}

interface FoundToken extends Pick<Verdict, "header" | "parameter"> {
  readonly text: string;
}

/** Of a token that the trust domain signed, whose keys need not be known here: offline nobody has them. */
function authorityError({ keys }: JwtRule, { issuer }: Injected): string | undefined {
  return keys.authority === issuer ? undefined : `the token is signed by the keys of ${issuer}, and the rule has others`;
}

function tokensOf({ locations }: JwtRule, { headers, path }: HttpRequest): FoundToken[] {
  const inHeaders = locations.headers.flatMap(({ name, prefix }) => {
    const value = headers.get(name.toLowerCase());
    const at = value?.indexOf(prefix) ?? -1;
    if (value === undefined || at < 0) return [];
    return [{ text: value.slice(at + prefix.length).trim(), header: name.toLowerCase() }];
  });
  const parameters = queryParameters(path);
  const inParameters = locations.params.flatMap((name) => {
    const text = parameters.get(name);
    return text === undefined ? [] : [{ text, parameter: name }];
  });
  const cookies = new Map(
    (headers.get("cookie") ?? "").split(";").map((part) => {
      const [name = "", ...value] = part.trim().split("=");
      return [name, value.join("=")] as const;
    }),
  );
  const inCookies = locations.cookies.flatMap((name) => {
    const text = cookies.get(name);
    return text === undefined ? [] : [{ text }];
  });
  return [...inHeaders, ...inParameters, ...inCookies];
}

function withOutput({ rule, claims = {}, header, parameter }: Verdict, request: HttpRequest): HttpRequest {
  const headers = new Map(request.headers);
  if (!rule.forwardOriginalToken && header) headers.delete(header);
  if (rule.outputPayloadToHeader) {
    headers.set(rule.outputPayloadToHeader.toLowerCase(), Buffer.from(JSON.stringify(claims)).toString("base64url"));
  }
  for (const { header: name, claim } of rule.outputClaimToHeaders) {
    let value: unknown = claims;
    for (const part of claim.split(".")) value = typeof value === "object" && value !== null ? (value as Claims)[part] : undefined;
    if (["string", "number", "boolean"].includes(typeof value)) headers.set(name.toLowerCase(), String(value));
  }
  const isTaken = !rule.forwardOriginalToken && parameter !== undefined;
  return { ...request, path: isTaken ? withoutParameter(request.path, parameter) : request.path, headers };
}
