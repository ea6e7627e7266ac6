/**
 * One AuthorizationPolicy as a rule tree: what `from`, `to` and `when` ask for, in the terms in which Envoy decides it.
 *
 * A rule holds when one of its permissions and one of its principals hold; an alternative holds when all its clauses do; a clause when any of
 * its conditions does (or, negated, none). An alternative without clauses always holds.
 * Rules: Istio, pilot/pkg/security/authz/model/model.go (New, Generate) and builder/builder.go (build).
 */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { type Condition, HTTP_ONLY, type Part, parseConditions, type Subject, subjectOfKey } from "./authorization-condition.ts";
import type { Settings } from "./types.ts";

export type AuthorizationAction = "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";

export type Clause = {
  /** As Istio names it: "source.principal", "request.headers[x]", "operation.paths". */
  readonly key: string;
  readonly negated: boolean;
  /** Any of them; never empty. */
  readonly conditions: readonly Condition[];
  readonly source: Provenance;
};

/** All of its clauses; none holds always. */
export type Alternative = readonly Clause[];

export type AuthorizationRule = {
  /**
   * "ns[NS]-policy[NAME]-rule[INDEX]", the name under which Envoy reports it; with CUSTOM, "istio-ext-authz-PROVIDER-" before that
   * (Istio, builder.go policyName).
   */
  readonly name: string;
  /** Any of them: the `to` list, with the conditions about the destination. */
  readonly permissions: readonly Alternative[];
  /** Any of them: the `from` list, with the conditions about the source and the request. */
  readonly principals: readonly Alternative[];
  readonly source: Provenance;
};

export type AuthorizationRuleSet = {
  readonly action: AuthorizationAction;
  /** Evaluated and counted, never enforced (annotation istio.io/dry-run). */
  readonly dryRun: boolean;
  /** With CUSTOM: who is asked. */
  readonly provider?: string;
  /** On HTTP ports; none never matches. */
  readonly http: readonly AuthorizationRule[];
  /** On TCP ports: an ALLOW rule that speaks of HTTP is gone, a rule of another action has lost those clauses. */
  readonly tcp: readonly AuthorizationRule[];
  readonly source: Provenance;
};

type Policy = Resource<"AuthorizationPolicy">;
type Rule = NonNullable<Policy["spec"]["rules"]>[number];
type Values = readonly string[] | undefined;

/** A clause before it is known whether it stands on an HTTP or a TCP port. */
interface Draft extends Clause {
  readonly subject: Subject;
  /** A value could not be read: an ALLOW rule may not be made wider by leaving it out. */
  readonly broken: boolean;
}

export function buildRuleSet(policy: Policy, settings: Settings): AuthorizationRuleSet {
  const action = policy.spec.action ?? "ALLOW";
  const rules = (policy.spec.rules ?? []).map((rule, index) => draftRule(policy, rule, index, settings));
  const keep = (port: "http" | "tcp") => rules.flatMap((rule) => settleRule(rule, action, port) ?? []);
  const provider = action === "CUSTOM" ? { provider: providerOf(policy) } : {};
  return { action, dryRun: isDryRun(policy), ...provider, http: keep("http"), tcp: keep("tcp"), source: provenanceOf(policy, "spec") };
}

function providerOf({ spec }: Policy): string {
  return spec.provider?.name ?? "";
}

/** Go's strconv.ParseBool, which Istio reads the annotation with. */
function isDryRun(policy: Policy): boolean {
  return /^(?:1|t|T|TRUE|true|True)$/.test(policy.metadata.annotations["istio.io/dry-run"] ?? "");
}

interface RuleDraft {
  readonly name: string;
  readonly permissions: readonly (readonly Draft[])[];
  readonly principals: readonly (readonly Draft[])[];
  readonly source: Provenance;
}

