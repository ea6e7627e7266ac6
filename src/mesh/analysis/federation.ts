/** TrustDomains by which nothing is federated, and rules that take another trust domain's workloads for the mesh's own. */
import type { AuthorizationSource } from "../../model/authorization-policy.ts";
import type { Resource } from "../../model/resource.ts";
import { trustDomainOf } from "../../model/trust-domain.ts";
import { nameOf, whyIdle } from "../federation.ts";
import type { Context } from "./context.ts";

export function findFederationTrouble(context: Context): void {
  const { mesh } = context;
  const known = new Set(mesh.federation.map(({ trustDomain }) => trustDomain));
  for (const one of context.of("TrustDomain")) checkDomain(context, one, known);
  if (known.size > 0) for (const policy of context.of("AuthorizationPolicy")) checkPolicy(context, policy, [...known].join(", "));
}

function checkDomain(context: Context, one: Resource<"TrustDomain">, known: ReadonlySet<string>): void {
  const { settings, federation } = context.mesh;
  const name = nameOf(one);
  const idle = whyIdle(one, settings);
  if (idle === "own") {
    const message = `${name} is the mesh's own trust domain, which its own authorities vouch for, and nobody else`;
    context.warn("noEffect", one, ["metadata", "name"], message, "name the other trust domain");
    return;
  }
  if (idle === "namespace") {
    const message = `a TrustDomain holds for the whole mesh, and only in namespace ${settings.rootNamespace}`;
    context.warn("noEffect", one, ["metadata", "namespace"], message, `move it to ${settings.rootNamespace}`);
    return;
  }
  const { namespace, name: resource } = one.metadata;
  const holds = federation.find(({ trustDomain }) => trustDomain === name)?.source;
  if (holds && (holds.namespace !== namespace || holds.name !== resource)) {
    context.warn(
      "noEffect",
      one,
      [],
      `TrustDomain ${holds.namespace}/${holds.name} is older, and holds for ${name}`,
      "remove one of the two",
    );
    return;
  }
  if (settings.trustDomainAliases.includes(name)) {
    const message = `${name} is one of the mesh's trustDomainAliases too, so policies take its workloads for the mesh's own`;
    context.warn("surprising", one, [], message, "take it out of trustDomainAliases, unless both are one mesh");
  }
  const endpoint = one.spec.bundleEndpoint.endpointSPIFFEID;
  if (endpoint === undefined) return;
  const path = ["spec", "bundleEndpoint", "endpointSPIFFEID"];
  const issuer = trustDomainOf(endpoint);
  if (issuer === name && one.spec.bundle === undefined) {
    const message = `the endpoint presents an SVID of ${name} itself, which nothing vouches for before a bundle of ${name} is known`;
    context.warn("noEffect", one, path, message, "write the present bundle of the other side into the field bundle");
  } else if (issuer !== name && !known.has(issuer)) {
    const message = `the endpoint is of trust domain ${issuer}, whose bundle nobody here knows`;
    context.warn("noEffect", one, path, message, `add a TrustDomain ${issuer}`);
  }
}

/** Istio's rules by namespace and by service account ask for no trust domain (pilot/pkg/security/authz/model/generator.go). */
function checkPolicy(context: Context, policy: Resource<"AuthorizationPolicy">, others: string): void {
  if ((policy.spec.action ?? "ALLOW") !== "ALLOW") return;
  for (const [index, { from = [], when = [] }] of (policy.spec.rules ?? []).entries()) {
    if (when.some(({ key, values = [] }) => /^source\.(?:principal|trustDomain)$/.test(key) && values.length > 0)) continue;
    for (const [at, { source }] of from.entries()) {
      const field = widest(source);
      if (field === undefined) continue;
      const message = `workloads of that name in ${others} are let in too: the rule asks for no trust domain`;
      const help = `write principals, or add a condition: {key: source.trustDomain, values: [${context.mesh.settings.trustDomain}]}`;
      context.warn("federatedCaller", policy, ["spec", "rules", index, "from", at, "source", field], message, help);
    }
  }
}

function widest(source: AuthorizationSource): "namespaces" | "serviceAccounts" | undefined {
  if (source.principals?.length || source.trustDomains?.length) return undefined;
  if (source.namespaces?.length) return "namespaces";
  return source.serviceAccounts?.length ? "serviceAccounts" : undefined;
}
