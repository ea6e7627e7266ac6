/** Rules of AuthorizationPolicies that can never match, and path rules on paths that nobody normalizes. */
import type { AuthorizationRule } from "../../model/authorization-policy.ts";
import type { Resource } from "../../model/resource.ts";
import { principalAliases } from "../authorization-trust-domain.ts";
import { mtlsModeAt } from "../peer-authentication.ts";
import { isHttp } from "../services.ts";
import type { Workload } from "../types.ts";
import { type Context, some } from "./context.ts";

type Policy = Resource<"AuthorizationPolicy">;
type Path = readonly (string | number)[];

export function findPolicyTrouble(context: Context): void {
  const identities = new Set(context.workloads("*").flatMap(({ spiffeId }) => (spiffeId ? [spiffeId.slice("spiffe://".length)] : [])));
  for (const policy of context.of("AuthorizationPolicy")) {
    const reach = policy.metadata.namespace === context.mesh.settings.rootNamespace ? "*" : policy.metadata.namespace;
    const workloads = context.workloads(reach, policy.spec.selector?.matchLabels);
    for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
      const path = ["spec", "rules", index];
      checkSources(context, policy, rule, path, workloads, identities);
      if (workloads.some(({ inbound }) => inbound.length > 0)) checkOperations(context, policy, rule, path, workloads);
    }
    checkNormalization(context, policy);
  }
}

function checkSources(
  context: Context,
  policy: Policy,
  rule: AuthorizationRule,
  path: Path,
  workloads: readonly Workload[],
  identities: ReadonlySet<string>,
): void {
  const { settings, mtls } = context.mesh;
  const plaintext =
    workloads.length > 0 &&
    workloads.every((workload) => {
      const found = mtls.get(workload.key);
      return (
        workload.spiffeId === undefined || (found && workload.inbound.every(({ number }) => mtlsModeAt(found, number).mode === "DISABLE"))
      );
    });
  for (const [index, { source }] of (rule.from ?? []).entries()) {
    const at = [...path, "from", index, "source"];
    for (const field of ["principals", "namespaces", "serviceAccounts", "trustDomains"] as const) {
      if (!source[field]?.length || !plaintext) continue;
      const message = `the workloads that it holds for take plaintext only (${some(workloads.map(({ key }) => key))}), where a caller has no identity`;
      context.warn("neverMatches", policy, [...at, field], message, "use ipBlocks, or let them take mutual TLS");
    }
    for (const [position, principal] of (source.principals ?? []).entries()) {
      if (principal.includes("*") || plaintext) continue;
      const names = principalAliases(principal, settings);
      const own = names.filter((name) => name.startsWith(`${settings.trustDomain}/`));
      const where = [...at, "principals", position];
      if (settings.federatedTrustDomains?.some((domain) => principal.startsWith(`${domain}/`))) continue;
      if (own.length === 0 && principal.split("/").length === 5) {
        const message = `${principal} is of another trust domain, whose certificates nobody here trusts`;
        context.warn(
          "neverMatches",
          policy,
          where,
          message,
          `this mesh's is ${settings.trustDomain}; other names of it go into trustDomainAliases, and another mesh into a TrustDomain`,
        );
      } else if (!names.some((name) => identities.has(name))) {
        context.warn(
          "neverMatches",
          policy,
          where,
          `no workload has the identity ${principal}`,
          `there are: ${some([...identities].sort(), 8) || "none"}`,
        );
      }
    }
  }
}

function checkOperations(context: Context, policy: Policy, rule: AuthorizationRule, path: Path, workloads: readonly Workload[]): void {
  const numbers = new Set(workloads.flatMap(({ inbound }) => inbound.map(({ number }) => number)));
  const hasHttp = workloads.some(({ inbound }) => inbound.some(({ protocol }) => isHttp(protocol)));
  for (const [index, { operation }] of (rule.to ?? []).entries()) {
    const at = [...path, "to", index, "operation"];
    for (const [position, port] of (operation.ports ?? []).entries()) {
      if (numbers.has(Number(port))) continue;
      const message = `no workload that it holds for has a port ${port}; ports count as the workload's, not the service's`;
      context.warn(
        "neverMatches",
        policy,
        [...at, "ports", position],
        message,
        `their ports: ${some([...numbers].sort((a, b) => a - b).map(String), 8)}`,
      );
    }
    const http = (["hosts", "methods", "paths"] as const).find((field) => operation[field]?.length);
    if (http && !hasHttp && policy.spec.action !== "DENY") {
      const message = "the workloads that it holds for have TCP ports only, where a rule with HTTP conditions is left out";
      context.warn("neverMatches", policy, [...at, http], message, "write ports and sources only, or declare the port as HTTP");
    }
  }
}

/** NONE and BASE leave "//admin" as it is; NONE "/x/../admin" too. */
function checkNormalization(context: Context, policy: Policy): void {
  const level = context.mesh.settings.pathNormalization;
  if (level !== "NONE" && level !== "BASE") return;
  for (const [index, rule] of (policy.spec.rules ?? []).entries()) {
    const position = (rule.to ?? []).findIndex(({ operation }) => operation.paths?.length || operation.notPaths?.length);
    if (position < 0) continue;
    const field = rule.to?.[position]?.operation.paths?.length ? "paths" : "notPaths";
    const example = level === "NONE" ? "/x/../admin and //admin are" : "//admin is";
    const message = `it decides by path, and MeshConfig's pathNormalization is ${level}: ${example} not /admin to it`;
    context.warn(
      "weakNormalization",
      policy,
      ["spec", "rules", index, "to", position, "operation", field],
      message,
      "use MERGE_SLASHES (the default) or DECODE_AND_MERGE_SLASHES",
    );
    return;
  }
}
