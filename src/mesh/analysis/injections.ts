/** TokenInjections by which no call carries a token, and RequestAuthentications that take the mesh's tokens too widely, or not at all. */

import { canonicalHost } from "../../model/host.ts";
import type { Resource } from "../../model/resource.ts";
import { covers, isWildcard } from "../hosts.ts";
import { issuerOf } from "../request-authentication.ts";
import { isHttp } from "../services.ts";
import { injectionsFor } from "../token-injection.ts";
import type { Service, Workload } from "../types.ts";
import { type Context, nameOf, some } from "./context.ts";

type TokenInjection = Resource<"TokenInjection">;

export function findLostInjections(context: Context): void {
  const all = context.of("TokenInjection");
  for (const one of all) {
    const selected = workloadsOf(context, one);
    checkCallers(context, one, selected);
    for (const [index, host] of one.spec.hosts.entries()) checkHost(context, one, index, host, selected, all);
  }
  for (const policy of context.of("RequestAuthentication")) checkRules(context, policy);
}

const isSelective = ({ selector }: TokenInjection["spec"]) => Object.keys(selector?.matchLabels ?? {}).length > 0;

function workloadsOf(context: Context, { metadata, spec }: TokenInjection): readonly Workload[] {
  if (isSelective(spec)) return context.workloads(metadata.namespace, spec.selector?.matchLabels);
  const all = context.workloads(metadata.namespace === context.mesh.settings.rootNamespace ? "*" : metadata.namespace);
  return all.filter(({ type }) => type !== "gateway");
}

/** What a selector does not find is told of by selections.ts. */
function checkCallers(context: Context, one: TokenInjection, selected: readonly Workload[]): void {
  const path = isSelective(one.spec) ? ["spec", "selector", "matchLabels"] : ["metadata", "name"];
  const nobody = selected.filter(({ spiffeId }) => !spiffeId);
  if (nobody.length > 0) {
    const message = `${some(nobody.map(({ key }) => key))} has no service account, so no identity that a token could tell: its calls carry none`;
    context.warn("noEffect", one, path, message, "give its WorkloadEntry a serviceAccount, or select others");
  }
  if (selected.length === 0 && !isSelective(one.spec)) {
    const where = `namespace ${one.metadata.namespace}`;
    context.warn("selectsNothing", one, path, `there is no workload of ${where} but gateways, where only a selector is heeded`);
  }
}

function checkHost(
  context: Context,
  one: TokenInjection,
  index: number,
  host: string,
  selected: readonly Workload[],
  all: readonly TokenInjection[],
): void {
  const path = ["spec", "hosts", index];
  const { settings, services } = context.mesh;
  const pattern = canonicalHost(host, one.metadata.namespace, settings.domain);
  const meant = [...services.values()].filter((service) => covers(pattern, service.host));
  if (meant.length === 0) {
    const [wider] = [...services.keys()].filter((known) => isWildcard(known) && covers(known, pattern));
    const message = wider
      ? `${host} is one of many names of the service ${wider}, and a token for it must reach none of the others: calls carry none`
      : `there is no service ${pattern}: no call carries the token`;
    context.warn("unknownHost", one, path, message, wider ? `write ${wider}, or a ServiceEntry for ${host}` : undefined);
    return;
  }
  if (meant.every(({ ports }) => !ports.some(({ protocol }) => isHttp(protocol)))) {
    context.warn("noEffect", one, path, `${host} has no HTTP port, and elsewhere there is no header to write`, "declare its port as HTTP");
  }
  const other = holderElsewhere(context, one, meant, selected, all);
  if (other) {
    const message = `${nameOf(other.holder)} holds for ${host} at ${some(other.at)}: of several one adds its token`;
    context.warn("ignoredPolicy", one, path, message, "let each host be named by one of them, or select workloads");
  }
}

/** The TokenInjection of the same scope that stands in place of this one, at every workload that it is for. */
function holderElsewhere(
  { mesh }: Context,
  one: TokenInjection,
  meant: readonly Service[],
  selected: readonly Workload[],
  all: readonly TokenInjection[],
): { readonly holder: TokenInjection; readonly at: readonly string[] } | undefined {
  const { domain, rootNamespace } = mesh.settings;
  const names = ({ metadata, spec }: TokenInjection, { host }: Service) =>
    spec.hosts.some((pattern) => covers(canonicalHost(pattern, metadata.namespace, domain), host));
  const holding = selected.flatMap((workload) => {
    const candidates = injectionsFor(all, workload, rootNamespace);
    const holders = meant.map((service) => candidates.find((candidate) => names(candidate, service)));
    const [first] = holders.filter((holder) => holder !== undefined && holder !== one);
    const sameScope = first && first.metadata.namespace === one.metadata.namespace && isSelective(first.spec) === isSelective(one.spec);
    return first && sameScope ? [{ holder: first, key: workload.key }] : [];
  });
  const [first] = holding;
  return first && { holder: first.holder, at: holding.map(({ key }) => key) };
}

function checkRules(context: Context, policy: Resource<"RequestAuthentication">): void {
  const { trustDomain, federatedTrustDomains = [] } = context.mesh.settings;
  for (const [index, { issuer = "", jwks, jwksUri, audiences = [] }] of (policy.spec.jwtRules ?? []).entries()) {
    if (jwks || jwksUri || !issuer.startsWith("spiffe://")) continue;
    const path = ["spec", "jwtRules", index];
    const known = [trustDomain, ...federatedTrustDomains].map(issuerOf);
    if (!known.includes(issuer)) {
      const message = `the keys of ${issuer} are not known here: its tokens are refused`;
      context.warn(
        "neverMatches",
        policy,
        [...path, "issuer"],
        message,
        `this mesh's issuer is ${issuerOf(trustDomain)}; of others write jwks`,
      );
    } else if (audiences.length === 0) {
      const message = "names no audiences, and JWT-SVIDs are for one: its tokens are refused";
      context.warn("neverMatches", policy, path, message, "write audiences: what TokenInjections for this service say");
    }
  }
}
