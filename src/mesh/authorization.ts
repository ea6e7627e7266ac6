/**
 * AuthorizationPolicy: the policies that hold at each workload, as the rule tree that xds turns into Envoy's RBAC and `weft why` evaluates.
 *
 * Policies of the root namespace reach every namespace, with their selectors; those of the workload's namespace add up with them.
 * A workload is judged by CUSTOM (before tokens are looked at), then AUDIT, DENY, ALLOW; no ALLOW policy at all allows, an ALLOW policy without
 * a matching rule denies. A dry-run policy decides nothing.
 * Rules: Istio, pilot/pkg/model/authorization.go (ListAuthorizationPolicies) and pilot/pkg/security/authz/builder/builder.go (build).
 */
import type { Resource } from "../model/resource.ts";
import type { AuthorizationProvider, AuthorizationProviders } from "./authorization-provider.ts";
import { type AuthorizationAction, type AuthorizationRuleSet, buildRuleSet } from "./authorization-rule.ts";
import { internList, memoize } from "./memo.ts";
import { byAge, indexPolicies, reuseMap } from "./policy-scope.ts";
import type { Mesh, Settings, Workload } from "./types.ts";

export type { AuthorizationRuleSet } from "./authorization-rule.ts";

/** Each list in Istio's order: the root namespace's policies first, then by age. */
export type WorkloadAuthorization = {
  /** Absent without a CUSTOM policy. */
  readonly custom?: CustomAuthorization;
  readonly audit: readonly AuthorizationRuleSet[];
  readonly deny: readonly AuthorizationRuleSet[];
  readonly allow: readonly AuthorizationRuleSet[];
};

/** What the CUSTOM policies come to: whoever one of their rules matches is put to the provider. */
export type CustomAuthorization = {
  readonly ruleSets: readonly AuthorizationRuleSet[];
  /** Is asked about HTTP requests, and by GRPC about TCP connections too; by HTTP it is not asked about those, and they pass. */
  readonly provider?: AuthorizationProvider;
  /** Why nobody can be asked: then whoever a rule matches is denied, on TCP ports too. Either this or `provider`. */
  readonly error?: string;
};

type Policy = Resource<"AuthorizationPolicy">;

/** A tree depends on its policy and on the names in the settings, and on nothing else. */
const ruleSetOf = memoize((policy: Policy, settings: Settings) => buildRuleSet(policy, settings));

/** Workloads under the same policies share one object, and keep it from one Mesh to the next. */
const authorizationOf = memoize((ruleSets: readonly AuthorizationRuleSet[], custom: CustomAuthorization): WorkloadAuthorization => {
  const of = (action: AuthorizationAction) => ruleSets.filter((set) => set.action === action);
  return { ...(custom === NO_CUSTOM ? {} : { custom }), audit: of("AUDIT"), deny: of("DENY"), allow: of("ALLOW") };
});

const NO_CUSTOM: CustomAuthorization = { ruleSets: [] };

/** Istio asks one provider for a workload; policies that name several deny what they match (builder.go buildHTTP). Dry-run ones have no say in it. */
const customOf = memoize((ruleSets: readonly AuthorizationRuleSet[], providers: AuthorizationProviders): CustomAuthorization => {
  const enforced = ruleSets.filter(({ dryRun }) => !dryRun);
  const names = [...new Set((enforced.length > 0 ? enforced : ruleSets).map(({ provider = "" }) => provider))].sort();
  const [name = ""] = names;
  if (names.length > 1)
    return { ruleSets, error: `the policies name several providers (${names.join(", ")}), and a workload can have one` };
  const found = providers.get(name);
  if (!found) return { ruleSets, error: `MeshConfig's extensionProviders have no envoyExtAuthzHttp or envoyExtAuthzGrpc named "${name}"` };
  if ("error" in found) return { ruleSets, error: `the provider "${name}" cannot be asked: ${found.error}` };
  return { ruleSets, provider: found };
});

const NO_PROVIDERS: AuthorizationProviders = new Map();

/** The policies at every workload, by its key; what did not change since `previous` is the same object (===), and so is the map where nothing did. */
export function buildAuthorization(
  policies: readonly Policy[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
  previous?: Mesh,
  providers: AuthorizationProviders = NO_PROVIDERS,
): ReadonlyMap<string, WorkloadAuthorization> {
  const { rootNamespace } = settings;
  const index = indexed(policies);
  const built = new Map<string, WorkloadAuthorization>();
  for (const [key, { namespace, labels }] of workloads) {
    const selected = [...new Set([rootNamespace, namespace])].flatMap((scope) => index.at(scope, labels));
    const ruleSets = internList(selected.map((policy) => ruleSetOf(policy, settings)));
    const custom = internList(ruleSets.filter(({ action }) => action === "CUSTOM"));
    built.set(key, authorizationOf(ruleSets, custom.length > 0 ? customOf(custom, providers) : NO_CUSTOM));
  }
  return reuseMap(built, previous?.authorization);
}

const indexed = memoize((policies: readonly Policy[]) =>
  indexPolicies([...policies].sort(byAge), ({ spec }) => spec.selector?.matchLabels),
);
