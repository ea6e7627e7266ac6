/**
 * What the authorization policies at a workload say, in the order in which its sidecar asks: AUDIT, DENY, ALLOW. Dry-run policies are told
 * about and decide nothing (Istio, pilot/pkg/security/authz/builder/builder.go build).
 */
import type { AuthorizationRuleSet, CustomAuthorization, WorkloadAuthorization } from "../mesh/authorization.ts";
import type { Alternative, AuthorizationRule, Clause } from "../mesh/authorization-rule.ts";
import { type Arrival, describeArrival, describeCondition, isMet } from "./condition.ts";
import type { AuthorizationAnswer, PolicyAnswer } from "./types.ts";

/** Whether the policies are asked about requests or about connections. */
export type Layer = "http" | "tcp";

interface Found {
  readonly set: AuthorizationRuleSet;
  readonly answer: PolicyAnswer;
  readonly rule?: AuthorizationRule;
}

export interface AuthorizationOutcome {
  readonly answer: AuthorizationAnswer;
  /** Names of the rules that matched, dry-run ones too. */
  readonly matched: readonly string[];
}

export function authorize(authorization: WorkloadAuthorization, layer: Layer, arrival: Arrival): AuthorizationOutcome {
  const { audit, deny, allow } = authorization;
  const asked = [...audit, ...deny, ...allow].map((set) => ask(set, layer, arrival));
  const enforced = asked.filter(({ set }) => !set.dryRun);
  return {
    answer: { ...decide(enforced), policies: asked.map(({ answer }) => answer) },
    matched: asked.flatMap(({ rule }) => rule?.name ?? []),
  };
}

/**
 * CUSTOM policies, which are asked before tokens are looked at: whoever a rule matches is put to the provider, whose answer is not the mesh's to
 * know. Counted as a yes; without a provider to ask it is a no.
 */
export function askProvider({ ruleSets, provider, error }: CustomAuthorization, layer: Layer, arrival: Arrival): AuthorizationOutcome {
  const asked = ruleSets.map((set) => ask(set, layer, arrival));
  const policies = asked.map(({ answer }) => answer);
  const matched = asked.flatMap(({ rule }) => rule?.name ?? []);
  const found = asked.find(({ set, rule }) => !set.dryRun && rule);
  const none = { result: "allow", policy: null, rule: null, reason: "no CUSTOM policy matches", source: null, policies } as const;
  if (!found) return { answer: none, matched };
  if (error !== undefined) return { answer: { ...by(found, "deny"), reason: error, policies }, matched };
  if (layer === "tcp" && provider?.protocol === "HTTP") {
    return { answer: { ...none, reason: "the provider is asked by HTTP, and not about TCP connections" }, matched };
  }
  const reason = `provider "${found.set.provider}" is asked; taken for a yes, for its answer is its own`;
  return { answer: { ...by(found, "allow"), reason, policies }, matched };
}

function decide(enforced: readonly Found[]): Omit<AuthorizationAnswer, "policies"> {
  const denied = enforced.find(({ set, rule }) => set.action === "DENY" && rule);
  if (denied) return by(denied, "deny");
  const allows = enforced.filter(({ set }) => set.action === "ALLOW");
  const allowed = allows.find(({ rule }) => rule);
  if (allowed) return by(allowed, "allow");
  const [first] = allows;
  if (!first) return { result: "allow", policy: null, rule: null, reason: "no ALLOW policy selects the workload", source: null };
  const names = allows.map(({ answer }) => answer.policy).join(", ");
  const reason = `no rule of ${allows.length === 1 ? `ALLOW policy ${names}` : `the ALLOW policies ${names}`} matches`;
  return { result: "deny", policy: first.answer.policy, rule: null, reason, source: first.answer.source };
}

function by({ answer }: Found, result: "allow" | "deny"): Omit<AuthorizationAnswer, "policies"> {
  const reason = `rule ${answer.rule} of ${answer.action} policy ${answer.policy} matches`;
  return { result, policy: answer.policy, rule: answer.rule, reason, source: answer.source };
}

function ask(set: AuthorizationRuleSet, layer: Layer, arrival: Arrival): Found {
  const { namespace, name } = set.source;
  const common = { policy: `${namespace}/${name}`, action: set.action, dry_run: set.dryRun };
  const reasons: string[] = [];
  for (const rule of set[layer]) {
    const failed = firstFailure(rule, arrival);
    if (failed === undefined) {
      const answer = {
        ...common,
        result: "match",
        rule: indexOf(rule),
        reason: `rule ${indexOf(rule)} matches`,
        source: rule.source,
      } as const;
      return { set, answer, rule };
    }
    reasons.push(`rule ${indexOf(rule)}: ${failed}`);
  }
  const none = layer === "tcp" ? "no rule of it holds on a TCP port" : "it has no rule";
  const reason = reasons.length > 0 ? reasons.join("; ") : none;
  return { set, answer: { ...common, result: "no_match", rule: null, reason, source: set.source } };
}

/** Of "ns[NS]-policy[NAME]-rule[INDEX]". */
export function indexOf({ name }: AuthorizationRule): number {
  return Number(/-rule\[(\d+)\]$/.exec(name)?.[1] ?? -1);
}

/** undefined where the rule matches. */
function firstFailure({ permissions, principals }: AuthorizationRule, arrival: Arrival): string | undefined {
  return failureOf(permissions, arrival) ?? failureOf(principals, arrival);
}

function failureOf(alternatives: readonly Alternative[], arrival: Arrival): string | undefined {
  const failures: string[] = [];
  for (const alternative of alternatives) {
    const failed = alternative.find((clause) => !holds(clause, arrival));
    if (!failed) return undefined;
    failures.push(describeFailure(failed, arrival));
  }
  return failures.length === 0 ? "it has no alternative" : failures.join(", and ");
}

function holds({ negated, conditions }: Clause, arrival: Arrival): boolean {
  return conditions.some((condition) => isMet(condition, arrival)) !== negated;
}

function describeFailure({ key, negated, conditions }: Clause, arrival: Arrival): string {
  const [first] = conditions;
  if (!first) return `${key} has no value`;
  const found = describeArrival(first, arrival);
  const wanted = conditions.map(describeCondition);
  const shown = wanted.length > 3 ? [...wanted.slice(0, 3), `${wanted.length - 3} more`] : wanted;
  return `${key} is ${found}, ${negated ? "which is excluded by" : "not"} ${shown.join(" or ")}`;
}
