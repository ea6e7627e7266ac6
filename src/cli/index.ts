/** The command line's public face. */
export type { HostPort, LogLevel, RunSettings } from "./config.ts";
export { type CliIo, processIo } from "./io.ts";
export { runCli } from "./run-cli.ts";
