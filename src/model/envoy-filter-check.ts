/** How the parts of an EnvoyFilter's patch go together (Istio, pkg/config/validation/envoyfilter/envoyfilter.go). */
import type { JsonValue } from "@bufbuild/protobuf";
import { type ApplyTo, readPatchValue } from "../envoy-api/patch-value.ts";
import type { Report } from "./schema.ts";

interface Patch {
  readonly applyTo: ApplyTo;
  readonly match?: {
    readonly listener?: {
      readonly name?: string;
      readonly listenerFilter?: string;
      readonly filterChain?: { readonly filter?: { readonly name?: string; readonly subFilter?: { readonly name?: string } } };
    };
    readonly routeConfiguration?: object;
    readonly cluster?: object;
  };
  readonly patch: { readonly operation: string; readonly value?: Readonly<Record<string, unknown>> };
}

const OBJECTS = ["listener", "routeConfiguration", "cluster"] as const;

/** What a patch may be matched by; Istio leaves the others unchecked, and unread. */
const MATCHED_BY: Readonly<Record<ApplyTo, (typeof OBJECTS)[number] | undefined>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  LISTENER_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
  EXTENSION_CONFIG: undefined,
};

const FILTERS: ReadonlySet<ApplyTo> = new Set<ApplyTo>(["NETWORK_FILTER", "HTTP_FILTER", "LISTENER_FILTER"]);
const MERGES: ReadonlySet<string> = new Set(["MERGE", "MERGE_AND_REPLACE_LIST"]);
const INSERTS: ReadonlySet<string> = new Set(["ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"]);

/** Whether Istio's translation does anything for the pair; an insertion where there is no order adds. */
function hasEffect(applyTo: ApplyTo, operation: string): boolean {
  switch (applyTo) {
    case "NETWORK_FILTER":
    case "HTTP_FILTER":
    case "LISTENER_FILTER":
      return operation !== "MERGE_AND_REPLACE_LIST";
    case "ROUTE_CONFIGURATION":
      return MERGES.has(operation);
    case "EXTENSION_CONFIG":
      return INSERTS.has(operation);
    case "VIRTUAL_HOST":
      return true;
    default:
      return operation !== "REPLACE";
  }
}

export function checkPatch(config: Patch, report: Report): void {
  const { applyTo, match = {}, patch } = config;
  const { operation, value } = patch;
  if (operation !== "REMOVE" && value === undefined) report("missing", `needs value for ${operation}`, { path: ["patch"] });
  const expected = MATCHED_BY[applyTo];
  for (const object of OBJECTS) {
    if (match[object] === undefined || object === expected) continue;
    const help = expected ? `match by ${expected}` : "leave it out: an extension's configuration is asked for by its name";
    report("exclusive", `does not go with applyTo ${applyTo}`, { path: ["match", object], atKey: true, help });
  }
  if (!hasEffect(applyTo, operation)) {
    report("noEffect", `${operation} does nothing to a ${applyTo}, in Istio as here`, {
      path: ["patch", "operation"],
      severity: "warning",
    });
  }
  if (expected === "listener") checkListenerMatch(config, report);
  if (value === undefined) return;
  const isRead = checkValue(config, value as JsonValue, report);
  if (isRead && (applyTo === "LISTENER" || applyTo === "CLUSTER") && INSERTS.has(operation) && !value.name) {
    report("noEffect", `a ${applyTo} without a name is not added`, { path: ["patch", "value"], severity: "warning" });
  }
}

/** Istio warns of what it cannot read in a message that it can read besides; so does weft. */
function checkValue({ applyTo, patch }: Patch, value: JsonValue, report: Report): boolean {
  try {
    for (const { path, as, why } of readPatchValue(applyTo, value, MERGES.has(patch.operation)).unread) {
      const at = { path: ["patch", "value", ...path], atKey: true, severity: "warning" } as const;
      if (as === "left out") report("noEffect", `is left out: ${why}`, at);
      else report("surprising", `is passed on to Envoy unread: ${why} that weft knows`, at);
    }
    return true;
  } catch (reason) {
    const error = reason instanceof Error ? reason.message : String(reason);
    report("badValue", `is not what applyTo ${applyTo} takes: ${error}`, { path: ["patch", "value"], help: helpFor(error) });
    return false;
  }
}

function helpFor(error: string): string | undefined {
  if (!/type\.googleapis\.com|"@type"|not in the type registry/.test(error)) return undefined;
  if (/\.v2\./.test(error)) return "Envoy knows v3 types only";
  return "an extension that weft does not know can be written as @type: type.googleapis.com/udpa.type.v1.TypedStruct with type_url and value";
}

const MANAGER = "envoy.filters.network.http_connection_manager";

function checkListenerMatch({ applyTo, match, patch }: Patch, report: Report): void {
  const { name, listenerFilter, filterChain } = match?.listener ?? {};
  const at = ["match", "listener"] as const;
  if (name === "virtualOutbound") {
    const message = "weft intercepts no connections, so there is no virtualOutbound listener";
    report("noEffect", message, { path: [...at, "name"], severity: "warning" });
  }
  const filter = filterChain?.filter;
  if (filter) checkFilterMatch(applyTo, filter, report);
  if (!FILTERS.has(applyTo) || !["REMOVE", "REPLACE"].includes(patch.operation)) return;
  const named = applyTo === "LISTENER_FILTER" ? listenerFilter : applyTo === "HTTP_FILTER" ? filter?.subFilter : filter;
  if (named) return;
  report("noEffect", `${patch.operation} needs a match that names the filter`, { path: ["patch", "operation"], severity: "warning" });
}

interface FilterMatch {
  readonly name?: string;
  readonly subFilter?: { readonly name?: string };
}

function checkFilterMatch(applyTo: ApplyTo, { name, subFilter }: FilterMatch, report: Report): void {
  const path = ["match", "listener", "filterChain", "filter"];
  if (applyTo === "LISTENER" || applyTo === "FILTER_CHAIN" || applyTo === "LISTENER_FILTER") {
    report("noEffect", `a filter match has no effect with applyTo ${applyTo}`, { path, atKey: true, severity: "warning" });
  }
  if (!name) report("missing", "needs name", { path });
  if (!name || !subFilter) return;
  const at = { path: [...path, "subFilter"], atKey: true };
  if (applyTo !== "HTTP_FILTER") report("together", "goes with applyTo HTTP_FILTER only", at);
  else if (name !== MANAGER && name !== "envoy.http_connection_manager") report("together", `needs filter name ${MANAGER}`, at);
  else if (!subFilter.name) report("missing", "needs name", { path: [...path, "subFilter"] });
}
