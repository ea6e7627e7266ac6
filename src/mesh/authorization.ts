/**
 * AuthorizationPolicy: the policies that hold at each workload, as the rule tree that xds turns into Envoy's RBAC and `weft why` evaluates.
 *
 * Policies of the root namespace reach every namespace, with their selectors; those of the workload's namespace add up with them.
 * A workload is judged by AUDIT, then DENY, then ALLOW; no ALLOW policy at all allows, an ALLOW policy without a matching rule denies.
 * Rules: Istio, pilot/pkg/model/authorization.go (ListAuthorizationPolicies) and pilot/pkg/security/authz/builder/builder.go (build).
 */
import type { Resource } from "../model/resource.ts";
import { type AuthorizationAction, type AuthorizationRuleSet, buildRuleSet } from "./authorization-rule.ts";
import { internList, memoize } from "./memo.ts";
import { byAge, reuseMap, selects } from "./policy-scope.ts";
import type { Mesh, Settings, Workload } from "./types.ts";

export type { AuthorizationRuleSet } from "./authorization-rule.ts";

/** Each list in Istio's order: the root namespace's policies first, then by age. */
export type WorkloadAuthorization = {
  readonly audit: readonly AuthorizationRuleSet[];
  readonly deny: readonly AuthorizationRuleSet[];
  readonly allow: readonly AuthorizationRuleSet[];
};

type Policy = Resource<"AuthorizationPolicy">;

/** A tree depends on its policy and on the names in the settings, and on nothing else. */
const ruleSetOf = memoize((policy: Policy, settings: Settings) => buildRuleSet(policy, settings));

/** Workloads under the same policies share one object, and keep it from one Mesh to the next. */
const authorizationOf = memoize((ruleSets: readonly AuthorizationRuleSet[]): WorkloadAuthorization => {
  const of = (action: AuthorizationAction) => ruleSets.filter((set) => set.action === action);
  return { audit: of("AUDIT"), deny: of("DENY"), allow: of("ALLOW") };
});

/** The policies at every workload, by its key; what did not change since `previous` is the same object (===), and so is the map where nothing did. */
export function buildAuthorization(
  policies: readonly Policy[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
  previous?: Mesh,
): ReadonlyMap<string, WorkloadAuthorization> {
  const sorted = [...policies].sort((a, b) => scopeOf(a, settings) - scopeOf(b, settings) || byAge(a, b));
  const built = new Map<string, WorkloadAuthorization>();
  for (const [key, workload] of workloads) {
    const selected = sorted.filter((policy) => holdsAt(policy, workload, settings));
    built.set(key, authorizationOf(internList(selected.flatMap((policy) => ruleSetOf(policy, settings) ?? []))));
  }
  return reuseMap(built, previous?.authorization);
}

function scopeOf(policy: Policy, settings: Settings): number {
  return policy.metadata.namespace === settings.rootNamespace ? 0 : 1;
}

function holdsAt(policy: Policy, workload: Workload, settings: Settings): boolean {
  const { namespace } = policy.metadata;
  return (namespace === settings.rootNamespace || namespace === workload.namespace) && selects(policy.spec.selector, workload.labels);
}
