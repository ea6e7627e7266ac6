import { create } from "@bufbuild/protobuf";
import { type ListenerFilter, ListenerFilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { TlsInspectorSchema } from "../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { packAny } from "../encode.ts";

/** Finds out whether a connection speaks TLS, for which protocols and which name it asks; filter chains choose by it. */
export function tlsInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: "envoy.filters.listener.tls_inspector",
    configType: { case: "typedConfig", value: packAny(TlsInspectorSchema, create(TlsInspectorSchema)) },
  });
}
