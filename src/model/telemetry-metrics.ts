/**
 * Telemetry's metrics: which of Istio's standard metrics a proxy counts, with which tags. istio/api telemetry/v1alpha1/telemetry.proto
 * (Metrics, MetricsOverrides), checked as Istio's validateTelemetryMetrics does. The tags' expressions are CEL as Envoy has it.
 */
import type * as v from "valibot";
import { type CelError, celString, celText, parseCel } from "../lib/cel.ts";
import { filled, onlyOne } from "./common.ts";
import { choice, flag, list, map, needed, notYet, object, type Report, text } from "./schema.ts";

/** Istio's metrics, with their names for Prometheus after "istio_" (pilot/pkg/model/telemetry.go metricToPrometheusMetric). */
export const METRICS = {
  REQUEST_COUNT: "requests_total",
  REQUEST_DURATION: "request_duration_milliseconds",
  REQUEST_SIZE: "request_bytes",
  RESPONSE_SIZE: "response_bytes",
  TCP_OPENED_CONNECTIONS: "tcp_connections_opened_total",
  TCP_CLOSED_CONNECTIONS: "tcp_connections_closed_total",
  TCP_SENT_BYTES: "tcp_sent_bytes_total",
  TCP_RECEIVED_BYTES: "tcp_received_bytes_total",
} as const;

/** Envoy's stats logger adds numbers, and Envoy has no number of them for it: its gRPC filter leaves both in one text. */
const NOT_COUNTED = { GRPC_REQUEST_MESSAGES: "request_messages_total", GRPC_RESPONSE_MESSAGES: "response_messages_total" } as const;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

const MODES = ["CLIENT_AND_SERVER", "CLIENT", "SERVER"] as const;

const match = object(
  {
    metric: choice(["ALL_METRICS", ...METRIC_NAMES, ...(Object.keys(NOT_COUNTED) as (keyof typeof NOT_COUNTED)[])]),
    customMetric: text((value, report) => {
      if (value === "") report("badValue", "must not be empty");
      else if (!metricNamed(value) && !Object.values<string>(NOT_COUNTED).includes(value)) {
        report("badValue", `there is no metric ${JSON.stringify(value)}: weft counts Istio's standard metrics only`, {
          help: `one of ${Object.values(METRICS).join(", ")}`,
        });
      }
    }),
    mode: choice(MODES),
  },
  (value, report) => onlyOne(value, ["metric", "customMetric"], report),
);

/** Istio's stats filter knows the standard metrics by these names too. */
export function metricNamed(name: string): MetricName | undefined {
  return METRIC_NAMES.find((metric) => METRICS[metric] === name);
}

const tagOverride = object({ operation: choice(["UPSERT", "REMOVE"]), value: text(checkTagValue) }, ({ operation, value }, report) => {
  if (operation === "REMOVE" && value) report("together", "has a meaning with UPSERT only", { path: ["value"], atKey: true });
  if (operation !== "REMOVE" && !value) report("missing", "needs value, a CEL expression such as request.host or 'v1'");
});

/** Prometheus' rule of labels; Envoy writes '_' for what breaks it. */
const TAG_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

const override = object(
  {
    match,
    disabled: flag(),
    tagOverrides: map(tagOverride, (value, report) => {
      for (const name of Object.keys(value)) {
        if (TAG_NAME.test(name)) continue;
        const at = { path: [name], atKey: true } as const;
        if (name === "") report("badName", "a tag's name must not be empty", at);
        else report("surprising", `Prometheus will see it as ${name.replace(/[^a-zA-Z0-9_]/g, "_")}`, { ...at, severity: "warning" });
      }
    }),
  },
  ({ match, disabled, tagOverrides }, report) => {
    if (disabled && tagOverrides && !match?.customMetric && (match?.metric ?? "ALL_METRICS") === "ALL_METRICS") {
      report("surprising", "tags of metrics that are all disabled mean nothing", {
        path: ["tagOverrides"],
        atKey: true,
        severity: "warning",
      });
    }
    const named = match?.metric ?? match?.customMetric;
    const isCounted = ![...Object.keys(NOT_COUNTED), ...Object.values(NOT_COUNTED)].some((name) => name === named);
    // To turn off what is not there is no loss.
    if (isCounted || (disabled && !tagOverrides)) return;
    report("notYet", "messages of gRPC are not counted: Envoy cannot count them by Istio's tags", {
      path: ["match"],
      help: "count requests: REQUEST_COUNT has grpc_response_status",
    });
  },
);

export const metrics = object({
  providers: list(object({ name: needed(filled()) }), (value, report) => {
    if (value.length > 1) report("surprising", "only the first in alphabetical order counts", { severity: "warning" });
  }),
  overrides: list(override),
  reportingInterval: notYet("a TCP connection's bytes are counted when it ends: Envoy's stats logger cannot count what came since"),
});

export type MetricsRule = v.InferOutput<typeof metrics>;

/** What Istio's filter counts under where an expression has no value. */
const UNKNOWN = "unknown";

/**
 * The text that Envoy's format has for a tag's expression, or what is wrong with it. Istio takes any name in one, and its filter finds no value
 * for those that it does not know; `warning` says so.
 */
export function tagFormat(
  expression: string,
): { readonly format: string; readonly warning?: CelError } | { readonly error: string; readonly help?: string } {
  const whole = /^\s*string\s*\((.*)\)\s*$/s.exec(expression)?.[1];
  const inner = whole === undefined ? undefined : parseCel(whole);
  const parsed = inner && "tokens" in inner ? inner : parseCel(expression);
  if ("error" in parsed) return parsed.unknown === undefined ? parsed : { format: UNKNOWN, warning: parsed };
  const literal = celString(parsed.tokens);
  if (literal !== undefined)
    return literal ? { format: literal.replaceAll("%", "%%") } : { error: "is an empty string", help: "use operation REMOVE" };
  const written = celText(parsed.tokens);
  // Envoy's format ends a command there, also inside a string.
  if (written.includes(")%")) return { error: "has a string with ')%' in it, which Envoy's format cannot hold" };
  return { format: `%CEL(${written})%` };
}

function checkTagValue(value: string, report: Report): void {
  if (value === "") return;
  const made = tagFormat(value);
  if ("error" in made) report("badValue", `the CEL expression ${made.error}`, { help: made.help });
  else if (made.warning) {
    const { error, help } = made.warning;
    report("surprising", `the CEL expression ${error}: the tag will be "${UNKNOWN}"`, { severity: "warning", help });
  }
}
