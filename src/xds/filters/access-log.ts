import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogFilterSchema,
  AccessLogSchema,
} from "../../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { SubstitutionFormatStringSchema } from "../../gen/envoy/config/core/v3/substitution_format_string_pb.ts";
import { AccessLogType } from "../../gen/envoy/data/accesslog/v3/accesslog_pb.ts";
import { FileAccessLogSchema } from "../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import { ExpressionFilterSchema } from "../../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts";
import type { TcpProxySchema } from "../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { AccessLog as FileLog } from "../../mesh/access-logs.ts";
import { lasting, memoize } from "../../mesh/memo.ts";
import type { Mesh, Settings, Workload } from "../../mesh/types.ts";
import { packAny } from "../encode.ts";
import type { EnvoyAbilities } from "../envoy-version.ts";
import { type Server, tcpMetrics } from "./metrics.ts";

/** The settings by which a workload's listeners are made: the mesh's, with the access logs, spans and metrics that Telemetry asks for there. */
export function listenerSettings(mesh: Mesh, workload: Workload, abilities: EnvoyAbilities): Settings {
  const logs = mesh.accessLogs.get(workload.key);
  const tracing = mesh.tracing.get(workload.key);
  const logged = logs ? withAccessLogs(mesh.settings, logs) : mesh.settings;
  const traced = tracing ? withTracing(logged, tracing) : logged;
  const metrics = abilities.statsAccessLog ? mesh.metrics.get(workload.key) : undefined;
  if (!metrics) return traced;
  const counted = withMetrics(traced, metrics);
  return abilities.statsScope ? withScope(counted) : counted;
}

const withAccessLogs = memoize(
  (settings: Settings, accessLogs: NonNullable<Settings["accessLogs"]>): Settings => lasting({ ...settings, accessLogs }),
);

const withTracing = memoize((settings: Settings, tracing: NonNullable<Settings["tracing"]>): Settings => lasting({ ...settings, tracing }));

const withMetrics = memoize((settings: Settings, metrics: NonNullable<Settings["metrics"]>): Settings => lasting({ ...settings, metrics }));

const withScope = memoize((settings: Settings): Settings => lasting({ ...settings, statsScope: true }));

/**
 * What Telemetry says of calls out (client) or in (server), else MeshConfig's accessLogFile and accessLogFormat; Envoy's own format where none is
 * given. Empty where nothing is to be logged.
 */
export function accessLogs(settings: Settings, side: "client" | "server"): AccessLog[] {
  const asked = settings.accessLogs?.[side];
  if (asked) return asked.map(fileLog);
  if (!settings.accessLogFile) return [];
  const labels = settings.defaults?.accessLogLabels;
  return [fileLog({ path: settings.accessLogFile, text: settings.accessLogFormat, labels, omitEmptyValues: false })];
}

/** The logs and metrics of a TCP proxy. Metrics make it tell of a connection's beginning too, which must not be a line of a log as well. */
export function tcpAccessLogs(settings: Settings, server?: Server): TcpLogs {
  const logs = accessLogs(settings, server ? "server" : "client");
  const metrics = tcpMetrics(settings, server);
  if (metrics.length === 0) return { accessLog: logs };
  return { accessLog: [...logs.map(atEnd), ...metrics], accessLogOptions: { flushAccessLogOnConnected: true } };
}

type TcpLogs = Pick<MessageInitShape<typeof TcpProxySchema>, "accessLog" | "accessLogOptions">;

function atEnd(log: AccessLog): AccessLog {
  const end = create(AccessLogFilterSchema, {
    filterSpecifier: { case: "logTypeFilter", value: { types: [AccessLogType.TcpConnectionEnd] } },
  });
  const both = (own: AccessLogFilter) =>
    create(AccessLogFilterSchema, { filterSpecifier: { case: "andFilter", value: { filters: [end, own] } } });
  return { ...log, filter: log.filter ? both(log.filter) : end };
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
