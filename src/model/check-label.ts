/** Labels, as Kubernetes and Istio's pkg/config/labels write them. */
import type { Report } from "./schema.ts";

const NAME = /^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)$/;
const DNS_1123_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** Why `key` is no label key, or undefined. */
export function labelKeyError(key: string): string | undefined {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (
    prefix !== undefined &&
    (prefix === "" || prefix.length > 253 || !prefix.split(".").every((part) => part.length <= 63 && DNS_1123_LABEL.test(part)))
  )
    return "the part before '/' must be a DNS name";
  if (name.length > 63 || !NAME.test(name))
    return "a key holds 1 to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit";
  return undefined;
}

/** Why `value` is no label value, or undefined. */
export function labelValueError(value: string): string | undefined {
  if (value !== "" && (value.length > 63 || !NAME.test(value)))
    return "a value holds up to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit";
  return undefined;
}

/** Checks a map of labels. A selector also may have no empty key and no wildcards (Istio's validateWorkloadSelector). */
export function checkLabelMap(use: "labels" | "selector"): (labels: Record<string, string>, report: Report) => void {
  return (labels, report) => {
    for (const [key, value] of Object.entries(labels)) {
      if (use === "selector" && (key.includes("*") || value.includes("*"))) {
        report("badLabel", "wildcards are not allowed in a selector", { path: [key], atKey: key.includes("*") });
        continue;
      }
      const badKey = labelKeyError(key);
      if (badKey) report("badLabel", badKey, { path: [key], atKey: true });
      const badValue = labelValueError(value);
      if (badValue) report("badLabel", badValue, { path: [key] });
    }
  };
}
