/**
 * AuthorizationPolicy: who may call a workload, and how. istio/api security/v1beta1/authorization_policy.proto, checked as Istio's
 * ValidateAuthorizationPolicy does.
 */
import type * as v from "valibot";
import { checkAccounts, checkCondition, checkIps, checkPaths, checkPorts, checkTrustDomains } from "./authorization-check.ts";
import { filledList, selector } from "./common.ts";
import { choice, kubernetesOnly, list, needed, object, type Report, text } from "./schema.ts";

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
    requestPrincipals: filledList(),
    notRequestPrincipals: filledList(),
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
    if (isEmpty(value)) {
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
    action: choice(["ALLOW", "DENY", "AUDIT", "CUSTOM"]),
    provider: object({ name: text() }),
  },
  (spec, report) => {
    if (spec.action === "CUSTOM") checkCustom(spec.rules ?? [], spec.provider?.name ?? "", report);
    else if (spec.provider) report("together", "goes with action CUSTOM only", { path: ["provider"], atKey: true });
    if (spec.action !== "DENY") return;
    if (!spec.rules?.length) {
      report("missing", "DENY without rules denies nothing", { path: ["action"], help: "write rules: [{}] to deny every request" });
    }
    for (const [index, part] of (spec.rules ?? []).entries()) warnOfTcp(part, index, report);
  },
);

export type AuthorizationPolicySpec = v.InferOutput<typeof AuthorizationPolicySchema>;

/** What CUSTOM asks the provider about is decided before a peer's identity or a token is looked at (Istio, ValidateAuthorizationPolicy). */
const NOT_WITH_CUSTOM: readonly (keyof AuthorizationSource)[] = [
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "trustDomains",
  "notTrustDomains",
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
];

function checkCustom(rules: readonly AuthorizationRule[], provider: string, report: Report): void {
  if (rules.length === 0) {
    report("missing", "CUSTOM without rules asks about nothing", {
      path: ["action"],
      help: "write rules: [{}] to ask about every request",
    });
  } else if (provider === "") {
    report("missing", "CUSTOM needs provider.name", { path: ["action"], help: "name one of MeshConfig's extensionProviders" });
  }
  for (const [index, { from = [], when = [] }] of rules.entries()) {
    for (const [at, { source }] of from.entries()) {
      for (const field of NOT_WITH_CUSTOM) {
        if (!source[field]?.length) continue;
        report("exclusive", "cannot be used with action CUSTOM", { path: ["rules", index, "from", at, "source", field], atKey: true });
      }
    }
    for (const [at, { key }] of when.entries()) {
      if (!/^(?:source\.(?:namespace|serviceAccount|trustDomain|principal)$|request\.auth\.)/.test(key)) continue;
      report("exclusive", `${key} cannot be used with action CUSTOM`, { path: ["rules", index, "when", at, "key"] });
    }
  }
}

/** A DENY rule's HTTP attributes are left out on TCP ports, where the rest of the rule then denies more (Istio warns of it too). */
const HTTP_ONLY: ReadonlySet<string> = new Set(["requestPrincipals", "notRequestPrincipals"]);

function warnOfTcp(part: AuthorizationRule, index: number, report: Report): void {
  const sources = (part.from ?? []).map((from) => from.source);
  const operations = (part.to ?? []).map((to) => to.operation);
  const onlyHttpFrom =
    sources.length > 0 && operations.length === 0 && sources.every((value) => Object.keys(value).every((key) => HTTP_ONLY.has(key)));
  const onlyHttpTo = operations.length > 0 && !operations.some((value) => value.ports || value.notPorts);
  if (!onlyHttpFrom && !onlyHttpTo) return;
  report("surprising", "this DENY rule has HTTP attributes and no ports: on the workloads' TCP ports it denies every connection", {
    path: ["rules", index],
    severity: "warning",
    help: "add to.operation.ports",
  });
}
