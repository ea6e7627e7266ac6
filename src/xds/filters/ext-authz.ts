/**
 * Action CUSTOM as Envoy filters, before all others: one that marks what the policies' rules match (RBAC's shadow rules, which write what
 * matched into metadata), and one that puts what is marked to the provider (ext_authz). Both get their configuration by name over ECDS, there or
 * not, so that no policy changes a listener. Envoy's ext_authz cannot be without a provider, so where there is none an RBAC filter without
 * rules, which lets everything through, takes its place: ECDS allows either type under the name.
 *
 * Where the provider cannot be asked, what the rules match is denied (Istio, pilot/pkg/security/authz/builder/builder.go buildHTTP and buildTCP,
 * extauthz.go).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ApiVersion } from "../../gen/envoy/config/core/v3/config_source_pb.ts";
import { TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.ts";
import type { GrpcServiceSchema } from "../../gen/envoy/config/core/v3/grpc_service_pb.ts";
import { RBACSchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import {
  type ExtAuthz,
  ExtAuthzSchema,
  type HttpServiceSchema,
} from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts";
import { RBACSchema as HttpRbacSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { ExtAuthzSchema as TcpExtAuthzSchema } from "../../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import type { ListStringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import type { EncodedResource } from "../../lib/encoded.ts";
import type { Provenance } from "../../lib/provenance.ts";
import type { CustomAuthorization } from "../../mesh/authorization.ts";
import type { AuthorizationProvider, HeaderPatterns } from "../../mesh/authorization-provider.ts";
import { customPrefix } from "../../mesh/authorization-rule.ts";
import { memoize } from "../../mesh/memo.ts";
import { durationOfMs } from "../duration.ts";
import { encodeResource, packAny } from "../encode.ts";
import { rbacAction, rbacPolicy } from "./rbac-policy.ts";

type Port = "http" | "tcp";

/** Under which RBAC's shadow rules write their result, and ext_authz reads it (pilot/pkg/security/authz/model/model.go). */
const MARK_PREFIX = "istio_ext_authz_";
const MARK = `${MARK_PREFIX}shadow_effective_policy_id`;
/** Where the RBAC filters keep their metadata, whatever they are called in the chain. */
const RBAC_METADATA: Readonly<Record<Port, string>> = { http: "envoy.filters.http.rbac", tcp: "envoy.filters.network.rbac" };

const MARK_NAME: Readonly<Record<Port, string>> = { http: "authz|http|custom", tcp: "authz|tcp|custom" };
const ASK_NAME: Readonly<Record<Port, string>> = { http: "authz|http|ext_authz", tcp: "authz|tcp|ext_authz" };

/** What the filters are called, and the types that each may be, in order. */
export const CUSTOM_FILTERS: Readonly<
  Record<Port, readonly { readonly name: string; readonly types: readonly { readonly typeName: string }[] }[]>
> = {
  http: [
    { name: MARK_NAME.http, types: [HttpRbacSchema] },
    { name: ASK_NAME.http, types: [ExtAuthzSchema, HttpRbacSchema] },
  ],
  tcp: [
    { name: MARK_NAME.tcp, types: [NetworkRbacSchema] },
    { name: ASK_NAME.tcp, types: [TcpExtAuthzSchema, NetworkRbacSchema] },
  ],
};

const NOBODY: CustomAuthorization = { ruleSets: [] };

/** Four resources, whichever policies there are. */
export function customResources(custom: CustomAuthorization = NOBODY): readonly EncodedResource[] {
  return resources(custom);
}

const resources = memoize((custom: CustomAuthorization): readonly EncodedResource[] => [
  ...[mark("http", custom), ask("http", custom)],
  ...[mark("tcp", custom), ask("tcp", custom)],
]);

function mark(port: Port, custom: CustomAuthorization): EncodedResource {
  const { provider, error } = custom;
  // A dry-run policy decides nothing, so nobody is asked for it. By HTTP nobody can be asked about a TCP connection: Istio leaves such a policy out there.
  const idle = custom.ruleSets.every(({ dryRun }) => dryRun) || (port === "tcp" && provider?.protocol === "HTTP");
  const rules = idle ? undefined : policies(port, custom, error === undefined ? "" : "-deny-due-to-bad-CUSTOM-action");
  const common = error === undefined ? { shadowRules: rules, shadowRulesStatPrefix: rules ? MARK_PREFIX : "" } : { rules };
  return extension(MARK_NAME[port], rbacFilter(port, common), idle ? [] : sourcesOf(custom));
}

function policies(port: Port, { ruleSets }: CustomAuthorization, suffix: string) {
  const rules = ruleSets.filter(({ dryRun }) => !dryRun).flatMap((set) => set[port]);
  return create(RBACSchema, {
    action: rbacAction("deny"),
    policies: Object.fromEntries(rules.map((rule) => [`${rule.name}${suffix}`, rbacPolicy(rule)])),
  });
}

