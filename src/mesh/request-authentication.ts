/**
 * RequestAuthentication: which tokens (JWTs) each workload takes, as the rules that xds turns into Envoy's JWT filter and `weft why` evaluates.
 *
 * Policies of the root namespace reach every namespace, with their selectors; those of the workload's namespace add up with them, and all of
 * their rules hold together. A request passes when one rule accepts a token of it, or when every rule accepts it or finds none in its
 * locations; else it ends with 401, or 403 where nothing but the audience is wrong. So a request without a token passes, and has no claims: demanding one is AuthorizationPolicy's work.
 * The JWT filter stands after CUSTOM authorization and before AUDIT, DENY and ALLOW, and on HTTP ports only.
 * Rules: Istio, pilot/pkg/model/authentication.go (getConfigsForWorkload) and pilot/pkg/security/authn/policy_applier.go (convertToEnvoyJwtConfig).
 */
import { parseDuration } from "../lib/duration.ts";
import { usableJwks } from "../lib/jwks.ts";
import type { Provenance } from "../lib/provenance.ts";
import { takesSvids } from "../model/request-authentication.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { internList, memoize, type Pool } from "./memo.ts";
import { byAge, indexPolicies, reuseMap } from "./policy-scope.ts";
import type { Mesh, Settings, Workload } from "./types.ts";

/** Where weft gets keys from: a key set, or an issuer's OpenID discovery document, which names one. */
export type JwksSource = {
  readonly url: string;
  readonly discovery: boolean;
};

/** The keys that a token must be signed with. No key accepts no token. */
export type JwtKeys = {
  /** A JSON Web Key Set as text; absent where it holds nothing to verify by, or weft could not get it yet: then every token is refused. */
  readonly jwks?: string;
  /** Absent where the policy holds the keys itself, and for a trust domain. */
  readonly from?: JwksSource;
  /**
   * The trust domain whose JWT authorities these are, as its issuer: "spiffe://mesh.local". They follow its rotations by themselves. What they sign
   * are JWT-SVIDs, of which the standard asks more than of other tokens: an audience (3.2; a rule without audiences, which an earlier weft may have
   * stored, takes none), an expiry (3.3), and a subject of that trust domain, which alone its keys vouch for (3.1).
   */
  readonly authority?: string;
  /** How long fetching may take, in milliseconds. */
  readonly timeoutMs: number;
};

export type JwtRule = {
  /** Of the claim iss; "" takes any. */
  readonly issuer: string;
  /** One of them must be in the claim aud; none takes any. */
  readonly audiences: readonly string[];
  /** Where a token is looked for, all of them. */
  readonly locations: {
    /**
     * The token is what follows the first occurrence of the prefix; a header whose value lacks it holds no token. Names as written,
     * compared without case.
     */
    readonly headers: readonly { readonly name: string; readonly prefix: string }[];
    /** Of the query. */
    readonly params: readonly string[];
    readonly cookies: readonly string[];
  };
  readonly keys: JwtKeys;
  /** Whether the application gets the token too. */
  readonly forwardOriginalToken: boolean;
  /** The header that gets the payload, in base64url. */
  readonly outputPayloadToHeader?: string;
  /** `claim` may be a path, "a.b". */
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Claims whose text counts as a list, split at spaces; sorted. */
  readonly spaceDelimitedClaims: readonly string[];
  readonly source: Provenance;
};

export type WorkloadAuthentication = {
  /** By issuer, then the workload's namespace before the root namespace, then by age. None: tokens are not looked at. */
  readonly rules: readonly JwtRule[];
};

type Policy = Resource<"RequestAuthentication">;
type RuleSpec = NonNullable<Policy["spec"]["jwtRules"]>[number];
/** Key sets: those that were fetched by jwksKey, those of trust domains by their issuer. */
type Jwks = ReadonlyMap<string, string>;

/** Istio's (policy_applier.go convertToEnvoyJwtConfig). */
const DEFAULT_TIMEOUT_MS = 5_000;
/** Envoy's, where a rule names none (RFC 6750, 2.1 and 2.3). */
const DEFAULT_LOCATIONS: JwtRule["locations"] = {
  headers: [{ name: "Authorization", prefix: "Bearer " }],
  params: ["access_token"],
  cookies: [],
};
/** Istio's (buildSpaceDelimitedClaims). */
const NO_AUTHORITIES: Jwks = new Map();
const SPACE_DELIMITED = ["permission", "scope"];

/** Names `source` in MeshOptions.jwks. */
export function jwksKey({ url, discovery }: JwksSource): string {
  return discovery ? `discovery ${url}` : url;
}