function draftRule(policy: Policy, rule: Rule, index: number, settings: Settings): RuleDraft {
  const { namespace, name } = policy.metadata;
  const at = ["spec", "rules", index] as const;
  const draft = (key: string, values: Values, notValues: Values, path: readonly (string | number)[], notPath = path): Draft[] =>
    [
      { values, negated: false, place: path },
      { values: notValues, negated: true, place: notPath },
    ].flatMap(({ values: given, negated, place }) => {
      if (!given || given.length === 0) return [];
      const subject = subjectOfKey(key);
      const { conditions, broken } = parseConditions(subject, given, { namespace, settings });
      return [{ key, negated, subject, conditions, broken, source: provenanceOf(policy, ...at, ...place) }];
    });
  const when = (rule.when ?? []).flatMap(({ key, values, notValues }, i) =>
    draft(key, values, notValues, ["when", i, "values"], ["when", i, "notValues"]),
  );
  const of = (part: Part) => when.filter((clause) => clause.subject.part === part);
  const alternatives = <T>(list: readonly T[] | undefined, part: Part, drafts: (entry: T, i: number) => Draft[]) =>
    list && list.length > 0 ? list.map((entry, i) => [...drafts(entry, i), ...of(part)]) : [of(part)];
  const fields = (given: Fields | undefined, table: FieldTable, path: readonly (string | number)[]) =>
    table.flatMap(([field, notField, key]) => draft(key, given?.[field], given?.[notField], [...path, field], [...path, notField]));
  const principals = alternatives(rule.from, "principal", ({ source }, i) => fields(source, SOURCE_FIELDS, ["from", i, "source"]));
  const permissions = alternatives(rule.to, "permission", ({ operation }, i) =>
    fields(operation, OPERATION_FIELDS, ["to", i, "operation"]),
  );
  const prefix = policy.spec.action === "CUSTOM" ? customPrefix(providerOf(policy)) : "";
  return { name: `${prefix}ns[${namespace}]-policy[${name}]-rule[${index}]`, permissions, principals, source: provenanceOf(policy, ...at) };
}

/** How the names of a CUSTOM policy's rules begin: by it Envoy's ext_authz knows that it has to ask (Istio, builder.go policyName). */
export function customPrefix(provider: string): string {
  return provider === "" ? "istio-ext-authz-" : `istio-ext-authz-${provider}-`;
}

/** A source or an operation, by field. */
type Fields = Readonly<Record<string, Values>>;
/** [field, its negation, the key it is one with]. */
type FieldTable = readonly (readonly [string, string, string])[];

const SOURCE_FIELDS: FieldTable = [
  ["principals", "notPrincipals", "source.principal"],
  ["requestPrincipals", "notRequestPrincipals", "request.auth.principal"],
  ["serviceAccounts", "notServiceAccounts", "source.serviceAccount"],
  ["trustDomains", "notTrustDomains", "source.trustDomain"],
  ["namespaces", "notNamespaces", "source.namespace"],
  ["remoteIpBlocks", "notRemoteIpBlocks", "remote.ip"],
  ["ipBlocks", "notIpBlocks", "source.ip"],
];

const OPERATION_FIELDS: FieldTable = [
  ["hosts", "notHosts", "operation.hosts"],
  ["methods", "notMethods", "operation.methods"],
  ["paths", "notPaths", "operation.paths"],
  ["ports", "notPorts", "destination.port"],
];

/**
 * The rule as it stands on a port. What cannot be decided there (an HTTP field on TCP, an unreadable value) makes an ALLOW rule vanish whole,
 * with all its alternatives, and a DENY or AUDIT rule lose only the clause: both ways less is let through (Istio, model.go checkError).
 */
function settleRule(rule: RuleDraft, action: AuthorizationAction, port: "http" | "tcp"): AuthorizationRule | undefined {
  const undecidable = (clause: Draft) => clause.broken || (port === "tcp" && HTTP_ONLY.has(clause.subject.kind));
  const all = [...rule.permissions, ...rule.principals].flat();
  if (action === "ALLOW" && all.some(undecidable)) return undefined;
  const settle = (drafts: readonly Draft[]): Alternative =>
    drafts.flatMap((clause) => {
      if (clause.conditions.length === 0 || (port === "tcp" && HTTP_ONLY.has(clause.subject.kind))) return [];
      const { key, negated, conditions, source } = clause;
      return [{ key, negated, conditions, source }];
    });
  return { name: rule.name, permissions: rule.permissions.map(settle), principals: rule.principals.map(settle), source: rule.source };
}
