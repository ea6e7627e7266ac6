/** A program that does nothing but supervise an Envoy, to be killed by a test: ENVOY BOOTSTRAP. A line of JSON on stdout for each run. */
import { readFileSync } from "node:fs";
import { systemClock } from "../../src/lib/clock.ts";
import { processSignals } from "../../src/proxy/signals.ts";
import { superviseEnvoy } from "../../src/proxy/supervise.ts";

const [envoyPath = "", bootstrapFile = ""] = process.argv.slice(2);
await superviseEnvoy({
  envoyPath,
  bootstrap: async () => JSON.parse(readFileSync(bootstrapFile, "utf8")),
  args: ["--concurrency", "1", "--log-level", "info"],
  clock: systemClock,
  signals: processSignals,
  log: (level, message) => process.stderr.write(`${level}: ${message}\n`),
  onStart: (run) => process.stdout.write(`${JSON.stringify(run)}\n`),
});
