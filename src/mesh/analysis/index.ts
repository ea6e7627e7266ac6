/**
 * Findings across documents, which no document shows by itself. All are warnings: Istio takes references to what does not exist yet, in
 * any order, and so does weft; what can have no meaning is refused where the one document shows it (src/model).
 */
import type { Problem } from "../../lib/problem.ts";
import type { AnyResource } from "../../model/resource.ts";
import { originOf } from "../build.ts";
import { ResourceSet } from "../resource-set.ts";
import { buildSelection } from "../selection.ts";
import type { Mesh } from "../types.ts";
import { findLostLogs, findLostMetrics, findLostSpans } from "./access-logs.ts";
import { findClaimsNobodyReads } from "./claim-routes.ts";
import { comparison } from "./comparison.ts";
import { type Context, createContext, type Reads, type Subject } from "./context.ts";
import { findMissingCredentials } from "./credentials.ts";
import { findDeadRoutes } from "./dead-routes.ts";
import { findLostDelegates } from "./delegates.ts";
import { findLostEgressListeners } from "./egress-listeners.ts";
import { findFederationTrouble } from "./federation.ts";
import { findHostsWithoutServer } from "./gateway-hosts.ts";
import { findGatewayTrouble } from "./gateways.ts";
import { findHostConflicts } from "./host-conflicts.ts";
import { findIdleTelemetry } from "./idle-telemetry.ts";
import { findIdleIngressTls } from "./ingress-tls.ts";
import { findLostInjections } from "./injections.ts";
import { findMtlsConflicts } from "./mtls-conflicts.ts";
import { findPolicyTrouble } from "./policies.ts";
import { findPortConflicts } from "./port-conflicts.ts";
import { findProtocolConflicts } from "./protocol-conflicts.ts";
import { findIdleProxyConfigs } from "./proxy-configs.ts";
import { findBrokenReferences } from "./references.ts";
import { findLostRegistrations } from "./registrations.ts";
import { findEmptySelections } from "./selections.ts";
import { findTokenTrouble } from "./tokens.ts";
import { findWithoutEffect } from "./without-effect.ts";
import { findGroupTrouble } from "./workload-groups.ts";

export { findExpiredCertificates } from "./credentials.ts";

const RULES = [
  findBrokenReferences,
  findLostDelegates,
  findEmptySelections,
  findDeadRoutes,
  findHostConflicts,
  findGatewayTrouble,
  findHostsWithoutServer,
  findLostEgressListeners,
  findMissingCredentials,
  findClaimsNobodyReads,
  findMtlsConflicts,
  findIdleIngressTls,
  findPortConflicts,
  findProtocolConflicts,
  findPolicyTrouble,
  findTokenTrouble,
  findLostInjections,
  findFederationTrouble,
  findIdleProxyConfigs,
  findLostRegistrations,
  findWithoutEffect,
  findGroupTrouble,
  findLostLogs,
  findLostSpans,
  findLostMetrics,
  findIdleTelemetry,
];

/** What was found, and what each rule looked at for it. */
export interface Analysis {
  /** By file and line. */
  readonly problems: readonly Problem[];
  readonly subject: Subject;
  readonly runs: ReadonlyMap<Rule, Run>;
}

type Rule = (context: Context) => void;

interface Run {
  readonly reads: Reads;
  readonly problems: readonly Problem[];
}

/** They look at the addresses of workloads, which all others leave alone. */
const ON_ADDRESSES: ReadonlySet<Rule> = new Set([findPortConflicts, findLostEgressListeners]);

/** All findings, by file and line. `mesh` must have been built of `resources`. */
export function analyze(resources: readonly AnyResource[], mesh: Mesh): Problem[] {
  const steps = analyzeInSteps(resources, mesh);
  for (;;) {
    const step = steps.next();
    if (step.done) return [...step.value.problems];
  }
}

/**
 * `analyze`, with a pause after each rule, which takes milliseconds on a mesh of a thousand services. What a rule looks at, it is seen to look
 * at; where all of that is as it was for `before`, so is what it found.
 */
export function* analyzeInSteps(resources: readonly AnyResource[], mesh: Mesh, before?: Analysis): Generator<void, Analysis> {
  const subject = subjectOf(resources, mesh);
  const runs = new Map<Rule, Run>();
  const same = before && comparison(before.subject, subject);
  for (const find of RULES) {
    const known = before?.runs.get(find);
    if (known && same?.(known.reads, ON_ADDRESSES.has(find))) {
      runs.set(find, known);
      continue;
    }
    const reads: Reads = { kinds: new Set(), parts: new Set() };
    const context = createContext(subject, reads);
    find(context);
    runs.set(find, { reads, problems: context.problems });
    yield;
  }
  const problems = [...runs.values()].flatMap((run) => run.problems);
  problems.sort((a, b) => compare(a.file, b.file) || a.line - b.line || compare(a.code, b.code) || compare(a.message, b.message));
  return { problems, subject, runs };
}

function subjectOf(resources: readonly AnyResource[], mesh: Mesh): Subject {
  const origin = originOf(mesh);
  if (origin) return { mesh, ...origin };
  const set = ResourceSet.of(resources);
  return { mesh, set, selection: buildSelection(set.of("ServiceEntry"), set.of("WorkloadEntry")) };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** The findings about `touched` resources ("kind/namespace/name"), and those that were not there `before`. */
export function affectedBy(found: readonly Problem[], before: readonly Problem[], touched: ReadonlySet<string>): Problem[] {
  const known = new Set(before.map(identityOf));
  return found.filter((problem) => touched.has(resourceOf(problem)) || !known.has(identityOf(problem)));
}

const resourceOf = ({ resource }: Problem) => (resource ? `${resource.kind}/${resource.namespace}/${resource.name}` : "");
const identityOf = (problem: Problem) => `${problem.code} ${resourceOf(problem)} ${problem.message}`;
