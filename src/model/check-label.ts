/** Labels, as Kubernetes and Istio's pkg/config/labels write them. */
import { isDnsLabel } from "./check.ts";
import type { Report } from "./schema.ts";

const NAME = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** Why `key` is no label key (Istio's validateTagKey), or undefined. */
export function labelKeyError(key: string): string | undefined {
  const slash = key.indexOf("/");
  const prefix = key.slice(0, Math.max(0, slash));
  const name = key.slice(slash + 1);
  if (slash >= 0 && (prefix.length > 253 || !prefix.split(".").every(isDnsLabel))) return "the part before '/' must be a DNS name";
  if (name.length > 63 || !NAME.test(name)) {
    return "a key holds 1 to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit";
  }
  return undefined;
}

/** Why `value` is no label value, or undefined. */
export function labelValueError(value: string): string | undefined {
  if (value === "" || (value.length <= 63 && NAME.test(value))) return undefined;
  return "a value holds up to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit";
}

/** Labels in a spec, as Istio's labels.Instance.Validate takes them: in Kubernetes' syntax, but values of any length. */
export function checkLabels(labels: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, value] of Object.entries(labels)) {
    const badKey = labelKeyError(key);
    if (badKey) report("badLabel", badKey, { path: [key], atKey: true });
    if (value !== "" && !NAME.test(value)) {
      report("badLabel", "a value holds letters, digits, '-', '_' and '.', and starts and ends with a letter or digit", { path: [key] });
    }
  }
}

/** Labels to select by: Istio's validateWorkloadSelector, and the CRD's limit of 63 characters. */
export function checkSelector(labels: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, value] of Object.entries(labels)) {
    if (key === "") report("badLabel", "a key must not be empty", { path: [key], atKey: true });
    if (key.includes("*")) report("badLabel", "wildcards are not allowed in a selector", { path: [key], atKey: true });
    if (value.includes("*")) report("badLabel", "wildcards are not allowed in a selector", { path: [key] });
    if (value.length > 63) report("badLabel", "a value holds at most 63 characters", { path: [key] });
  }
}

/** A Gateway's selector, in which Istio takes anything; what no label can be selects no proxy. */
export function warnOfSelector(labels: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, value] of Object.entries(labels)) {
    const wrong = labelKeyError(key) ?? labelValueError(value);
    if (wrong) report("noEffect", `no proxy has such a label: ${wrong}`, { path: [key], atKey: true, severity: "warning" });
  }
}
