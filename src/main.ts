/** weft: wiring only. The command line decides what runs. */
import packageJson from "../package.json" with { type: "json" };
import { processIo, runCli } from "./cli/index.ts";
import { stayAwake, systemClock } from "./lib/clock.ts";

const end = stayAwake();
process.exitCode = await runCli(
  process.argv.slice(2),
  processIo({
    clock: systemClock,
    version: packageJson.version,
    // Loaded only here: the other verbs start in a tenth of the time without it.
    startServer: async (settings, reload) => {
      // Before anything that uses decorators' metadata (@peculiar/x509): the bundler may put modules of one import in another order.
      await import("reflect-metadata");
      return (await import("./serve.ts")).startServer(settings, reload);
    },
    joinNode: async (settings) => {
      await import("reflect-metadata");
      return (await import("./control/join-node.ts")).joinNode({ ...settings, clock: systemClock });
    },
  }),
);
end();
