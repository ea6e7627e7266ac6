/**
 * What a single value of an AuthorizationPolicy asks for. Stars mean different things by field, as in Istio:
 * pilot/pkg/security/authz/model/generator.go, matcher/string.go, matcher/header.go.
 */
import { type Cidr, parseCidr } from "../lib/ip.ts";
import { namespaceAlias, principalAliases, serviceAccountAlias, trustDomainAliases } from "./authorization-trust-domain.ts";
import type { Settings } from "./types.ts";

/** How a text must look. A regex is RE2 and must match the whole text; "present" is met by any text, even an empty one. */
export type TextMatch =
  | { readonly kind: "exact" | "prefix" | "suffix"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: "regex"; readonly value: string }
  | { readonly kind: "present" };

export type Condition =
  /** The URI SAN of the peer's verified certificate; never met without one. */
  | { readonly kind: "principal"; readonly match: TextMatch }
  /** `source`: the connection's peer; `remote`: the client as x-forwarded-for tells it; `destination`: the local address. */
  | { readonly kind: "source-ip" | "remote-ip" | "destination-ip"; readonly cidr: Cidr }
  | { readonly kind: "destination-port"; readonly port: number }
  | { readonly kind: "sni"; readonly match: TextMatch }
  /** `name` in lower case; ":authority" and ":method" too. */
  | { readonly kind: "header"; readonly name: string; readonly match: TextMatch }
  /**
   * The claims iss and sub of a token that RequestAuthentication accepted; never met without one. Both must be texts.
   */
  | { readonly kind: "request-principal"; readonly issuer: TextMatch; readonly subject: TextMatch }
  /** A claim of such a token, by its path: a text that matches, or a list with an element that does. Claims that scope what a rule
   * calls space-delimited are lists. Never met without a token, without the claim, or by another type. */
  | { readonly kind: "claim"; readonly path: readonly string[]; readonly match: TextMatch }
  /** Envoy's dynamic metadata of a filter: a text, or with `list` an element of a list. Never met where no filter writes it. */
  | { readonly kind: "metadata"; readonly filter: string; readonly key: string; readonly list: boolean; readonly match: TextMatch }
  /** The path without its query. */
  | { readonly kind: "path"; readonly match: TextMatch }
  /** As Envoy's URI template: "*" is one segment, "**" any rest. */
  | { readonly kind: "path-template"; readonly template: string };

/** Envoy keeps a policy's conditions in two lists: what is asked for, and who asks. */
export type Part = "permission" | "principal";

export type Subject = {
  readonly kind:
    | "principal"
    | "namespace"
    | "service-account"
    | "trust-domain"
    | "source-ip"
    | "remote-ip"
    | "destination-ip"
    | "destination-port"
    | "sni"
    | "header"
    | "host"
    | "method"
    | "path"
    | "request-principal"
    | "claim"
    | "metadata"
    | "unknown";
  readonly part: Part;
  /** For "header"; for "metadata" the filter's. */
  readonly name?: string;
  /** For "claim"; for "metadata" the key alone. */
  readonly path?: readonly string[];
};

/** What a TCP port knows nothing of. */
export const HTTP_ONLY: ReadonlySet<Subject["kind"]> = new Set(["header", "host", "method", "path", "request-principal", "claim"]);

const SUBJECTS: Readonly<Record<string, Subject>> = {
  "destination.ip": { kind: "destination-ip", part: "permission" },
  "destination.port": { kind: "destination-port", part: "permission" },
  "connection.sni": { kind: "sni", part: "permission" },
  "operation.hosts": { kind: "host", part: "permission" },
  "operation.methods": { kind: "method", part: "permission" },
  "operation.paths": { kind: "path", part: "permission" },
  "source.ip": { kind: "source-ip", part: "principal" },
  "remote.ip": { kind: "remote-ip", part: "principal" },
  "source.namespace": { kind: "namespace", part: "principal" },
  "source.trustDomain": { kind: "trust-domain", part: "principal" },
  "source.serviceAccount": { kind: "service-account", part: "principal" },
  "source.principal": { kind: "principal", part: "principal" },
  "request.auth.principal": { kind: "request-principal", part: "principal" },
  "request.auth.audiences": { kind: "claim", part: "principal", path: ["aud"] },
  "request.auth.presenter": { kind: "claim", part: "principal", path: ["azp"] },
};

