/** Fields that are valid, and that what stands beside them leaves without effect, in Istio as in weft. */
import type { Provenance } from "../../lib/provenance.ts";
import { provenanceOf, type Resource } from "../../model/resource.ts";
import { isPassthrough } from "../../model/service-entry.ts";
import type { ClientTls, TrafficPolicy } from "../../model/traffic-policy.ts";
import type { Context, LooseResource } from "./context.ts";

type Path = readonly (string | number)[];

export function findWithoutEffect(context: Context): void {
  for (const resource of context.of("DestinationRule")) {
    checkPolicy(context, resource, ["spec", "trafficPolicy"], resource.spec.trafficPolicy);
    checkPassthrough(context, resource, ["spec", "trafficPolicy"], resource.spec.trafficPolicy);
    for (const [index, { trafficPolicy }] of (resource.spec.subsets ?? []).entries()) {
      checkPolicy(context, resource, ["spec", "subsets", index, "trafficPolicy"], trafficPolicy);
      checkPassthrough(context, resource, ["spec", "subsets", index, "trafficPolicy"], trafficPolicy);
    }
  }
  for (const resource of context.of("VirtualService")) {
    for (const [index, rule] of (resource.spec.http ?? []).entries()) checkRule(context, resource, ["spec", "http", index], rule);
  }
  for (const resource of context.of("MeshConfig")) {
    if (resource.spec.accessLogFormat && !resource.spec.accessLogFile && context.mesh.accessLogs.size === 0) {
      context.warn(
        "noEffect",
        resource,
        ["spec", "accessLogFormat"],
        "without accessLogFile no access log is written",
        "add accessLogFile: /dev/stdout",
      );
    }
  }
}

/** Nothing intercepts connections, so only of some services a caller means a place of its own: of those without a resolution. */
function checkPassthrough(context: Context, resource: Resource<"DestinationRule">, path: Path, policy: TrafficPolicy | undefined): void {
  const places = [
    ...(policy?.loadBalancer?.simple === "PASSTHROUGH" ? [path] : []),
    ...(policy?.portLevelSettings ?? []).flatMap(({ loadBalancer }, index) =>
      loadBalancer?.simple === "PASSTHROUGH" ? [[...path, "portLevelSettings", index]] : [],
    ),
  ];
  if (places.length === 0) return;
  const { spec, metadata } = resource;
  const service = context.service(spec.host, metadata.namespace);
  const entry = service && context.of("ServiceEntry").find((one) => sameSource(provenanceOf(one, "spec"), service.source));
  if (!entry || isPassthrough(entry.spec) || entry.spec.resolution === "DYNAMIC_DNS") return;
  for (const at of places) {
    const message = `callers of ${service.host} mean no address of their own, as nothing intercepts them: LEAST_REQUEST chooses an instance`;
    context.warn("noEffect", resource, [...at, "loadBalancer", "simple"], message, "write RANDOM, or what is meant");
  }
}

const sameSource = (a: Provenance, b: Provenance) => a.namespace === b.namespace && a.name === b.name;

function checkPolicy(context: Context, resource: LooseResource, path: Path, policy: TrafficPolicy | undefined): void {
  if (policy?.tls) checkTls(context, resource, [...path, "tls"], policy.tls);
  for (const [index, { tls }] of (policy?.portLevelSettings ?? []).entries()) {
    if (tls) checkTls(context, resource, [...path, "portLevelSettings", index, "tls"], tls);
  }
}

const CERTIFICATE = ["clientCertificate", "privateKey"] as const;
const VERIFICATION = ["caCertificates", "caCrl", "insecureSkipVerify"] as const;

/** By mode: what it leaves unused. ISTIO_MUTUAL has the mesh's own certificates. */
const UNUSED: Readonly<Record<string, readonly string[]>> = {
  DISABLE: [...CERTIFICATE, ...VERIFICATION, "credentialName", "sni", "subjectAltNames"],
  SIMPLE: CERTIFICATE,
  MUTUAL: [],
  ISTIO_MUTUAL: [...CERTIFICATE, ...VERIFICATION, "credentialName"],
};

function checkTls(context: Context, resource: LooseResource, path: Path, tls: ClientTls): void {
  const mode = tls.mode ?? "DISABLE";
  for (const field of UNUSED[mode] ?? []) {
    const value = (tls as Readonly<Record<string, unknown>>)[field];
    if (!value || (Array.isArray(value) && value.length === 0)) continue;
    context.warn(
      "noEffect",
      resource,
      [...path, field],
      `mode ${mode} does not use it`,
      mode === "DISABLE" && !tls.mode ? "write the mode that is meant" : undefined,
    );
  }
}

/** A rule that answers by itself sends nothing on. */
const FORWARDING = ["timeout", "retries", "mirror", "mirrors", "mirrorPercent", "mirrorPercentage"] as const;
const MIRRORED = ["mirrorPercent", "mirrorPercentage"] as const;

function checkRule(context: Context, resource: LooseResource, path: Path, rule: Readonly<Record<string, unknown>>): void {
  const answer = ["redirect", "directResponse"].find((field) => rule[field] !== undefined);
  for (const field of answer ? FORWARDING : rule.mirror ? [] : MIRRORED) {
    if (rule[field] === undefined) continue;
    const why = answer ? `a ${answer} sends no request on` : "there is no mirror";
    context.warn("noEffect", resource, [...path, field], why);
  }
  for (const [index, match] of ((rule.match ?? []) as readonly Match[]).entries()) {
    const at = [...path, "match", index];
    if (match.ignoreUriCase && match.uri?.exact === undefined && match.uri?.prefix === undefined) {
      context.warn(
        "noEffect",
        resource,
        [...at, "ignoreUriCase"],
        "it goes with uri.exact and uri.prefix only",
        "begin the expression with (?i)",
      );
    }
    for (const field of match.gateways?.length ? (["sourceLabels", "sourceNamespace"] as const) : []) {
      if (match[field] === undefined) continue;
      context.warn("noEffect", resource, [...at, field], "gateways stands beside it, which makes Istio ignore it", "write two matches");
    }
  }
}

interface Match {
  readonly ignoreUriCase?: boolean;
  readonly uri?: { readonly exact?: string; readonly prefix?: string };
  readonly gateways?: readonly string[];
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
}
