import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { type AccessLog, AccessLogSchema } from "../../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { SubstitutionFormatStringSchema } from "../../gen/envoy/config/core/v3/substitution_format_string_pb.ts";
import { FileAccessLogSchema } from "../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import { ExpressionFilterSchema } from "../../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts";
import type { AccessLog as FileLog } from "../../mesh/access-logs.ts";
import { memoize } from "../../mesh/memo.ts";
import type { Mesh, Settings, Workload } from "../../mesh/types.ts";
import { packAny } from "../encode.ts";

/** The settings by which a workload's listeners are made: the mesh's, with the access logs and spans that Telemetry asks for there. */
export function listenerSettings(mesh: Mesh, workload: Workload): Settings {
  const logs = mesh.accessLogs.get(workload.key);
  const tracing = mesh.tracing.get(workload.key);
  const logged = logs ? withAccessLogs(mesh.settings, logs) : mesh.settings;
  return tracing ? withTracing(logged, tracing) : logged;
}

const withAccessLogs = memoize(
  (settings: Settings, accessLogs: NonNullable<Settings["accessLogs"]>): Settings => ({ ...settings, accessLogs }),
);

const withTracing = memoize((settings: Settings, tracing: NonNullable<Settings["tracing"]>): Settings => ({ ...settings, tracing }));

/**
 * What Telemetry says of calls out (client) or in (server), else MeshConfig's accessLogFile and accessLogFormat; Envoy's own format where none is
 * given. Empty where nothing is to be logged.
 */
export function accessLogs(settings: Settings, side: "client" | "server"): AccessLog[] {
  const asked = settings.accessLogs?.[side];
  if (asked) return asked.map(fileLog);
  if (!settings.accessLogFile) return [];
  return [fileLog({ path: settings.accessLogFile, text: settings.accessLogFormat, omitEmptyValues: false })];
}

function fileLog(log: FileLog): AccessLog {
  const format = formatOf(log);
  const file = create(FileAccessLogSchema, {
    path: log.path,
    accessLogFormat: format ? { case: "logFormat", value: format } : { case: undefined },
  });
  return create(AccessLogSchema, {
    name: "envoy.access_loggers.file",
    configType: { case: "typedConfig", value: packAny(FileAccessLogSchema, file) },
    filter: log.filter === undefined ? undefined : { filterSpecifier: { case: "extensionFilter", value: celFilter(log.filter) } },
  });
}

function formatOf({ text, labels, omitEmptyValues }: FileLog): MessageInitShape<typeof SubstitutionFormatStringSchema> | undefined {
  if (labels) return { format: { case: "jsonFormat", value: labels as JsonObject }, omitEmptyValues };
  if (!text) return undefined;
  const source = { specifier: { case: "inlineString", value: endWithNewline(text) } } as const;
  return { format: { case: "textFormatSource", value: source }, omitEmptyValues };
}

function celFilter(expression: string) {
  const typedConfig = packAny(ExpressionFilterSchema, create(ExpressionFilterSchema, { expression }));
  return { name: "envoy.access_loggers.extension_filters.cel", configType: { case: "typedConfig", value: typedConfig } } as const;
}

/** Envoy writes a text format as it is: without a newline all requests would be one line. */
function endWithNewline(format: string): string {
  return format.endsWith("\n") ? format : `${format}\n`;
}
