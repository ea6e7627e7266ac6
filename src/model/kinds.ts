/** The kinds that weft serves: their API groups, the names people call them by, their schemas. */
import type * as v from "valibot";
import { AuthorizationPolicySchema } from "./authorization-policy.ts";
import { DestinationRuleSchema } from "./destination-rule.ts";
import { EnvoyFilterSchema } from "./envoy-filter.ts";
import { GatewaySchema } from "./gateway.ts";
import { MeshConfigSchema } from "./mesh-config.ts";
import { PeerAuthenticationSchema } from "./peer-authentication.ts";
import { ProxyConfigSchema } from "./proxy-config.ts";
import { RequestAuthenticationSchema } from "./request-authentication.ts";
import type { Kind } from "./resource.ts";
import { SecretSchema } from "./secret.ts";
import { ServiceEntrySchema } from "./service-entry.ts";
import { SidecarSchema } from "./sidecar.ts";
import { nearest } from "./suggest.ts";
import { TelemetrySchema } from "./telemetry.ts";
import { TokenInjectionSchema } from "./token-injection.ts";
import { TrustDomainSchema } from "./trust-domain.ts";
import { VirtualServiceSchema } from "./virtual-service.ts";
import { WorkloadEntrySchema } from "./workload-entry.ts";

import { WorkloadGroupSchema } from "./workload-group.ts";
import { WorkloadRegistrationSchema } from "./workload-registration.ts";
export interface KindInfo<K extends Kind = Kind> {
  readonly kind: K;
  readonly group: string;
  /** Newest first. */
  readonly versions: readonly string[];
  /** As in an address of Kubernetes' API, "virtualservices". */
  readonly plural: string;
  /** As kubectl's users type them, "vs". */
  readonly shortNames: readonly string[];
  /** The schema of the spec. */
  readonly schema: v.GenericSchema;
  /** Whether it has no `spec`: its fields stand beside the metadata, as those of Kubernetes' own kinds do. */
  readonly isFlat?: true;
}

const NETWORKING = { group: "networking.istio.io", versions: ["v1", "v1beta1", "v1alpha3"] } as const;
const SECURITY = { group: "security.istio.io", versions: ["v1", "v1beta1"] } as const;

export const KINDS: { readonly [K in Kind]: KindInfo<K> } = {
  ServiceEntry: { kind: "ServiceEntry", ...NETWORKING, plural: "serviceentries", shortNames: ["se"], schema: ServiceEntrySchema },
  WorkloadEntry: { kind: "WorkloadEntry", ...NETWORKING, plural: "workloadentries", shortNames: ["we"], schema: WorkloadEntrySchema },
  WorkloadGroup: { kind: "WorkloadGroup", ...NETWORKING, plural: "workloadgroups", shortNames: ["wg"], schema: WorkloadGroupSchema },
  VirtualService: { kind: "VirtualService", ...NETWORKING, plural: "virtualservices", shortNames: ["vs"], schema: VirtualServiceSchema },
  DestinationRule: {
    kind: "DestinationRule",
    ...NETWORKING,
    plural: "destinationrules",
    shortNames: ["dr"],
    schema: DestinationRuleSchema,
  },
  Gateway: { kind: "Gateway", ...NETWORKING, plural: "gateways", shortNames: ["gw"], schema: GatewaySchema },
  Sidecar: { kind: "Sidecar", ...NETWORKING, plural: "sidecars", shortNames: ["sidecar"], schema: SidecarSchema },
  EnvoyFilter: {
    kind: "EnvoyFilter",
    group: "networking.istio.io",
    versions: ["v1alpha3"],
    plural: "envoyfilters",
    shortNames: ["ef"],
    schema: EnvoyFilterSchema,
  },
  PeerAuthentication: {
    kind: "PeerAuthentication",
    ...SECURITY,
    plural: "peerauthentications",
    shortNames: ["pa"],
    schema: PeerAuthenticationSchema,
  },
  AuthorizationPolicy: {
    kind: "AuthorizationPolicy",
    ...SECURITY,
    plural: "authorizationpolicies",
    shortNames: ["ap"],
    schema: AuthorizationPolicySchema,
  },
  RequestAuthentication: {
    kind: "RequestAuthentication",
    ...SECURITY,
    plural: "requestauthentications",
    shortNames: ["ra"],
    schema: RequestAuthenticationSchema,
  },
  ProxyConfig: {
    kind: "ProxyConfig",
    group: "networking.istio.io",
    versions: ["v1beta1"],
    plural: "proxyconfigs",
    shortNames: ["proxyconfig"],
    schema: ProxyConfigSchema,
  },
  Telemetry: {
    kind: "Telemetry",
    group: "telemetry.istio.io",
    versions: ["v1", "v1alpha1"],
    plural: "telemetries",
    shortNames: ["telemetry"],
    schema: TelemetrySchema,
  },
  TokenInjection: {
    kind: "TokenInjection",
    group: "weft.dev",
    versions: ["v1"],
    plural: "tokeninjections",
    shortNames: ["ti"],
    schema: TokenInjectionSchema,
  },
  TrustDomain: {
    kind: "TrustDomain",
    group: "weft.dev",
    versions: ["v1"],
    plural: "trustdomains",
    shortNames: ["td"],
    schema: TrustDomainSchema,
  },
  Secret: { kind: "Secret", group: "", versions: ["v1"], plural: "secrets", shortNames: [], schema: SecretSchema, isFlat: true },
  MeshConfig: {
    kind: "MeshConfig",
    group: "weft.dev",
    versions: ["v1"],
    plural: "meshconfigs",
    shortNames: ["mc"],
    schema: MeshConfigSchema,
  },
  WorkloadRegistration: {
    kind: "WorkloadRegistration",
    group: "weft.dev",
    versions: ["v1"],
    plural: "workloadregistrations",
    shortNames: ["wr"],
    schema: WorkloadRegistrationSchema,
  },
};

