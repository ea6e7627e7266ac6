/** The column SUMMARY of `weft get`: what a person wants to know first about a resource of its kind. */
import type { ApiResource } from "../admin/control-plane.ts";

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});
const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const word = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");
const words = (values: readonly unknown[]): string => [...new Set(values.map(word).filter(Boolean))].join(",");
const each = (value: unknown, field: string): readonly unknown[] => itemsOf(value).map((item) => fieldsOf(item)[field]);

/** By kind; a kind without an entry is summed up by the fields that it sets. */
const SUMMARIES: Readonly<Record<string, (spec: Fields, resource: Fields) => string>> = {
  ServiceEntry: ({ hosts }) => words(itemsOf(hosts)),
  VirtualService: ({ hosts }) => words(itemsOf(hosts)),
  DestinationRule: ({ host }) => word(host),
  WorkloadEntry: ({ address }) => word(address),
  WorkloadGroup: ({ template }) => word(fieldsOf(template).serviceAccount),
  Gateway: ({ servers }) => words(each(servers, "hosts").flatMap(itemsOf)),
  Sidecar: ({ egress }) => words(each(egress, "hosts").flatMap(itemsOf)),
  EnvoyFilter: ({ configPatches }) => words(each(configPatches, "applyTo")),
  PeerAuthentication: ({ mtls }) => word(fieldsOf(mtls).mode),
  AuthorizationPolicy: ({ action = "ALLOW" }) => word(action),
  RequestAuthentication: ({ jwtRules }) => words(each(jwtRules, "issuer")),
  TokenInjection: ({ audience, hosts }) => `${word(audience)} to ${words(itemsOf(hosts))}`,
  TrustDomain: ({ bundleEndpoint }) => word(fieldsOf(bundleEndpoint).url),
  WorkloadRegistration: ({ serviceAccount, workload }) => word(serviceAccount ?? workload),
  Secret: (_, { type = "Opaque" }) => word(type),
};

export function summaryOf(resource: ApiResource): string {
  const spec = fieldsOf(resource.spec);
  const known = SUMMARIES[resource.kind]?.(spec, { ...resource });
  return known || Object.keys(spec).join(",");
}
