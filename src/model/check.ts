/** Checks of single values, each as Istio's pkg/config/validation makes it. */
import { parseDuration } from "../lib/duration.ts";
import type { Report } from "./schema.ts";

/** Istio's ValidateDuration: a whole number of milliseconds, at least `atLeastMs`. */
export function checkDuration(options: { readonly atLeastMs: number }): (value: string, report: Report) => void {
  return (value, report) => {
    const ms = parseDuration(value);
    if (ms === undefined) report("badDuration", `must be a duration such as 1.5s, 250ms or 1h30m, not ${JSON.stringify(value)}`);
    else if (ms < options.atLeastMs) report("badDuration", `must be at least ${options.atLeastMs}ms, not ${value}`);
  };
}
