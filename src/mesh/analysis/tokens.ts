/** Policies about tokens that nobody looks at, and CUSTOM policies that can ask nobody. */
import type { Resource } from "../../model/resource.ts";
import type { Workload } from "../types.ts";
import { type Context, some } from "./context.ts";

type Policy = Resource<"AuthorizationPolicy">;

export function findTokenTrouble(context: Context): void {
  for (const policy of context.of("AuthorizationPolicy")) {
    const reach = policy.metadata.namespace === context.mesh.settings.rootNamespace ? "*" : policy.metadata.namespace;
    const workloads = context.workloads(reach, policy.spec.selector?.matchLabels);
    if (workloads.length === 0) continue;
    checkProvider(context, policy, workloads);
    checkTokens(context, policy, workloads);
  }
}

/** What the mesh says of it: then what the rules match is denied. */
function checkProvider(context: Context, policy: Policy, workloads: readonly Workload[]): void {
  if (policy.spec.action !== "CUSTOM") return;
  const errors = workloads.map(({ key }) => context.mesh.authorization.get(key)?.custom?.error);
  const error = errors.find((one) => one !== undefined);
  if (error === undefined) return;
  const where = workloads.filter((_, index) => errors[index] === error).map(({ key }) => key);
  context.warn(
    "unknownProvider",
    policy,
    ["spec", "provider", "name"],
    `${error}; at ${some(where)} whatever a rule matches is denied`,
    "name one of MeshConfig's extensionProviders, whose service exists",
  );
}

/** Without a RequestAuthentication no token is verified, and none of its claims exists: a negation then always holds. */
function checkTokens(context: Context, policy: Policy, workloads: readonly Workload[]): void {
  const { authentication } = context.mesh;
  if (workloads.some(({ key }) => (authentication.get(key)?.rules.length ?? 0) > 0)) return;
  const about = `no RequestAuthentication holds at ${some(workloads.map(({ key }) => key))}, so no request has a token's claims`;
  const help = "write a RequestAuthentication that selects them";
  for (const [index, { from = [], when = [] }] of (policy.spec.rules ?? []).entries()) {
    const path = ["spec", "rules", index];
    for (const [at, { source }] of from.entries()) {
      if (!source.requestPrincipals?.length) continue;
      context.warn("neverMatches", policy, [...path, "from", at, "source", "requestPrincipals"], about, help);
    }
    for (const [at, { key, values }] of when.entries()) {
      if (key.startsWith("request.auth.") && values?.length)
        context.warn("neverMatches", policy, [...path, "when", at, "values"], about, help);
    }
  }
}
