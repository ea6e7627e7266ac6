/**
 * Certificates and CA certificates from Secrets, by the names that Gateways and DestinationRules give them (Istio, pilot/pkg/xds/sds.go and
 * pilot/pkg/credentials/kube/secrets.go). A Secret is looked for in the namespace of the proxy that needs it, and goes to no other's proxies.
 */

import { certificatesIn, privateKeyIn, revocationsIn } from "../lib/pem.ts";
import type { Provenance } from "../lib/provenance.ts";
import { credentialResource, parseCredentialName } from "../model/credential-name.ts";
import type { ServerTls } from "../model/gateway-tls.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { authoritiesOf, pairOf } from "../model/secret.ts";
import { compareText } from "./hosts.ts";
import { memoize } from "./memo.ts";
import type { OutboundCluster } from "./outbound-clusters.ts";
import type { Mesh, Workload } from "./types.ts";

/** The private key stands in it: it may become an SDS secret of the proxies that need it, and nothing else. */
export interface Credential {
  /** Of the SDS resource: "kubernetes://front", "kubernetes://front-cacert". */
  readonly name: string;
  /** PEM, the blocks that are needed and nothing besides. */
  readonly content:
    | { readonly chain: string; readonly key: string }
    | { readonly authorities: string /** "" for none. */; readonly revocations: string };
  readonly source: Provenance;
}

/** SDS resources that TLS needs; without one of them there is no such TLS. */
export interface CredentialNames {
  readonly certificates: readonly string[];
  readonly authorities?: string;
}

const AUTHORITIES_SUFFIX = "-cacert";

/** What a server shows, and judges its clients by, where that comes from Secrets; undefined where it comes from files, or there is none. */
export function serverCredentials(tls: ServerTls): CredentialNames | undefined {
  const { mode, credentialName, credentialNames = [], caCertCredentialName } = tls;
  if (mode !== "SIMPLE" && mode !== "MUTUAL" && mode !== "OPTIONAL_MUTUAL") return undefined;
  const names = credentialNames.length > 0 ? credentialNames : credentialName ? [credentialName] : [];
  const [first] = names;
  if (first === undefined) return undefined;
  const certificates = names.map(credentialResource);
  if (mode === "SIMPLE") return { certificates };
  return { certificates, authorities: credentialResource(caCertCredentialName || `${first}${AUTHORITIES_SUFFIX}`) };
}

/**
 * The same for calls to a cluster whose DestinationRule has a credentialName. "ignored": a sidecar reads Secrets only where the rule selects
 * workloads, and without TLS the call goes on in plaintext, as in Istio (cluster_tls.go, buildUpstreamClusterTLSContext).
 */
export function clientCredentials(
  { policy, selected }: OutboundCluster,
  { type }: Pick<Workload, "type">,
): CredentialNames | "ignored" | undefined {
  const { mode, credentialName, insecureSkipVerify } = policy.tls ?? {};
  if (!credentialName || (mode !== "SIMPLE" && mode !== "MUTUAL")) return undefined;
  if (type !== "gateway" && !selected) return "ignored";
  const authorities = insecureSkipVerify ? undefined : credentialResource(`${credentialName}${AUTHORITIES_SUFFIX}`);
  return { certificates: mode === "MUTUAL" ? [credentialResource(credentialName)] : [], authorities };
}

/** Of Secrets, by namespace and name. */
export type SecretIndex = ReadonlyMap<string, Resource<"Secret">>;

export function indexSecrets(secrets: readonly Resource<"Secret">[]): SecretIndex {
  return new Map(secrets.map((secret) => [`${secret.metadata.namespace}/${secret.metadata.name}`, secret]));
}

/** What a proxy of `namespace` gets under the names; those that are missing are told with what is wrong. */
export function findCredentials(
  { certificates, authorities }: CredentialNames,
  namespace: string,
  secrets: SecretIndex,
): { readonly found: readonly Credential[]; readonly missing: readonly string[] } {
  const found: Credential[] = [];
  const missing: string[] = [];
  const take = (name: string, part: Part) => {
    const one = findOne(name, part, namespace, secrets);
    if (typeof one === "string") missing.push(one);
    else found.push(one);
  };
  for (const name of certificates) take(name, "certificate");
  if (authorities !== undefined) take(authorities, "authorities");
  return { found, missing };
}

