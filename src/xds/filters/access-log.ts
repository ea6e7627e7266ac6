import { create } from "@bufbuild/protobuf";
import { type AccessLog, AccessLogSchema } from "../../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import { FileAccessLogSchema } from "../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import type { Settings } from "../../mesh/types.ts";
import { packAny } from "../encode.ts";

/** MeshConfig's accessLogFile and accessLogFormat; Envoy's own format where none is given. Empty where no file is named. */
export function accessLogs(settings: Settings): AccessLog[] {
  if (!settings.accessLogFile) return [];
  const file = create(FileAccessLogSchema, {
    path: settings.accessLogFile,
    accessLogFormat: settings.accessLogFormat
      ? {
          case: "logFormat",
          value: {
            format: {
              case: "textFormatSource",
              value: { specifier: { case: "inlineString", value: endWithNewline(settings.accessLogFormat) } },
            },
          },
        }
      : { case: undefined },
  });
  return [
    create(AccessLogSchema, {
      name: "envoy.access_loggers.file",
      configType: { case: "typedConfig", value: packAny(FileAccessLogSchema, file) },
    }),
  ];
}

/** Envoy writes a text format as it is: without a newline all requests would be one line. */
function endWithNewline(format: string): string {
  return format.endsWith("\n") ? format : `${format}\n`;
}
