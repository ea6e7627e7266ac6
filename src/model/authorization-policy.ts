/** AuthorizationPolicy: who may call a workload, and how. istio/api security/v1beta1/authorization_policy.proto. */
import type * as v from "valibot";
import { selector } from "./common.ts";
import { choice, list, needed, notYet, object, text } from "./schema.ts";

const values = () => list(text());

const NEEDS_JWT = "it needs RequestAuthentication, which is not translated yet";

const source = object({
  principals: values(),
  notPrincipals: values(),
  requestPrincipals: notYet(NEEDS_JWT),
  notRequestPrincipals: notYet(NEEDS_JWT),
  namespaces: values(),
  notNamespaces: values(),
  serviceAccounts: values(),
  notServiceAccounts: values(),
  ipBlocks: values(),
  notIpBlocks: values(),
  remoteIpBlocks: values(),
  notRemoteIpBlocks: values(),
  trustDomains: notYet('write principals: ["TRUST_DOMAIN/*"]'),
  notTrustDomains: notYet('write notPrincipals: ["TRUST_DOMAIN/*"]'),
});

const operation = object({
  hosts: values(),
  notHosts: values(),
  ports: values(),
  notPorts: values(),
  methods: values(),
  notMethods: values(),
  paths: values(),
  notPaths: values(),
});

const condition = object({ key: needed(text()), values: values(), notValues: values() });

const rule = object({
  from: list(object({ source: needed(source) })),
  to: list(object({ operation: needed(operation) })),
  when: list(condition),
});

export const AuthorizationPolicySchema = object({
  selector: selector(),
  targetRef: notYet("select workloads with selector.matchLabels"),
  targetRefs: notYet("select workloads with selector.matchLabels"),
  rules: list(rule),
  action: choice(["ALLOW", "DENY", "AUDIT"], { CUSTOM: "external authorization is not there yet" }),
  provider: notYet("it belongs to action CUSTOM"),
});

export type AuthorizationPolicySpec = v.InferOutput<typeof AuthorizationPolicySchema>;
export type AuthorizationRule = v.InferOutput<typeof rule>;
export type AuthorizationSource = v.InferOutput<typeof source>;
export type AuthorizationOperation = v.InferOutput<typeof operation>;
export type AuthorizationCondition = v.InferOutput<typeof condition>;