type Part = "certificate" | "authorities";

function findOne(resource: string, part: Part, namespace: string, secrets: SecretIndex): Credential | string {
  const parsed = parseCredentialName(resource);
  if (!parsed) return `${resource} names no Secret`;
  if (parsed.namespace !== undefined && parsed.namespace !== namespace) {
    return `Secret ${parsed.namespace}/${parsed.name} is of another namespace than the proxy, ${namespace}`;
  }
  const { name } = parsed;
  // A Secret may hold its CA certificates itself (GetCaCert).
  const isSuffixed = part === "authorities" && name.endsWith(AUTHORITIES_SUFFIX);
  const plain = isSuffixed ? name.slice(0, -AUTHORITIES_SUFFIX.length) : name;
  const secret = secrets.get(`${namespace}/${name}`) ?? secrets.get(`${namespace}/${plain}`);
  if (!secret) return `there is no Secret ${namespace}/${plain}${isSuffixed ? `, nor ${name}` : ""}`;
  const credential = credentialsOf(secret).get(part)?.(resource);
  if (credential) return credential;
  const keys = part === "certificate" ? "tls.crt and tls.key, nor cert and key" : "ca.crt, nor cacert";
  return `Secret ${namespace}/${secret.metadata.name} has neither ${keys}`;
}

/** By part: one object for each name under which it is asked for. */
const credentialsOf = memoize((secret: Resource<"Secret">): ReadonlyMap<Part, (name: string) => Credential> => {
  const source = provenanceOf(secret);
  const pair = pairOf(secret.spec);
  const roots = authoritiesOf(secret.spec);
  const parts = new Map<Part, (name: string) => Credential>();
  const keep = (part: Part, content: Credential["content"]) => {
    const known = new Map<string, Credential>();
    parts.set(part, (name) => {
      const credential = known.get(name) ?? { name, content, source };
      known.set(name, credential);
      return credential;
    });
  };
  if (pair) keep("certificate", { chain: certificatesIn(pair.certificates), key: privateKeyIn(pair.key) });
  if (roots) keep("authorities", { authorities: certificatesIn(roots.certificates), revocations: revocationsIn(roots.revocations) });
  return parts;
});

/** By workload key: what its proxy needs and may have, sorted by name; no entry where it needs none. */
export function buildCredentials(
  secrets: SecretIndex,
  { workloads, outbound, gateways }: Pick<Mesh, "workloads" | "outbound" | "gateways">,
  previous?: Mesh["credentials"],
): Mesh["credentials"] {
  const built = new Map<string, readonly Credential[]>();
  if (outbound.size === 0 && gateways.size === 0) return built;
  for (const workload of workloads.values()) {
    const servers = (gateways.get(workload.key)?.listeners ?? []).flatMap(({ chains }) =>
      chains.flatMap(({ credentials }) => credentials ?? []),
    );
    const calls = credentialClusters(outbound.get(workload.key)?.clusters ?? NO_CLUSTERS).flatMap((cluster) => {
      const names = clientCredentials(cluster, workload);
      return names === undefined || names === "ignored" ? [] : [names];
    });
    const found = [...servers, ...calls].flatMap((names) => findCredentials(names, workload.namespace, secrets).found);
    if (found.length === 0) continue;
    const sorted = [...new Map(found.map((one) => [one.name, one])).values()].sort((a, b) => compareText(a.name, b.name));
    const before = previous?.get(workload.key);
    const isSame = before?.length === sorted.length && sorted.every((one, at) => one === before[at]);
    built.set(workload.key, isSame && before ? before : sorted);
  }
  return built;
}

const NO_CLUSTERS: readonly OutboundCluster[] = [];

/** Those that name a Secret. */
export const credentialClusters = memoize((clusters: readonly OutboundCluster[]): readonly OutboundCluster[] =>
  clusters.filter(({ policy }) => policy.tls?.credentialName),
);

/** Whether a cluster of its host may name a Secret. */
export function namesSecret({ spec }: Resource<"DestinationRule">): boolean {
  const policies = [spec.trafficPolicy, ...(spec.subsets ?? []).map(({ trafficPolicy }) => trafficPolicy)];
  return policies.some((policy) => [policy, ...(policy?.portLevelSettings ?? [])].some((one) => one?.tls?.credentialName));
}
