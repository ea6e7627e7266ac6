/** Secrets that are named and not there, and certificates that are out of their time. */

import { validityOf } from "../../lib/pem.ts";
import type { Problem } from "../../lib/problem.ts";
import { problem } from "../../model/codes.ts";
import type { AnyResource, Resource } from "../../model/resource.ts";
import { authoritiesOf, pairOf } from "../../model/secret.ts";
import type { TrafficPolicy } from "../../model/traffic-policy.ts";
import { hasLabels } from "../callers.ts";
import {
  clientCredentials,
  credentialClusters,
  findCredentials,
  indexSecrets,
  namesSecret,
  type SecretIndex,
  serverCredentials,
} from "../credentials.ts";
import { isGateway } from "../gateways.ts";
import type { Context } from "./context.ts";

const APPLY = (namespace: string) => `apply the Secret to namespace ${namespace}`;

export function findMissingCredentials(context: Context): void {
  const secrets = indexSecrets(context.of("Secret"));
  findMissingAtServers(context, secrets);
  findMissingAtClients(context, secrets);
}

function findMissingAtServers(context: Context, secrets: SecretIndex): void {
  const proxies = context.workloads("*").filter(isGateway);
  for (const resource of context.of("Gateway")) {
    const serving = proxies.filter(({ labels }) => hasLabels(labels, resource.spec.selector));
    for (const [index, { tls }] of resource.spec.servers.entries()) {
      const names = tls && serverCredentials(tls);
      if (!names) continue;
      // Each namespace of proxies has Secrets of its own.
      for (const namespace of new Set(serving.map((proxy) => proxy.namespace))) {
        for (const message of findCredentials(names, namespace, secrets).missing) {
          context.warn(
            "unknownSecret",
            resource,
            ["spec", "servers", index, "tls"],
            `${message}: connections are closed`,
            APPLY(namespace),
          );
        }
      }
    }
  }
}

function findMissingAtClients(context: Context, secrets: SecretIndex): void {
  const { mesh } = context;
  // What callers see is not asked for, which would build it for all of them.
  if (!context.of("DestinationRule").some(namesSecret)) return;
  const rules = new Map(context.of("DestinationRule").map((rule) => [`${rule.metadata.namespace}/${rule.metadata.name}`, rule]));
  const told = new Set<string>();
  for (const workload of mesh.workloads.values()) {
    for (const cluster of credentialClusters(mesh.outbound.get(workload.key)?.clusters ?? [])) {
      const names = clientCredentials(cluster, workload);
      const source = cluster.sources.find(({ kind }) => kind === "DestinationRule");
      const rule = source && rules.get(`${source.namespace}/${source.name}`);
      if (!rule || names === undefined) continue;
      const missing = names === "ignored" ? [] : findCredentials(names, workload.namespace, secrets).missing;
      for (const message of missing) {
        const key = `${rule.metadata.namespace}/${rule.metadata.name} ${message}`;
        if (told.has(key)) continue;
        told.add(key);
        context.warn("unknownSecret", rule, credentialPath(rule), `${message}: calls are answered with 503`, APPLY(workload.namespace));
      }
      const key = `${rule.metadata.namespace}/${rule.metadata.name} sidecars`;
      if (names !== "ignored" || told.has(key)) continue;
      told.add(key);
      const message = "gateways alone read it: sidecars call in plaintext, as in Istio";
      context.warn("surprising", rule, credentialPath(rule), message, "add a workloadSelector for the sidecars that are to use it");
    }
  }
}

/** How long before its end a certificate is told of: time to renew it. */
const WEEK = 7 * 24 * 3_600_000;

/** Of the first credentialName of a rule. */
function credentialPath({ spec }: Resource<"DestinationRule">): readonly (string | number)[] {
  const within = (policy: TrafficPolicy | undefined, path: readonly (string | number)[]) => {
    if (policy?.tls?.credentialName) return [...path, "tls", "credentialName"];
    const port = policy?.portLevelSettings?.findIndex(({ tls }) => tls?.credentialName) ?? -1;
    return port < 0 ? undefined : [...path, "portLevelSettings", port, "tls", "credentialName"];
  };
  const own = within(spec.trafficPolicy, ["spec", "trafficPolicy"]);
  const subsets = (spec.subsets ?? []).map(({ trafficPolicy }, index) =>
    within(trafficPolicy, ["spec", "subsets", index, "trafficPolicy"]),
  );
  return own ?? subsets.find((path) => path !== undefined) ?? ["spec"];
}

/** Certificates of Secrets that clients would refuse at `now`, or soon; milliseconds since the epoch. Apart from the rest, which time does not change. */
export function findExpiredCertificates(resources: readonly AnyResource[], now: number): readonly Problem[] {
  return resources.flatMap((resource) => (resource.kind === "Secret" ? expiredIn(resource, now) : []));
}

function expiredIn({ kind, metadata, spec, source }: Resource<"Secret">, now: number): readonly Problem[] {
  const texts = [pairOf(spec)?.certificates, authoritiesOf(spec)?.certificates];
  return texts
    .flatMap((text) => validityOf(text ?? ""))
    .flatMap(({ subject, notBefore, notAfter }) => {
      const what = `the certificate of ${subject}`;
      const end = new Date(notAfter).toISOString();
      const message =
        now >= notAfter
          ? `${what} expired at ${end}`
          : now < notBefore
            ? `${what} is not valid before ${new Date(notBefore).toISOString()}`
            : notAfter - now < WEEK
              ? `${what} expires at ${end}`
              : undefined;
      if (message === undefined) return [];
      const { namespace, name } = metadata;
      return [
        problem("expiredCertificate", {
          severity: "warning",
          message,
          file: source.file,
          line: source.lines[""] ?? 1,
          column: 1,
          help: "apply the Secret again with a renewed certificate",
          resource: { kind, namespace, name },
        }),
      ];
    });
}