function rbacFilter(port: Port, common: MessageInitShape<typeof HttpRbacSchema> & MessageInitShape<typeof NetworkRbacSchema> = {}) {
  if (port === "http") return packAny(HttpRbacSchema, create(HttpRbacSchema, common));
  return packAny(NetworkRbacSchema, create(NetworkRbacSchema, { ...common, statPrefix: "tcp." }));
}

function ask(port: Port, custom: CustomAuthorization): EncodedResource {
  const { provider } = custom;
  if (!provider || (port === "tcp" && provider.protocol === "HTTP")) return extension(ASK_NAME[port], rbacFilter(port), []);
  const filter =
    port === "http"
      ? packAny(ExtAuthzSchema, httpExtAuthz(provider))
      : packAny(
          TcpExtAuthzSchema,
          create(TcpExtAuthzSchema, {
            statPrefix: "tcp.",
            failureModeAllow: provider.failOpen,
            transportApiVersion: ApiVersion.V3,
            grpcService: grpcService(provider),
            filterEnabledMetadata: marked("tcp", provider),
          }),
        );
  return extension(ASK_NAME[port], filter, [provider.source, ...sourcesOf(custom)]);
}

function extension(name: string, typedConfig: ReturnType<typeof packAny>, sources: readonly Provenance[]): EncodedResource {
  return encodeResource(TypedExtensionConfigSchema, name, create(TypedExtensionConfigSchema, { name, typedConfig }), sources);
}

function sourcesOf({ ruleSets }: CustomAuthorization): Provenance[] {
  return ruleSets.map(({ source }) => source);
}

function httpExtAuthz(provider: AuthorizationProvider): ExtAuthz {
  const { statusOnError, http, body } = provider;
  const patterns = http && headerPatterns(http.requestHeaders);
  return create(ExtAuthzSchema, {
    statusOnError: statusOnError === undefined ? undefined : { code: statusOnError },
    failureModeAllow: provider.failOpen,
    transportApiVersion: ApiVersion.V3,
    services: http ? { case: "httpService", value: httpService(provider, http) } : { case: "grpcService", value: grpcService(provider) },
    filterEnabledMetadata: marked("http", provider),
    withRequestBody: body && { ...body },
    allowedHeaders: patterns,
    clearRouteCache: provider.clearRouteCache,
  });
}

function httpService(
  { host, cluster, timeoutMs }: AuthorizationProvider,
  http: NonNullable<AuthorizationProvider["http"]>,
): MessageInitShape<typeof HttpServiceSchema> {
  const { additionalHeaders, toUpstreamOnAllow, toDownstreamOnDeny, toDownstreamOnAllow } = http;
  return {
    pathPrefix: http.pathPrefix,
    serverUri: { uri: `http://${host}`, timeout: durationOfMs(timeoutMs), httpUpstreamType: { case: "cluster", value: cluster } },
    authorizationRequest:
      additionalHeaders.length > 0 ? { headersToAdd: additionalHeaders.map(([key, value]) => ({ key, value })) } : undefined,
    authorizationResponse:
      toUpstreamOnAllow.length + toDownstreamOnDeny.length + toDownstreamOnAllow.length > 0
        ? {
            allowedUpstreamHeaders: headerPatterns(toUpstreamOnAllow),
            allowedClientHeaders: headerPatterns(toDownstreamOnDeny),
            allowedClientHeadersOnSuccess: headerPatterns(toDownstreamOnAllow),
          }
        : undefined,
  };
}

function grpcService({ host, cluster, timeoutMs }: AuthorizationProvider): MessageInitShape<typeof GrpcServiceSchema> {
  return {
    targetSpecifier: { case: "envoyGrpc", value: { clusterName: cluster, authority: host } },
    timeout: durationOfMs(timeoutMs),
  };
}

function headerPatterns(patterns: HeaderPatterns): MessageInitShape<typeof ListStringMatcherSchema> | undefined {
  if (patterns.length === 0) return undefined;
  return {
    patterns: patterns.map((pattern) => ({
      ignoreCase: true,
      matchPattern: pattern.startsWith("*")
        ? { case: "suffix", value: pattern.slice(1) }
        : pattern.endsWith("*")
          ? { case: "prefix", value: pattern.slice(0, -1) }
          : { case: "exact", value: pattern },
    })),
  };
}

/** Whether the first filter marked the request with a rule of this provider. */
function marked(port: Port, { name }: AuthorizationProvider): MessageInitShape<typeof ExtAuthzSchema>["filterEnabledMetadata"] {
  return {
    filter: RBAC_METADATA[port],
    path: [{ segment: { case: "key", value: MARK } }],
    value: { matchPattern: { case: "stringMatch", value: { matchPattern: { case: "prefix", value: customPrefix(name) } } } },
  };
}