/** The rules at every workload, by its key; what did not change since `previous` is the same object (===), and so is the map where nothing did. */
export function buildAuthentication(
  policies: readonly Policy[],
  workloads: ReadonlyMap<string, Workload>,
  options: { readonly settings: Settings; readonly jwks: Jwks; readonly authorities?: Jwks; readonly pool: Pool },
  previous?: Mesh,
): ReadonlyMap<string, WorkloadAuthentication> {
  const { rootNamespace } = options.settings;
  const index = indexed(policies);
  const known = new Map<Policy, readonly JwtRule[]>();
  const rulesAt = (policy: Policy) => {
    const found = known.get(policy) ?? rulesOf(policy, options);
    known.set(policy, found);
    return found;
  };
  const built = new Map<string, WorkloadAuthentication>();
  const none = authenticationOf(internList<JwtRule>([]));
  // Nothing is asked of the workloads then.
  if (policies.length === 0) for (const key of workloads.keys()) built.set(key, none);
  else
    for (const [key, { namespace, labels }] of workloads) {
      const selected = [...new Set([namespace, rootNamespace])].flatMap((scope) => index.at(scope, labels));
      const rules = selected.flatMap(rulesAt);
      rules.sort((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0));
      built.set(key, authenticationOf(internList(rules)));
    }
  return reuseMap(built, previous?.authentication);
}

const indexed = memoize((policies: readonly Policy[]) =>
  indexPolicies([...policies].sort(byAge), ({ spec }) => spec.selector?.matchLabels),
);

/** Workloads under the same rules share one object, and keep it from one Mesh to the next. */
const authenticationOf = memoize((rules: readonly JwtRule[]): WorkloadAuthentication => ({ rules }));

function rulesOf(
  policy: Policy,
  { jwks, authorities = NO_AUTHORITIES, pool }: { readonly jwks: Jwks; readonly authorities?: Jwks; readonly pool: Pool },
): readonly JwtRule[] {
  const keys = (policy.spec.jwtRules ?? []).map((rule) => {
    const found = keysOf(rule, jwks, authorities);
    return pool.keep(`jwt keys ${JSON.stringify(found)}`, () => found);
  });
  return rulesWith(policy, internList(keys));
}

/** `keys` are those of each rule. */
const rulesWith = memoize((policy: Policy, keys: readonly JwtKeys[]): readonly JwtRule[] =>
  (policy.spec.jwtRules ?? []).flatMap((rule, index) => {
    const own = keys[index];
    return own ? [ruleOf(rule, own, provenanceOf(policy, "spec", "jwtRules", index))] : [];
  }),
);

const inlineKeys = memoize(({ jwks = "" }: RuleSpec) => ({ jwks: usableJwks(jwks) }));

function keysOf(rule: RuleSpec, fetched: Jwks, authorities: Jwks): JwtKeys {
  const { jwks, jwksUri, issuer = "", timeout } = rule;
  const timeoutMs = parseDuration(timeout ?? "") ?? DEFAULT_TIMEOUT_MS;
  if (jwks) return { ...inlineKeys(rule), timeoutMs };
  if (takesSvids(rule)) return { jwks: authorities.get(issuer), authority: issuer, timeoutMs };
  // Without keys and a place to get them, the issuer's discovery document names the place (OpenID Connect Discovery 1.0, 4).
  const from: JwksSource = jwksUri
    ? { url: jwksUri, discovery: false }
    : { url: `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, discovery: true };
  return { jwks: fetched.get(jwksKey(from)), from, timeoutMs };
}

function ruleOf(rule: RuleSpec, keys: JwtKeys, source: Provenance): JwtRule {
  const { fromHeaders = [], fromParams = [], fromCookies = [], spaceDelimitedClaims = [] } = rule;
  const named = fromHeaders.length + fromParams.length + fromCookies.length > 0;
  return {
    issuer: rule.issuer ?? "",
    audiences: rule.audiences ?? [],
    locations: named
      ? { headers: fromHeaders.map(({ name, prefix = "" }) => ({ name, prefix })), params: fromParams, cookies: fromCookies }
      : DEFAULT_LOCATIONS,
    keys,
    forwardOriginalToken: rule.forwardOriginalToken ?? false,
    outputPayloadToHeader: rule.outputPayloadToHeader || undefined,
    outputClaimToHeaders: rule.outputClaimToHeaders ?? [],
    spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...spaceDelimitedClaims])].sort(),
    source,
  };
}

/** The issuer that the JWT-SVIDs of a trust domain name, which is the trust domain's SPIFFE ID. */
export function issuerOf(trustDomain: string): string {
  return `spiffe://${trustDomain}`;
}

export interface JwksNeed {
  readonly source: JwksSource;
  /** The longest that one of the rules allows. */
  readonly timeoutMs: number;
  readonly issuers: readonly string[];
  readonly sources: readonly Provenance[];
}

/** The key sets that some workload's rules wait for or live on, by jwksKey, sorted. */
export function jwksNeeds(mesh: Mesh): ReadonlyMap<string, JwksNeed> {
  return needsOf(mesh.authentication);
}

const needsOf = memoize((authentication: Mesh["authentication"]): ReadonlyMap<string, JwksNeed> => {
  const needs = new Map<string, JwksNeed>();
  const rules = new Set([...new Set(authentication.values())].flatMap((one) => one.rules));
  for (const { keys, issuer, source } of rules) {
    if (!keys.from) continue;
    const key = jwksKey(keys.from);
    const known = needs.get(key);
    needs.set(key, {
      source: keys.from,
      timeoutMs: Math.max(known?.timeoutMs ?? 0, keys.timeoutMs),
      issuers: [...new Set([...(known?.issuers ?? []), issuer])].sort(),
      sources: [...(known?.sources ?? []), source],
    });
  }
  return new Map([...needs].sort(([a], [b]) => (a < b ? -1 : 1)));
});
