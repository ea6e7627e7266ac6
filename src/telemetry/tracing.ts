/**
 * Traces: a change is followed from the HTTP request to Envoy's ACK. Spans are made by hand, with an explicit parent: a push happens long
 * after the request's call stack is gone. Off, at no cost, unless an OTLP endpoint is set:
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import {
  type Attributes,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { parseTraceParent, TraceState } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { logger } from "./log.ts";

export type { Span, SpanContext } from "@opentelemetry/api";

/** Every span of weft, in the order in which one change passes through them. */
export type SpanName = "apply" | "validate" | "store" | "translate" | "push" | "ack";

/** Every attribute of weft's spans. */
export const ATTRIBUTE = {
  /** Kind of the changed resource in lower case: "peerauthentication". Several, where an apply held several kinds. */
  policyType: "policy.type",
  /** "namespace/name". */
  policyName: "policy.name",
  revision: "weft.revision",
  /** "namespace/name" of the workload. */
  proxy: "weft.proxy",
  /** "CDS", "EDS", ... */
  xdsType: "weft.xds.type",
  resources: "weft.xds.resources",
  nack: "weft.xds.nack",
} as const;

export interface SpanOptions {
  readonly parent?: SpanContext;
  readonly attributes?: Attributes;
  /** Spans that caused this one without being its parent: several changes, one push. */
  readonly links?: readonly SpanContext[];
  /** Milliseconds since the epoch; now where absent. */
  readonly startTime?: number;
}

export interface Tracing {
  readonly enabled: boolean;
  startSpan(name: SpanName, options?: SpanOptions): Span;
  /** Sends what is waiting, then stops. Resolves also when the collector is away. */
  shutdown(): Promise<void>;
}

/** Kinds as `policy.type` has them: one string, or several sorted. */
export function policyType(kinds: Iterable<string>): string | string[] {
  const types = [...new Set([...kinds].map((kind) => kind.toLowerCase()))].sort();
  return types.length === 1 && types[0] !== undefined ? types[0] : types;
}

/** The caller's span from W3C headers, or undefined where they are absent or malformed. https://www.w3.org/TR/trace-context/ */
export function parentFromHeaders(traceparent: string | null | undefined, tracestate?: string | null): SpanContext | undefined {
  const context = traceparent ? parseTraceParent(traceparent) : null;
  if (!context) return undefined;
  return { ...context, isRemote: true, ...(tracestate ? { traceState: new TraceState(tracestate) } : {}) };
}

/** W3C traceparent, version 00, by which another process goes on with the trace; undefined where nothing is traced. */
export function traceParentOf(context: SpanContext): string | undefined {
  if (!isSpanContextValid(context)) return undefined;
  return `00-${context.traceId}-${context.spanId}-${(context.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0")}`;
}

/** Ends `span` as failed, with the error's message. */
export function failSpan(span: Span, reason: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason instanceof Error ? reason.message : String(reason) });
  span.end();
}

const NO_SPAN = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
const NO_TRACING: Tracing = { enabled: false, startSpan: () => NO_SPAN, shutdown: async () => {} };

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether the standard variables ask for traces over OTLP. */
export function tracingWanted(env: Environment): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return false;
  const exporters = env.OTEL_TRACES_EXPORTER?.split(",")
    .map((name) => name.trim())
    .filter(Boolean) ?? ["otlp"];
  if (exporters.length > 0 && !exporters.includes("otlp")) return false;
  return Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT);
}

/**
 * Reads OTEL_EXPORTER_OTLP_[TRACES_]{ENDPOINT,HEADERS,TIMEOUT,COMPRESSION}, OTEL_TRACES_SAMPLER[_ARG], OTEL_BSP_* and OTEL_SPAN_* through
 * the SDK, which takes them from the process; `env` is the same, and settles whether to trace at all. `node` tells weft's processes apart.
 */
export function createTracing({
  env,
  version,
  node,
}: {
  readonly env: Environment;
  readonly version: string;
  readonly node?: string;
}): Tracing {
  if (!tracingWanted(env)) return NO_TRACING;
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || "http/protobuf";
  if (protocol !== "http/protobuf") {
    logger("tracing").warning(
      "weft sends traces as http/protobuf only: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf and the collector's HTTP port",
      { protocol },
    );
  }
  const processor = new BatchSpanProcessor(new OTLPTraceExporter());
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      "service.name": "weft",
      "service.version": version,
      ...(node === undefined ? {} : { "service.instance.id": node }),
      ...resourceAttributes(env),
    }),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer("weft", version);
  return {
    enabled: true,
    startSpan(name, { parent, attributes, links, startTime } = {}) {
      const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
      const linked: Link[] = (links ?? []).map((link) => ({ context: link }));
      return tracer.startSpan(name, { attributes, links: linked, ...(startTime === undefined ? {} : { startTime }) }, context);
    },
    async shutdown() {
      try {
        await provider.shutdown();
      } catch (reason) {
        logger("tracing").warning("The last traces could not be sent: is the collector at OTEL_EXPORTER_OTLP_ENDPOINT up?", { reason });
      }
    },
  };
}

/** OTEL_RESOURCE_ATTRIBUTES (key=value,... percent-encoded), then OTEL_SERVICE_NAME, which wins over it. */
function resourceAttributes(env: Environment): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of env.OTEL_RESOURCE_ATTRIBUTES?.split(",") ?? []) {
    const [key, ...rest] = pair.split("=");
    if (!key?.trim() || rest.length === 0) continue;
    const value = rest
      .join("=")
      .trim()
      .replace(/^"(.*)"$/, "$1");
    try {
      attributes[key.trim()] = decodeURIComponent(value);
    } catch {
      attributes[key.trim()] = value;
    }
  }
  if (env.OTEL_SERVICE_NAME) attributes["service.name"] = env.OTEL_SERVICE_NAME;
  return attributes;
}
