/**
 * AuthorizationPolicy: who may call a workload, and how. istio/api security/v1beta1/authorization_policy.proto, checked as Istio's
 * ValidateAuthorizationPolicy does.
 */
import type * as v from "valibot";
import { checkAccounts, checkCondition, checkIps, checkPaths, checkPorts, checkTrustDomains, NEEDS_JWT } from "./authorization-check.ts";
import { filledList, selector } from "./common.ts";
import { choice, kubernetesOnly, list, needed, notYet, object, type Report, text } from "./schema.ts";

const TARGETS = "it names a Gateway, GatewayClass, Service or ServiceEntry by a reference of the Gateway API";

const accounts = () => list(text(), checkAccounts);
const ips = () => list(text(), checkIps);
const ports = () => list(text(), checkPorts);
const paths = () => list(text(), checkPaths);
const trustDomains = () => list(text(), checkTrustDomains);

const isEmpty = (lists: Readonly<Record<string, readonly string[] | undefined>>) => Object.values(lists).every((values) => !values?.length);

const source = object(
  {
    principals: filledList(),
    notPrincipals: filledList(),
    requestPrincipals: notYet(NEEDS_JWT),
    notRequestPrincipals: notYet(NEEDS_JWT),
    namespaces: filledList(),
    notNamespaces: filledList(),
    serviceAccounts: accounts(),
    notServiceAccounts: accounts(),
    ipBlocks: ips(),
    notIpBlocks: ips(),
    remoteIpBlocks: ips(),
    notRemoteIpBlocks: ips(),
    trustDomains: trustDomains(),
    notTrustDomains: trustDomains(),
  },
  (value, report) => {
    if (isEmpty(value) && !("requestPrincipals" in value || "notRequestPrincipals" in value)) {
      report("missing", "must say something", { help: "leave from out to allow any source" });
    }
    const named = ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const;
    const byAccount = value.serviceAccounts?.length || value.notServiceAccounts?.length;
    if (byAccount && named.some((name) => value[name]?.length)) {
      report("exclusive", "serviceAccounts may not stand beside principals or namespaces", { help: "write two sources" });
    }
  },
);

const operation = object(
  {
    hosts: filledList(),
    notHosts: filledList(),
    ports: ports(),
    notPorts: ports(),
    methods: filledList(),
    notMethods: filledList(),
    paths: paths(),
    notPaths: paths(),
  },
  (value, report) => {
    if (isEmpty(value)) report("missing", "must say something", { help: "leave to out to allow any operation" });
  },
);

const condition = object({ key: needed(text()), values: list(text()), notValues: list(text()) }, checkCondition);

const rule = object({
  from: list(object({ source: needed(source) })),
  to: list(object({ operation: needed(operation) })),
  when: list(condition),
});

export type AuthorizationRule = v.InferOutput<typeof rule>;
export type AuthorizationSource = v.InferOutput<typeof source>;
export type AuthorizationOperation = v.InferOutput<typeof operation>;
export type AuthorizationCondition = v.InferOutput<typeof condition>;

export const AuthorizationPolicySchema = object(
  {
    selector: selector(),
    targetRef: kubernetesOnly(TARGETS, "select workloads with selector.matchLabels"),
    targetRefs: kubernetesOnly(TARGETS, "select workloads with selector.matchLabels"),
    rules: list(rule),
    action: choice(["ALLOW", "DENY", "AUDIT"], { CUSTOM: "external authorization is not there yet" }),
    provider: notYet("it belongs to action CUSTOM"),
  },
  (spec, report) => {
    if (spec.action !== "DENY") return;
    if (!spec.rules?.length) {
      report("missing", "DENY without rules denies nothing", { path: ["action"], help: "write rules: [{}] to deny every request" });
    }
    for (const [index, part] of (spec.rules ?? []).entries()) warnOfTcp(part, index, report);
  },
);

export type AuthorizationPolicySpec = v.InferOutput<typeof AuthorizationPolicySchema>;

/** A DENY rule's HTTP attributes are left out on TCP ports, where the rest of the rule then denies more (Istio warns of it too). */
function warnOfTcp(part: AuthorizationRule, index: number, report: Report): void {
  const sources = (part.from ?? []).map((from) => from.source);
  const operations = (part.to ?? []).map((to) => to.operation);
  const onlyHttpFrom = sources.length > 0 && operations.length === 0 && sources.every((value) => Object.keys(value).length === 0);
  const onlyHttpTo = operations.length > 0 && !operations.some((value) => value.ports || value.notPorts);
  if (!onlyHttpFrom && !onlyHttpTo) return;
  report("surprising", "this DENY rule has HTTP attributes and no ports: on the workloads' TCP ports it denies every connection", {
    path: ["rules", index],
    severity: "warning",
    help: "add to.operation.ports",
  });
}
