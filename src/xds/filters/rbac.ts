/**
 * Authorization as Envoy filters: on every inbound chain two for CUSTOM (ext-authz.ts), then on HTTP the one for tokens (jwt.ts), then one for
 * AUDIT, one for DENY and one for ALLOW, in this order (Istio, listener_builder.go buildHTTPConnectionManager), each of whose configuration comes
 * by name over ECDS. They are there whether or not a policy is, so that the first policy changes no listener.
 *
 * A changed HTTP filter decides the next request on an open connection. A changed network filter decides new connections only, and it
 * decides at the caller's first byte, as in Istio: a server that speaks first is heard by a caller that is refused as soon as it answers.
 */
import { create } from "@bufbuild/protobuf";
import { TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.ts";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { type RBAC, RBACSchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import { RBACSchema as HttpRbacSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import type { EncodedResource } from "../../lib/encoded.ts";
import type { Provenance } from "../../lib/provenance.ts";
import type { AuthorizationRuleSet, WorkloadAuthorization } from "../../mesh/authorization.ts";
import { memoize } from "../../mesh/memo.ts";
import { adsSource } from "../config-source.ts";
import { encodeResource, packAny } from "../encode.ts";
import { CUSTOM_FILTERS, customResources } from "./ext-authz.ts";
import { jwtFilter } from "./jwt.ts";
import { rbacAction, rbacPolicy } from "./rbac-policy.ts";

type Slot = "audit" | "deny" | "allow";
type Port = "http" | "tcp";

/** Istio's order (pilot/pkg/security/authz/builder/builder.go build). */
const SLOTS: readonly Slot[] = ["audit", "deny", "allow"];

/** Istio's prefixes of the shadow rules' counters and metadata (pilot/pkg/security/authz/model/model.go). */
const SHADOW_PREFIX: Readonly<Record<Slot, string>> = { audit: "", deny: "istio_dry_run_deny_", allow: "istio_dry_run_allow_" };

/** "authz|http|deny". A proxy serves one workload, so the name needs none, and workloads under the same policies share the bytes. */
function extensionName(port: Port, slot: Slot): string {
  return `authz|${port}|${slot}`;
}

/** The HTTP filters, before the router. */
export function httpAuthorizationFilters(): HttpFilter[] {
  const discovered = (name: string, types: Types) =>
    create(HttpFilterSchema, { name, configType: { case: "configDiscovery", value: discovery(types) } });
  return [
    ...CUSTOM_FILTERS.http.map(({ name, types }) => discovered(name, types)),
    jwtFilter(),
    ...SLOTS.map((slot) => discovered(extensionName("http", slot), [HttpRbacSchema])),
  ];
}

/** The network filters, before the TCP proxy. */
export function tcpAuthorizationFilters(): Filter[] {
  const discovered = (name: string, types: Types) =>
    create(FilterSchema, { name, configType: { case: "configDiscovery", value: discovery(types) } });
  return [
    ...CUSTOM_FILTERS.tcp.map(({ name, types }) => discovered(name, types)),
    ...SLOTS.map((slot) => discovered(extensionName("tcp", slot), [NetworkRbacSchema])),
  ];
}

type Types = readonly { readonly typeName: string }[];

function discovery(types: Types) {
  return { configSource: adsSource(), typeUrls: types.map(({ typeName }) => `type.googleapis.com/${typeName}`) };
}

/** What the filters of authorization ask for, whichever policies there are. Without a policy an action's filter lets everything through. */
export const authorizationResources = memoize((authorization: WorkloadAuthorization): readonly EncodedResource[] => [
  ...customResources(authorization.custom),
  ...(["http", "tcp"] as const).flatMap((port) => SLOTS.map((slot) => extension(port, slot, authorization[slot]))),
]);

function extension(port: Port, slot: Slot, ruleSets: readonly AuthorizationRuleSet[]): EncodedResource {
  const name = extensionName(port, slot);
  const common = {
    rules: rbac(
      port,
      slot,
      ruleSets.filter((set) => !set.dryRun),
    ),
    shadowRules: rbac(
      port,
      slot,
      ruleSets.filter((set) => set.dryRun),
    ),
    shadowRulesStatPrefix: ruleSets.some((set) => set.dryRun) ? SHADOW_PREFIX[slot] : "",
  };
  const typedConfig =
    port === "http"
      ? packAny(HttpRbacSchema, create(HttpRbacSchema, common))
      : packAny(NetworkRbacSchema, create(NetworkRbacSchema, { ...common, statPrefix: "tcp." }));
  return encodeResource(TypedExtensionConfigSchema, name, create(TypedExtensionConfigSchema, { name, typedConfig }), sourcesOf(ruleSets));
}

/** undefined without a policy: no rules enforce nothing, while rules that are there and empty would, under ALLOW, deny everything. */
function rbac(port: Port, slot: Slot, ruleSets: readonly AuthorizationRuleSet[]): RBAC | undefined {
  if (ruleSets.length === 0) return undefined;
  const policies: Record<string, ReturnType<typeof rbacPolicy>> = {};
  for (const rule of ruleSets.flatMap((set) => set[port])) policies[rule.name] = rbacPolicy(rule);
  return create(RBACSchema, { action: rbacAction(slot), policies });
}

function sourcesOf(ruleSets: readonly AuthorizationRuleSet[]): Provenance[] {
  return ruleSets.map((set) => set.source);
}