/** "networking.istio.io/v1"; Kubernetes' own kinds have no group. */
export const apiVersionsOf = ({ group, versions }: KindInfo): readonly string[] =>
  versions.map((version) => (group ? `${group}/${version}` : version));

/** Other names of kinds in documents. */
export const KIND_ALIASES: Readonly<Record<string, Kind>> = { PeerAuthenticationPolicy: "PeerAuthentication" };

/** Istio's other kinds, refused as not translated yet. */
export const LATER_KINDS: ReadonlySet<string> = new Set(["TrafficExtension", "WasmPlugin"]);

/** The schema of a kind's spec, for OpenAPI. */
export const schemaOf = (kind: Kind): v.GenericSchema => KINDS[kind].schema;

const BY_NAME = new Map<string, KindInfo>();
for (const info of Object.values(KINDS)) {
  for (const name of [info.kind, info.plural, ...(info.group ? [`${info.plural}.${info.group}`] : []), ...info.shortNames])
    BY_NAME.set(name.toLowerCase(), info);
}
for (const [alias, kind] of Object.entries(KIND_ALIASES)) BY_NAME.set(alias.toLowerCase(), KINDS[kind]);

export interface KindSearch {
  readonly found?: KindInfo;
  /** Istio's kind of that name, which is not translated yet. */
  readonly later?: string;
  readonly suggestion?: Kind;
}

/** The kind, its plural (gateways, proxyconfigs, telemetries), and the name of Kubernetes' definition (gateways.networking.istio.io). */
function isNameOf(kind: string, text: string): boolean {
  const name = kind.toLowerCase();
  const [word = ""] = text.split(".");
  return [name, `${name}s`, name.replace(/y$/, "ies")].includes(word);
}

/** The kind that `text` names: "VirtualService", "virtualservices", "vs", in any case. Else the nearest kind's name, where one is near. */
export function findKind(text: string): KindSearch {
  const found = BY_NAME.get(text.toLowerCase());
  if (found) return { found };
  const [later] = [...LATER_KINDS].filter((kind) => isNameOf(kind, text.toLowerCase()));
  if (later) return { later };
  const near = nearest(text, BY_NAME.keys());
  return { suggestion: near === undefined ? undefined : BY_NAME.get(near)?.kind };
}
