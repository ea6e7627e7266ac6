/** Spans of requests (Istio, pilot/pkg/networking/core/tracing.go configureTracingFromTelemetry). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OpenTelemetryConfigSchema } from "../../gen/envoy/config/trace/v3/opentelemetry_pb.ts";
import type {
  HttpConnectionManager_TracingSchema,
  RequestIDExtensionSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { UuidRequestIdConfigSchema } from "../../gen/envoy/extensions/request_id/uuid/v3/uuid_pb.ts";
import type { CustomTagSchema } from "../../gen/envoy/type/tracing/v3/custom_tag_pb.ts";
import type { SpanTag } from "../../mesh/tracing.ts";
import type { Settings } from "../../mesh/types.ts";
import { packAny } from "../encode.ts";

type CustomTag = MessageInitShape<typeof CustomTagSchema>;

/** The parts of a connection manager; none where nobody is told. A gateway's requests are the client's side of Telemetry. */
export function tracing(
  { tracing: workload }: Settings,
  direction: "inbound" | "outbound" | "gateway",
): {
  readonly tracing?: MessageInitShape<typeof HttpConnectionManager_TracingSchema>;
  readonly requestIdExtension?: MessageInitShape<typeof RequestIDExtensionSchema>;
} {
  const own = direction === "inbound" ? workload?.server : workload?.client;
  if (!workload || !own) return {};
  const { collector, sampling, istioTags, tags, useRequestIdForSampling } = own;
  const otlp = create(OpenTelemetryConfigSchema, {
    serviceName: workload.serviceName,
    grpcService: {
      targetSpecifier: { case: "envoyGrpc", value: { clusterName: collector.cluster, authority: collector.authority } },
    },
  });
  const all = [...(istioTags ? [...workload.workloadTags.map(literal), ...DRY_RUN_TAGS] : []), ...tags.map(customTag)];
  return {
    tracing: {
      clientSampling: { value: 100 },
      overallSampling: { value: 100 },
      randomSampling: { value: sampling },
      spawnUpstreamSpan: direction === "gateway" ? true : undefined,
      maxPathTagLength: collector.maxTagLength,
      customTags: all.sort((a, b) => ((a.tag ?? "") < (b.tag ?? "") ? -1 : 1)),
      provider: {
        name: "envoy.tracers.opentelemetry",
        configType: { case: "typedConfig", value: packAny(OpenTelemetryConfigSchema, otlp) },
      },
    },
    requestIdExtension: {
      typedConfig: packAny(
        UuidRequestIdConfigSchema,
        create(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: useRequestIdForSampling }),
      ),
    },
  };
}

function literal([tag, value]: readonly [string, string]): CustomTag {
  return { tag, type: { case: "literal", value: { value } } };
}

function customTag({ tag, from, value, defaultValue }: SpanTag): CustomTag {
  if (from === "literal") return literal([tag, value]);
  const named = { name: value, defaultValue };
  return from === "header" ? { tag, type: { case: "requestHeader", value: named } } : { tag, type: { case: "environment", value: named } };
}

/** What policies on trial would have done; RBAC's filters write it (rbac.ts). No tag where there is none. */
const DRY_RUN_TAGS: readonly CustomTag[] = (["allow", "deny"] as const).flatMap((action) =>
  (["name", "result"] as const).map((what): CustomTag => {
    const key = `istio_dry_run_${action}_shadow_${what === "name" ? "effective_policy_id" : "engine_result"}`;
    return {
      tag: `istio.authorization.dry_run.${action}_policy.${what}`,
      type: {
        case: "metadata",
        value: {
          kind: { kind: { case: "request", value: {} } },
          metadataKey: { key: "envoy.filters.http.rbac", path: [{ segment: { case: "key", value: key } }] },
        },
      },
    };
  }),
);
