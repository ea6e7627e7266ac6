/** `weft` as a process, without a control plane: for what only a process has (pipes, signals). */
import { processIo, runCli } from "../../src/cli/index.ts";
import { systemClock } from "../../src/lib/clock.ts";

const startServer = () => Promise.reject(new Error("there is no control plane in this process"));
process.exitCode = await runCli(
  process.argv.slice(2),
  processIo({ clock: systemClock, version: "1.2.3", startServer, joinNode: startServer }),
);