/** What a `when` key or a field stands for. */
export function subjectOfKey(key: string): Subject {
  const subject = Object.hasOwn(SUBJECTS, key) ? SUBJECTS[key] : undefined;
  if (subject) return subject;
  const name = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (name !== undefined) return { kind: "header", part: "principal", name: name.toLowerCase() };
  const claims = /^request\.auth\.claims(\[.+\])$/.exec(key)?.[1];
  if (claims !== undefined) return { kind: "claim", part: "principal", path: claimPath(claims) };
  const [, filter, field] = /^experimental\.(envoy\.filters\.[^[]*)\[(.+)\]$/.exec(key) ?? [];
  if (filter !== undefined && field !== undefined) return { kind: "metadata", part: "permission", name: filter, path: [field] };
  // The model refuses what is not translated; should it come through, it counts as undecidable, which never lets more in.
  return { kind: "unknown", part: "principal" };
}

/** "[a][b]" is the claim b inside the claim a; anything else in brackets is one name, "[a[b]" too (Istio, util.go extractNameInNestedBrackets). */
function claimPath(brackets: string): readonly string[] {
  if (!/^(?:\[[^[\]]*\])+$/.test(brackets)) return [brackets.slice(1, -1)];
  return brackets.slice(1, -1).split("][");
}

export interface ConditionContext {
  /** The policy's: where a service account without a namespace lives. */
  readonly namespace: string;
  readonly settings: Settings;
}

/** The conditions of `values`, any of which is to be met; `broken` where a value could not be read. */
export function parseConditions(
  subject: Subject,
  values: readonly string[],
  context: ConditionContext,
): { readonly conditions: readonly Condition[]; readonly broken: boolean } {
  const conditions: Condition[] = [];
  let broken = false;
  for (const value of expandAliases(subject, values, context.settings)) {
    const condition = parseCondition(subject, value, context);
    if (condition) conditions.push(condition);
    else broken = true;
  }
  return { conditions, broken };
}

function expandAliases(subject: Subject, values: readonly string[], settings: Settings): readonly string[] {
  if (subject.kind === "principal") return values.flatMap((value) => principalAliases(value, settings));
  if (subject.kind === "trust-domain") return trustDomainAliases(values, settings);
  if (subject.kind === "namespace") return values.map((value) => namespaceAlias(value, settings));
  if (subject.kind === "service-account") return values.map((value) => serviceAccountAlias(value, settings));
  return values;
}

function parseCondition(subject: Subject, value: string, { namespace }: ConditionContext): Condition | undefined {
  switch (subject.kind) {
    case "principal":
      return { kind: "principal", match: principalMatch(value) };
    case "namespace":
      return { kind: "principal", match: regex(`.*/ns/${value.split("*").map(quote).join(".*")}/.*`) };
    case "service-account":
      return { kind: "principal", match: regex(serviceAccountRegex(value, namespace)) };
    case "trust-domain":
      return { kind: "principal", match: trustDomainMatch(value) };
    case "source-ip":
    case "remote-ip":
    case "destination-ip": {
      const cidr = parseCidr(value);
      return cidr && { kind: subject.kind, cidr };
    }
    case "destination-port":
      return /^\d+$/.test(value) && Number(value) <= 65535 ? { kind: "destination-port", port: Number(value) } : undefined;
    case "sni":
      return { kind: "sni", match: textMatch(value) };
    case "host":
      return { kind: "header", name: ":authority", match: headerMatch(value, true) };
    case "method":
      return { kind: "header", name: ":method", match: headerMatch(value, false) };
    case "header":
      return { kind: "header", name: subject.name ?? "", match: headerMatch(value, false) };
    case "path":
      if (!value.includes("{*}") && !value.includes("{**}")) return { kind: "path", match: textMatch(value) };
      return { kind: "path-template", template: value.replaceAll("{**}", "**").replaceAll("{*}", "*") };
    case "request-principal":
      return { kind: "request-principal", ...requestPrincipal(value) };
    case "claim":
      return { kind: "claim", path: subject.path ?? [], match: textMatch(value) };
    case "metadata": {
      const list = value.startsWith("[") && value.endsWith("]");
      const match = textMatch(list ? value.replace(/^[[\]]+|[[\]]+$/g, "") : value);
      return { kind: "metadata", filter: subject.name ?? "", key: subject.path?.[0] ?? "", list, match };
    }
    case "unknown":
      return undefined;
  }
}

/**
 * "ISSUER/SUBJECT", split at the last slash, for an issuer may be a URL. A star at the front is the issuer's where there is a slash, one at
 * the end the subject's; without a slash the value is a suffix of the subject, or a prefix of the issuer (generator.go requestPrincipalGenerator).
 */
function requestPrincipal(value: string): { readonly issuer: TextMatch; readonly subject: TextMatch } {
  const any = regex(".+");
  const exact = (text: string): TextMatch => ({ kind: "exact", value: text, ignoreCase: false });
  // A SPIFFE ID has slashes of its own: at a subject that is one, the value is split before it.
  const [, trustDomain, spiffeId] = /^(spiffe:\/\/[^/*]+|\*)\/(spiffe:\/\/.+)$/.exec(value) ?? [];
  if (trustDomain !== undefined && spiffeId !== undefined) {
    const prefix = spiffeId.endsWith("*");
    return {
      issuer: trustDomain === "*" ? any : exact(trustDomain),
      subject: prefix ? { kind: "prefix", value: spiffeId.slice(0, -1), ignoreCase: false } : exact(spiffeId),
    };
  }
  const slash = value.lastIndexOf("/");
  const [issuer, subject] = slash < 0 ? [value, ""] : [value.slice(0, slash), value.slice(slash + 1)];
  if (value === "*") return { issuer: any, subject: any };
  if (value.startsWith("*")) {
    if (slash < 0) return { issuer: any, subject: affix(value, false) };
    return { issuer: issuer === "*" ? any : { kind: "suffix", value: issuer.slice(1), ignoreCase: false }, subject: exact(subject) };
  }
  if (value.endsWith("*")) {
    if (slash < 0) return { issuer: affix(value, false), subject: any };
    return { issuer: exact(issuer), subject: subject === "*" ? any : { kind: "prefix", value: subject.slice(0, -1), ignoreCase: false } };
  }
  return { issuer: exact(issuer), subject: exact(subject) };
}

/** "*" asks for at least one character; a star at either end for a suffix or a prefix. */
function textMatch(value: string): TextMatch {
  return value === "*" ? regex(".+") : affix(value, false);
}

/** "*" is met by the header's presence, even an empty one. */
function headerMatch(value: string, ignoreCase: boolean): TextMatch {
  return value === "*" ? { kind: "present" } : affix(value, ignoreCase);
}

/** A principal is written without its scheme. A leading star therefore needs a regex. */
function principalMatch(value: string): TextMatch {
  if (value === "*") return regex(".+");
  if (value.startsWith("*")) return regex(`spiffe://.*${quote(value.slice(1))}`);
  return affix(`spiffe://${value}`, false);
}

function trustDomainMatch(value: string): TextMatch {
  if (value === "*") return { kind: "prefix", value: "spiffe://", ignoreCase: false };
  const star = value.indexOf("*");
  if (star < 0) return { kind: "prefix", value: `spiffe://${value}/`, ignoreCase: false };
  return regex(`spiffe://${quote(value.slice(0, star))}[^/]*${quote(value.slice(star + 1))}/.*`);
}

function serviceAccountRegex(value: string, defaultNamespace: string): string {
  const slash = value.indexOf("/");
  const namespace = slash < 0 ? defaultNamespace : value.slice(0, slash);
  const account = value.slice(slash + 1);
  return `spiffe://.+/ns/${quote(namespace)}/(.+/|)sa/${quote(account)}(/.+)?`;
}

function affix(value: string, ignoreCase: boolean): TextMatch {
  if (value.startsWith("*")) return { kind: "suffix", value: value.slice(1), ignoreCase };
  if (value.endsWith("*")) return { kind: "prefix", value: value.slice(0, -1), ignoreCase };
  return { kind: "exact", value, ignoreCase };
}

function regex(value: string): TextMatch {
  return { kind: "regex", value };
}

/** Go's regexp.QuoteMeta. */
function quote(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}
