/** Checks of single values, each as Istio's pkg/config/validation makes it. A check gives the reason for a refusal, or undefined. */
import { RE2JS } from "re2js";
import { parseDuration } from "../lib/duration.ts";
import { parseCidr } from "../lib/ip.ts";
import type { Report } from "./schema.ts";

/** Envoy takes less than 9,223,372,036 s (source/common/protobuf/utility.cc), about 292 years; Go's longest time.Duration is a second more. */
const LONGEST_MS = 9_223_372_035_999;

/** Istio's ValidateDuration: whole milliseconds, at least `atLeastMs`; `zero` allows 0 besides. */
export function checkDuration(options: { readonly atLeastMs: number; readonly zero?: boolean }): (value: string, report: Report) => void {
  return (value, report) => {
    const ms = parseDuration(value);
    if (ms === 0 && options.zero) return;
    if (ms === undefined) report("badDuration", `must be a duration such as 1.5s, 250ms or 1h30m, not ${JSON.stringify(value)}`);
    else if (ms < options.atLeastMs) report("badDuration", `must be at least ${options.atLeastMs}ms, not ${value}`);
    else if (ms > LONGEST_MS) report("badDuration", `is longer than any duration may be: ${value}`);
    else if (Math.abs(ms - Math.round(ms)) > 1e-6) report("badDuration", `must be whole milliseconds, not ${value}`);
  };
}

/** Istio's validateStringRegexp: RE2, and at most 1024 characters. */
export function regexError(regex: string): string | undefined {
  if (regex === "") return "must not be empty";
  if (Buffer.byteLength(regex) > 1024) return "must not be longer than 1024 characters";
  try {
    RE2JS.compile(regex);
    return undefined;
  } catch (reason) {
    return `is no RE2 expression: ${(reason instanceof Error ? reason.message : String(reason)).replace(/^error parsing regexp: /, "")}`;
  }
}

/** Why Envoy would refuse `text` in the place of what `regex` (RE2) matched: \\1 must be a group of it, and a backslash is \\\\. */
export function substitutionError(text: string, regex: string): string | undefined {
  const groups = RE2JS.compile(regex).groupCount();
  for (const [whole, sign = ""] of text.matchAll(/\\([\s\S]?)/g)) {
    if (sign === "\\") continue;
    if (!/\d/.test(sign)) return `a backslash is written as \\\\, not ${JSON.stringify(whole)}`;
    if (Number(sign) > groups) return `${whole} stands for group ${sign}, and the expression has ${groups}`;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  return /[\u0000\n\r]/.test(text) ? "holds a control character" : undefined;
}

/** Istio's labels.IsDNS1123Label, which takes capitals. */
const DNS_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
export const isDnsLabel = (text: string) => text.length <= 63 && DNS_LABEL.test(text);

/** Istio's labels.IsWildcardDNS1123Label: "*", "*x", "*-x" and plain labels. */
const isWildcardLabel = (text: string) => text === "*" || (text.length <= 63 && DNS_LABEL.test(text.replace(/^\*-?/, "")));

/** Istio's ValidateDNS1123Labels. */
function dnsLabelsError(domain: string): string | undefined {
  const parts = domain.split(".");
  const last = parts.at(-1) ?? "";
  if (/^[+-]?[0-9]+$/.test(last)) return `the last part, ${last}, may not be a number`;
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part === "") return undefined;
    if (!isDnsLabel(part)) return `${JSON.stringify(part)} is no DNS label`;
  }
  return undefined;
}

function lengthError(name: string): string | undefined {
  if (name === "") return "must not be empty";
  return name.length > 255 ? "must not be longer than 255 characters" : undefined;
}

/** Istio's ValidateFQDN. */
export const fqdnError = (name: string): string | undefined => lengthError(name) ?? dnsLabelsError(name);

/** Istio's ValidateWildcardDomain: a wildcard may be (in) the first label only. */
export function wildcardDomainError(name: string): string | undefined {
  const long = lengthError(name);
  if (long) return long;
  const dot = name.indexOf(".");
  const first = dot < 0 ? name : name.slice(0, dot);
  if (!isWildcardLabel(first)) return `${JSON.stringify(first)} is no DNS label`;
  return dot < 0 ? undefined : dnsLabelsError(name.slice(dot + 1));
}

/** Reports a host that Istio's ValidateWildcardDomain refuses, with a mend for what people write by mistake. */
export function checkHost(host: string, report: Report, path: readonly (string | number)[] = []): void {
  const error = wildcardDomainError(host);
  if (!error) return;
  let help: string | undefined;
  if (/^[a-z]+:\/\//i.test(host)) help = "write the host only, without scheme and path";
  else if (/:\d+$/.test(host)) help = "write the host only, without the port";
  else if (host.includes("/")) help = "write the host only, without a path or a namespace";
  else if (host.includes("_")) help = "DNS names have no underscore";
  else if (host.includes("*", 1)) help = 'a wildcard stands for the first label: "*.example.com"';
  report("badHost", `${JSON.stringify(host)} is no host: ${error}`, { path, help });
}

/**
 * "outbound_.80_._.orders.example.com": the name that clients of an AUTO_PASSTHROUGH gateway give, which Istio takes as a name at
 * gateways besides DNS names (ValidateWildcardDomainForVirtualServiceBoundToGateway).
 */
export function isClusterSni(name: string): boolean {
  const [direction, port = "", , host = ""] = name.split("_");
  return direction === "outbound" && name.length <= 255 && /[0-9]/.test(port) && /[a-zA-Z]/.test(host);
}

/** An IPv4 or IPv6 address without a zone, as Go's netip.ParseAddr takes it. */
export const isIpAddress = (text: string) => !text.includes("/") && parseCidr(text) !== undefined;

/** Istio's ValidateIPSubnet and security.ValidateIPs: an address or a CIDR block. */
export function checkIpBlock(value: string, report: Report, path: readonly (string | number)[]): void {
  if (!parseCidr(value))
    report("badAddress", `must be an IP address or a CIDR block such as 10.0.0.0/8, not ${JSON.stringify(value)}`, { path });
}

/** Istio's ValidateTrustDomain. */
export function trustDomainError(name: string): string | undefined {
  if (name === "") return "must not be empty";
  const parts = name.split(".");
  const labels = parts.at(-1) === "" ? parts.slice(0, -1) : parts;
  return labels.every(isDnsLabel) ? undefined : `${JSON.stringify(name)} is no trust domain: it is written like a DNS name`;
}
