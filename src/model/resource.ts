/**
 * What a resource is, everywhere in weft: Istio's envelope around a kind's spec, with the place in the user's file of each of its parts.
 */
import type { Provenance } from "../lib/provenance.ts";
import type { AuthorizationPolicySpec } from "./authorization-policy.ts";
import type { DestinationRuleSpec } from "./destination-rule.ts";
import type { EnvoyFilterSpec } from "./envoy-filter.ts";
import type { GatewaySpec } from "./gateway.ts";
import type { MeshConfigSpec } from "./mesh-config.ts";
import type { PeerAuthenticationSpec } from "./peer-authentication.ts";
import type { ProxyConfigSpec } from "./proxy-config.ts";
import type { RequestAuthenticationSpec } from "./request-authentication.ts";
import type { SecretSpec } from "./secret.ts";
import type { ServiceEntrySpec } from "./service-entry.ts";
import type { SidecarSpec } from "./sidecar.ts";
import type { TelemetrySpec } from "./telemetry.ts";
import type { TokenInjectionSpec } from "./token-injection.ts";
import type { TrustDomainSpec } from "./trust-domain.ts";
import type { VirtualServiceSpec } from "./virtual-service.ts";
import type { WorkloadEntrySpec } from "./workload-entry.ts";

import type { WorkloadGroupSpec } from "./workload-group.ts";
import type { WorkloadRegistrationSpec } from "./workload-registration.ts";
/** The spec of each kind, as the user wrote it (Istio's JSON names; durations stay strings), after validation. */
export interface Specs {
  ServiceEntry: ServiceEntrySpec;
  WorkloadEntry: WorkloadEntrySpec;
  VirtualService: VirtualServiceSpec;
  WorkloadGroup: WorkloadGroupSpec;
  DestinationRule: DestinationRuleSpec;
  Gateway: GatewaySpec;
  Sidecar: SidecarSpec;
  EnvoyFilter: EnvoyFilterSpec;
  PeerAuthentication: PeerAuthenticationSpec;
  AuthorizationPolicy: AuthorizationPolicySpec;
  RequestAuthentication: RequestAuthenticationSpec;
  ProxyConfig: ProxyConfigSpec;
  Telemetry: TelemetrySpec;
  TokenInjection: TokenInjectionSpec;
  TrustDomain: TrustDomainSpec;
  Secret: SecretSpec;
  MeshConfig: MeshConfigSpec;
  WorkloadRegistration: WorkloadRegistrationSpec;
}

export type Kind = keyof Specs;

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** RFC 3339. Set by the store at creation where the user gives none; decides "the oldest wins". */
  readonly creationTimestamp?: string;
  /** Only in input: the revision that the writer saw, for optimistic concurrency. */
  readonly resourceVersion?: string;
}

/**
 * Where a resource's parts stand: `lines` maps a dotted path ("", "metadata.name", "spec.http.0.route.1.weight") to a 1-based line.
 * Every map value and every list item of the document has an entry; "" is the document's first line.
 */
export interface Source {
  /** As the user named it, "<stdin>" or "<http>". */
  readonly file: string;
  readonly lines: Readonly<Record<string, number>>;
}

export interface Resource<K extends Kind = Kind> {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: Metadata;
  readonly spec: Specs[K];
  readonly source: Source;
}

/** Any resource, narrowed by its `kind`. */
export type AnyResource = { [K in Kind]: Resource<K> }[Kind];

/** "VirtualService/default/orders": unique in a store. */
export function resourceKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/** The provenance of the part of `resource` at `path`: the line of the nearest enclosing part that has one. */
export function provenanceOf(resource: Resource, ...path: readonly (string | number)[]): Provenance {
  const { kind, metadata, source } = resource;
  let line = source.lines[""] ?? 0;
  let place = "";
  for (const part of path) {
    place = place === "" ? `${part}` : `${place}.${part}`;
    line = source.lines[place] ?? line;
  }
  return { kind, namespace: metadata.namespace, name: metadata.name, file: source.file, line };
}
